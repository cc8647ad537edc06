"""Plain values and parsers that every other package uses."""
