"""The checks of endpoints, for texts as a file has them."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IStreamServerEndpoint

from lbproxy.config.schema import readAt
from lbproxy.endpoints.making import (
    checkClientDescription,
    checkServerDescription,
    serverEndpoint,
)
from lbproxy.words.endpoints import ClientDescription, ServerDescription
from lbproxy.words.place import Place

_SERVER = Place("server endpoint")
_CLIENT = Place("client endpoint")


def checkServer(reactor: Any, text: str, place: Place = _SERVER) -> None:
    """Check the text of a server endpoint."""
    checkServerDescription(reactor, server(text, place), place)


def checkClient(reactor: Any, text: str, place: Place = _CLIENT) -> None:
    """Check the text of a client endpoint."""
    described = readAt(lambda given: ClientDescription.parse(text), text, place)
    checkClientDescription(reactor, described, place)


def makeServer(
    reactor: Any, text: str, place: Place = _SERVER, backlog: int | None = None
) -> IStreamServerEndpoint:
    """Make the server endpoint that a text describes."""
    return serverEndpoint(reactor, server(text, place), place, backlog)


def server(text: str, place: Place = _SERVER) -> ServerDescription:
    """Parse the text of a server endpoint."""
    parsed: ServerDescription = readAt(
        lambda given: ServerDescription.parse(text), text, place
    )
    return parsed
