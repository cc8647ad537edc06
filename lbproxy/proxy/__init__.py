"""One client's journey, from accept to the end of the relay."""
