"""Reads the routes of a listener."""

from __future__ import annotations

from ..balance.routing import Route
from ..words.networks import parseNetwork
from ..words.options import REQUIRED, Unset
from ..words.place import Place
from ..words.servernames import parseServerName
from ..words.values import plainName
from .schema import Key, Placed, Table
from .values import listOf, oneOrListOf

_LONGEST_PROTOCOL = 255
"""RFC 7301, section 3.1."""


def parseProtocol(written: object) -> bytes:
    """
    Read the name of a protocol as TLS handshakes have it (ALPN).

    @raise ValueError: With one line that says what was expected.
    """
    if isinstance(written, str) and written.isprintable():
        encoded = written.encode()
        if 1 <= len(encoded) <= _LONGEST_PROTOCOL:
            return encoded
    raise ValueError('expected a protocol, such as "h2" or "http/1.1"')


ROUTE = Table(
    "[[listener.routes]]",
    "Which connections of the listener go to another pool; the first route that "
    "matches counts.",
    (
        Key(
            "client",
            oneOrListOf(parseNetwork),
            Unset("any client"),
            'Where the client is: networks or addresses, "unix:" or "all"; one, or a '
            "list.",
        ),
        Key(
            "address",
            oneOrListOf(parseNetwork),
            Unset("any address"),
            "Which address it has connected to: networks or addresses, "
            '"unix:/path" or "all"; one, or a list.',
        ),
        Key(
            "server-name",
            oneOrListOf(parseServerName),
            Unset("any name, or none"),
            'Which server it asks for in its TLS handshake: "www.example.com", or '
            '"*.example.com" for all names below that; one, or a list.',
        ),
        Key(
            "alpn",
            oneOrListOf(parseProtocol),
            Unset("any protocols, or none"),
            "Which protocol it offers in its TLS handshake, such as "
            '"h2"; one, or a list.',
        ),
        Key("pool", plainName, REQUIRED, "The pool it goes to."),
    ),
)


def _route(written: object, place: Place) -> Route:
    """Read a table of L{ROUTE}, which has at least one condition."""
    values = ROUTE.read(written, place)
    if len(values) == 1:
        conditions = '"client", "address", "server-name" or "alpn"'
        reason = f'expected {conditions}; without, use the key "pool" of the listener'
        raise place.refuse(written, reason)
    return Route(**values)


ROUTES = listOf(Placed(_route), mayBeEmpty=True)
"""The parser of a listener's routes."""
