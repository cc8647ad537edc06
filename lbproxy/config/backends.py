"""Reads backends: those of a pool, and those of a file that is watched."""

from __future__ import annotations

from collections.abc import Iterable

from ..words.backend import Backend
from ..words.endpoints import parseClient
from ..words.place import Place
from .schema import Placed, Table, keysOf, readAt
from .values import listOf

BACKEND = Table(
    "[[pool.NAME.backends]]",
    "One place to send connections to.",
    keysOf(Backend),
    ("tls",),
)

MEMBER = Table(
    "[pool.NAME.discovery.member]",
    "What each backend has that is found, where the discovery says nothing of it.",
    keysOf(Backend, but=("connect", "name")),
    ("tls",),
)


def _backend(written: object, place: Place) -> Backend:
    """Read a backend: its description alone, or a table of L{BACKEND}."""
    if isinstance(written, str):
        # A description alone means a table with no other key.
        readAt(parseClient, written, place)
        written = {"connect": written}
    values = BACKEND.read(written, place)
    try:
        backend = Backend(**values)
    except ValueError as error:
        key = place.key("proxy-protocol")
        raise key.refuse(values["proxyProtocol"], str(error)) from None
    if backend.bind and not backend.description.takes("bindAddress"):
        reason = "only tcp:, ssl: and tls: endpoints connect from an address"
        raise place.key("bind").refuse(backend.bind, reason)
    return backend


BACKENDS = listOf(Placed(_backend), mayBeEmpty=True)
"""The parser of a list of backends."""


def requireDistinct(found: Iterable[tuple[str, Place]], reason: str) -> None:
    """
    Refuse a value that was written twice.

    @param found: The values, each with its place.
    @param reason: Why it is refused.
    @raise ConfigurationError: If there is one.
    """
    seen = set()
    for value, place in found:
        if value in seen:
            raise place.refuse(value, reason)
        seen.add(value)


def requireDistinctNames(backends: Iterable[Backend], place: Place) -> None:
    """
    Refuse two backends with one name.

    @param place: That of their list.
    @raise ConfigurationError: If there are two.
    """
    requireDistinct(
        ((each.name, place.item(at)) for at, each in enumerate(backends)),
        "another backend of this pool has this name",
    )
