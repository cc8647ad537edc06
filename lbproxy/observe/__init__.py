"""What happens: the records of connections, written down."""
