"""Who is next: pure decisions, told what time it is and given their randomness."""
