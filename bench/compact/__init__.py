"""
C{python -m bench.compact}: the least that a right session costs, in this language.

It relays TCP to some backends as lbproxy does, by the same pool, picker, lease and
record, with an observer, but in one piece: a loop hands each event to the one object
that a session is.  Nothing is there for another kind of socket, listener or pool.  What
lbproxy's new connections may cost is measured by it.  It is no balancer to use.
"""
