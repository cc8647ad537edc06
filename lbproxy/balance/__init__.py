"""Choose members of a pool.  Time and randomness are arguments; there is no I/O."""
