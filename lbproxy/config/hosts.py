"""
The hosts in endpoint descriptions: which of them no socket can use, and how to
write what was most likely meant.

Twisted takes any text for a host, and finds out only when it connects or
listens.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from attrs import evolve, frozen
from twisted.internet.abstract import isIPv6Address

from ..words.description import Field, fieldsOf, written

_PLAIN = "a host is written without blanks and brackets"
_COLONS = "each colon of an IPv6 address needs a backslash before it"
_NAMED = "the host of tls: is the name in the certificate, not an IPv6 address"

_BY_NAME = 0
"""In place of a position: it is given by name only."""


@frozen
class _Kind:
    """
    A kind of endpoint.

    @ivar port: The position of the port.
    @ivar hosts: The fields that hold a host: their names, and their positions.
    @ivar takesNames: Whether its C{host} cannot be an IPv6 address.
    """

    port: int
    hosts: Mapping[str, int]
    takesNames: bool = False


_CLIENTS = {
    "tcp": _Kind(2, {"host": 1, "bindAddress": _BY_NAME}),
    "ssl": _Kind(2, {"host": 1, "bindAddress": _BY_NAME}),
    "tls": _Kind(2, {"host": 1, "bindAddress": 4}, takesNames=True),
}
_SERVERS = {
    "tcp": _Kind(1, {"interface": 2}),
    "tcp6": _Kind(1, {"interface": 3}),
    "ssl": _Kind(1, {"interface": 5}),
    "tls": _Kind(2, {"interface": 4}),
}

_NESTED = 8
"""The position of the endpoint that C{tls:} wraps."""


@frozen
class HostFault:
    """
    Why a host cannot be used.

    @ivar spelling: The whole description as it was most likely meant.
    """

    reason: str
    spelling: str | None = None

    def __str__(self) -> str:
        # In these quotes a backslash is itself, both in TOML and in a shell.
        return f"{self.reason}: '{self.spelling}'" if self.spelling else self.reason


def clientHostFault(text: str) -> HostFault | None:
    """
    What is wrong with a host of a client endpoint.

    @param text: A description; nothing is said of one that cannot be taken
        apart.
    """
    try:
        fields = fieldsOf(text)
    except ValueError:
        return None
    if fault := _fault(fields, _CLIENTS):
        return fault
    return _nestedFault(fields) if _kindOf(fields) == "tls" else None


def serverHostFault(text: str) -> HostFault | None:
    """
    What is wrong with the interface of a server endpoint.

    @param text: A description that can be taken apart.
    """
    return _fault(fieldsOf(text), _SERVERS)


def dialledHost(text: str) -> str | None:
    """
    The host that a client endpoint connects to, if its kind has one.

    @param text: A description that can be taken apart.
    """
    fields = fieldsOf(text)
    kind = _CLIENTS.get(_kindOf(fields))
    if kind is None:
        return None
    nested = _index(fields, "endpoint", _NESTED) if kind.takesNames else None
    if nested is not None:
        return dialledHost(fields[nested][1])
    at = _index(fields, "host", kind.hosts["host"])
    return None if at is None else fields[at][1]


def interfaceAndPort(text: str) -> tuple[str, int] | None:
    """
    Where a server endpoint listens, if its kind has a port: the interface, which
    is empty for all of IPv4, and the port.

    @param text: A description; nothing is said of one that is not right.
    """
    try:
        fields = fieldsOf(text)
        kind = _SERVERS[_kindOf(fields)]
        port = _index(fields, "port", kind.port)
        at = _index(fields, "interface", kind.hosts["interface"])
        default = "::" if kind is _SERVERS["tcp6"] else ""
        number = int(fields[port][1]) if port is not None else -1
    except (KeyError, ValueError):
        return None
    return (default if at is None else fields[at][1]), number


def _fault(fields: list[Field], kinds: Mapping[str, _Kind]) -> HostFault | None:
    kind = kinds.get(_kindOf(fields))
    if kind is None:
        return None
    for name, position in kind.hosts.items():
        at = _index(fields, name, position)
        if at is not None and (fault := _hostFault(fields, at, kind, name)):
            return fault
    return None


def _hostFault(
    fields: list[Field], at: int, kind: _Kind, name: str
) -> HostFault | None:
    """What is wrong with the host that begins at this field."""
    called, host = fields[at]
    portFollows = (
        _index(fields, "port", _BY_NAME) is None
        and _index(fields[:at], "port", _portAt(fields, kind)) is None
    )
    end, bare = _meant(fields, at, portFollows)
    if not _isPlain(bare) or (host and not bare):
        return HostFault(_PLAIN)
    right = [(called, bare)]
    if portFollows and end == len(fields) and end > at + 1:
        right.append((None, "PORT"))
    if kind.takesNames and name == "host" and isIPv6Address(bare):
        named = [*fields[:at], (called, "NAME"), *right[1:], *fields[end:]]
        return HostFault(_NAMED, _around(named, bare, kind))
    if end > at + 1:
        return HostFault(_COLONS, _replaced(fields, at, end, right))
    if not _isLookedUp(bare):
        return HostFault(f'"{bare}" cannot be the name of a host')
    if bare != host:
        return HostFault(_PLAIN, _replaced(fields, at, end, right))
    return None


def _meant(fields: list[Field], at: int, portFollows: bool) -> tuple[int, str]:
    """
    The host that was most likely meant by the field C{at} and those after it,
    into which its colons may have cut it, and where the first field after it is.
    """
    single = _bare(fields[at][1])
    end = at + 1
    if isIPv6Address(single):
        return end, single
    while end < len(fields) and fields[end][0] is None:
        end += 1
    ends = list(range(end, at + 1, -1))
    if portFollows:
        # With the port, too, it may look like an address: ::1:9001.
        ends = [*ends[1:], *ends[:1]]
    for each in ends:
        address = _bare(":".join(value for _, value in fields[at:each]))
        zone = address.partition("%")[2]
        if isIPv6Address(address) and _isPlain(address) and ":" not in zone:
            return each, address
    return at + 1, single


def _around(fields: list[Field], address: str, kind: _Kind) -> str:
    """The description, with an endpoint within it that connects to the address."""
    if _index(fields, "endpoint", _NESTED) is not None:
        return written(fields)
    port = _index(fields, "port", _portAt(fields, kind))
    number = "PORT" if port is None else fields[port][1]
    nested = written([(None, "tcp"), (None, address), (None, number)])
    return written([*fields, ("endpoint", nested)])


def _portAt(fields: list[Field], kind: _Kind) -> int:
    """The position of the port, which is one less if the host has a name."""
    return kind.port - (_index(fields, "host", _BY_NAME) is not None)


def _nestedFault(fields: list[Field]) -> HostFault | None:
    """What is wrong with the endpoint that C{tls:} wraps."""
    at = _index(fields, "endpoint", _NESTED)
    if at is None:
        return None
    name, nested = fields[at]
    fault = clientHostFault(nested)
    if fault is None or fault.spelling is None:
        return fault
    right = [(name, fault.spelling)]
    return evolve(fault, spelling=_replaced(fields, at, at + 1, right))


def _kindOf(fields: list[Field]) -> str:
    return next((value.lower() for name, value in fields if name is None), "")


def _index(fields: list[Field], name: str, position: int) -> int | None:
    """Where the field stands, if it is given."""
    named = [at for at, field in enumerate(fields) if field[0] == name]
    unnamed = [at for at, field in enumerate(fields) if field[0] is None]
    if named:
        return named[0]
    return unnamed[position] if _BY_NAME < position < len(unnamed) else None


def _bare(host: str) -> str:
    """What is left of a host without blanks around it, and without brackets."""
    host = host.strip()
    return host[1:-1].strip() if host[:1] == "[" and host[-1:] == "]" else host


def _isPlain(host: str) -> bool:
    return not any(each.isspace() or each in "[]" for each in host)


def _isLookedUp(host: str) -> bool:
    """Whether a resolver can be asked for it, or need not be."""
    if isIPv6Address(host):
        return True
    labels = host.removesuffix(".").split(".") if host else []
    if not host.isascii():
        # Resolvers differ in what they make of other alphabets.
        return all(labels)
    if labels and labels[-1].isdecimal() and not _isIPv4Address(host):
        # No top-level domain is a number (RFC 3696, section 2).
        return False
    return all(1 <= len(label) <= 63 for label in labels)


def _isIPv4Address(host: str) -> bool:
    """Whether it is one, also in the short forms that resolvers take: 127.1."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _replaced(fields: list[Field], start: int, end: int, right: list[Field]) -> str:
    """The description with some of its fields written otherwise."""
    return written([*fields[:start], *right, *fields[end:]])
