"""Streams over transports, relays between streams, and deadlines; no pools."""
