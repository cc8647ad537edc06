"""A router that goes by the names in the certificate that a client has shown."""

from __future__ import annotations

from lbproxy import Connection

POOLS = {
    "billing.services.example.com": "accounts",
    "shop.services.example.com": "web",
}


def choose(connection: Connection) -> str | None:
    """The pool for the service that the client is; nobody else is let in."""
    names = connection.tls.clientNames if connection.tls else ()
    return next((POOLS[name] for name in names if name in POOLS), None)
