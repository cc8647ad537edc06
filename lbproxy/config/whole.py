"""Makes a consistent configuration from the tables of one document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..endpoints.collisions import ListeningAddress
from ..words.options import made
from ..words.place import Place, knownHint
from .backends import requireDistinct, requireDistinctNames
from .keys import DOCUMENT
from .model import (
    Configuration,
    ListenerConfiguration,
    PoolConfiguration,
    ProcessOptions,
)
from .openings import requireOpenings
from .values import AT_LEAST_ONE


def configurationFromMapping(
    document: Mapping[str, object], source: str = "configuration"
) -> Configuration:
    """
    Make a configuration from a mapping, such as a parsed TOML file.

    It is for a program that embeds lbproxy and has no file.

    @param document: What L{tomllib.loads} would return for the file.
    @param source: The name of the document in errors.
    @raise ConfigurationError: If anything in it cannot be used.
    """
    return configurationAt(document, Place(source))


def configurationAt(
    document: Mapping[str, object], place: Place, demo: bool = False
) -> Configuration:
    """
    Make a configuration from a mapping that was written at a certain place.

    @param place: Gives the place of each key.
    @param demo: Whether a pool may have no backends.
    @raise ConfigurationError: If anything in it cannot be used.
    """
    values = DOCUMENT.read(document, place)
    process = values["process"]
    pools = tuple(_pool(each, demo) for each in values["pool"])
    poolNames = [pool.name for pool in pools]
    listeners = tuple(
        _listener({**process, **each}, poolNames) for each in values["listener"]
    )
    if not listeners:
        raise place.key("listener").lack(
            "there is none; write at least one [[listener]]"
        )
    requireDistinct(
        ((each.name, each.place.key("name")) for each in listeners),
        "another listener has this name",
    )
    _requireApart(listeners)
    return Configuration(
        made(ProcessOptions, process), values["log"]["access"], listeners, pools
    )


def _pool(values: Mapping[str, Any], demo: bool) -> PoolConfiguration:
    pool = made(PoolConfiguration, values)
    place = pool.place.key("backends")
    if not pool.backends and pool.discovery is None and not demo:
        if "backends" in values:
            raise place.refuse([], AT_LEAST_ONE)
        raise place.lack("this key is required, or a table [pool.NAME.discovery]")
    requireDistinctNames(pool.backends, place)
    _requireTargets(pool)
    return pool


def _requireTargets(pool: PoolConfiguration) -> None:
    """Refuse a health check that some backend cannot have."""
    check = pool.healthCheck
    if check is None:
        return
    for backend in pool.backends:
        try:
            check.target(backend)
        except ValueError as error:
            key = "port" if check.port else "proxy-protocol"
            key = "address" if check.address else key
            raise pool.place.key("health-check").key(key).lack(str(error)) from None


def _listener(
    values: Mapping[str, Any], poolNames: Sequence[str]
) -> ListenerConfiguration:
    """Make a listener; fill in its name and its pool if they are not given."""
    _requireSocket(values)
    # The table has options of sessions, too.
    values = {**values, **values.get("tls", {})}
    _requireNoTLS(values)
    place = values["place"].key("pool")
    pool = values.get("pool")
    if not poolNames:
        raise place.lack("there is no pool; write a [pool.NAME]")
    if pool is None:
        if len(poolNames) > 1:
            names = ", ".join(poolNames)
            raise place.lack(f"required, since there is more than one pool: {names}")
        pool = poolNames[0]
    _requirePool(pool, poolNames, place)
    for at, route in enumerate(values.get("routes", ())):
        where = values["place"].key("routes").item(at).key("pool")
        _requirePool(route.pool, poolNames, where)
    listener = made(
        ListenerConfiguration,
        {"name": values["listen"][0].text, **values, "pool": pool},
    )
    requireOpenings(listener)
    return listener


def _requirePool(pool: str, poolNames: Sequence[str], place: Place) -> None:
    if pool not in poolNames:
        raise place.refuse(pool, f"no such pool; {knownHint(pool, poolNames)}")


def _requireSocket(values: Mapping[str, Any]) -> None:
    """Refuse the keys of a UNIX socket for a listener that has none."""
    if any(listen.kind == "unix" for listen in values["listen"]):
        return
    for key, attribute in ("owner", "socketOwner"), ("group", "socketGroup"):
        if values.get(attribute) is not None:
            place = values["place"].key(f"socket-{key}")
            raise place.lack("no endpoint of this listener is a UNIX socket")


def _requireNoTLS(values: Mapping[str, Any]) -> None:
    """Refuse a table C{tls} for an endpoint that speaks TLS by itself."""
    for listen in values["listen"]:
        if values.get("tls") is not None and listen.kind in ("ssl", "tls"):
            reason = "this endpoint speaks TLS already; write tcp: beside the table tls"
            raise values["place"].key("listen").refuse(listen.text, reason)


def _requireApart(listeners: Iterable[ListenerConfiguration]) -> None:
    """Refuse two endpoints that listen on one address.  Port 0 never collides."""
    seen: dict[int | None, list[tuple[ListeningAddress, str]]] = {}
    for listener in listeners:
        for listen in listener.listen:
            address, text = ListeningAddress.of(listen), listen.text
            others = seen.setdefault(address.port, [])
            for other, spelling in others:
                if address.meets(other):
                    by = "" if spelling == text else f', by "{spelling}"'
                    reason = f"this is listened on already{by}"
                    raise listener.place.key("listen").refuse(text, reason)
            others.append((address, text))
