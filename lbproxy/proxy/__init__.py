"""One client's connection, from accept to the end of its record."""
