"""Reads the routes of a listener."""

from __future__ import annotations

from ..balance.routing import Route
from ..words.networks import parseNetwork
from ..words.options import REQUIRED, Unset
from ..words.place import Place
from ..words.values import plainName
from .schema import Key, Placed, Table
from .values import listOf, oneOrListOf

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
        Key("pool", plainName, REQUIRED, "The pool it goes to."),
    ),
    ("alpn", "server-name"),
)


def _route(written: object, place: Place) -> Route:
    """Read a table of L{ROUTE}, which has at least one condition."""
    values = ROUTE.read(written, place)
    if len(values) == 1:
        reason = 'expected "client" or "address", or both; without, use the key "pool"'
        raise place.refuse(written, f"{reason} of the listener")
    return Route(**values)


ROUTES = listOf(Placed(_route), mayBeEmpty=True)
"""The parser of a listener's routes."""
