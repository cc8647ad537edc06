"""Reads backends: those of a pool, and those of a file that is watched."""

from __future__ import annotations

from collections.abc import Iterable

from ..words.backend import Backend
from ..words.endpoints import parseClient
from ..words.options import Unset
from ..words.place import Place
from ..words.tlsoptions import TLSOptions
from .schema import Key, Placed, Table, keysOf, readAt
from .values import listOf

BACKEND_TLS = Table(
    "[pool.NAME.backends.tls]",
    "How TLS is spoken to a backend.",
    keysOf(TLSOptions),
)


def _tls(written: object, place: Place) -> TLSOptions:
    """Read a table of L{BACKEND_TLS}."""
    options = TLSOptions(**BACKEND_TLS.read(written, place))
    if options.key and not options.chain:
        reason = "its certificate is missing; name it as chain"
        raise place.key("key").refuse(options.key, reason)
    return options


_TLS = Key("tls", Placed(_tls), Unset("none"), BACKEND_TLS.doc)

BACKEND = Table(
    "[[pool.NAME.backends]]",
    "One place to send connections to.",
    (*keysOf(Backend), _TLS),
)

MEMBER = Table(
    "[pool.NAME.discovery.member]",
    "What each backend has that is found, where the discovery says nothing of it.",
    (*keysOf(Backend, but=("connect", "name")), _TLS),
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
    if backend.tls is not None:
        _requireTLS(backend, backend.tls, place.key("tls"))
    return backend


def _requireTLS(backend: Backend, tls: TLSOptions, place: Place) -> None:
    """Refuse TLS that does not go with the description of a backend."""
    if backend.speaksTLS:
        kind = backend.description.kind
        raise place.lack(f"a {kind}: endpoint speaks TLS by itself; use tcp:")
    if tls.verify and not backend.serverName:
        reason = f"required, since {backend.connect} has no host name to verify"
        raise place.key("server-name").lack(reason)


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
