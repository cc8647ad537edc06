"""
Checks the hosts in endpoint descriptions, and suggests what was most likely meant.

Twisted accepts any text as a host, and finds a fault only when it connects or listens.
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
"""Stands for a position: the field is given by name only."""


@frozen
class _Kind:
    """
    Where the descriptions of one kind of endpoint have their port and their hosts.

    @ivar port: The position of the port.
    @ivar hosts: The names of the fields that hold a host, each with its position.
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
    Why a host cannot be used, and what was most likely meant.

    @ivar reason: In a few words.
    @ivar spelling: The whole description as it was most likely meant, or L{None}.
    """

    reason: str
    spelling: str | None = None

    def __str__(self) -> str:
        # In single quotes a backslash needs no escaping, both in TOML and in a shell.
        return f"{self.reason}: '{self.spelling}'" if self.spelling else self.reason


def clientHostFault(text: str) -> HostFault | None:
    """
    Find the fault in a host of a client endpoint.

    @param text: A description.
    @return: L{None} if there is no fault, or if the description cannot be parsed.
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
    Find the fault in the interface of a server endpoint.

    @param text: A description that can be parsed.
    @return: L{None} if there is no fault.
    """
    return _fault(fieldsOf(text), _SERVERS)


def dialledHost(text: str) -> str | None:
    """
    The host that a client endpoint connects to, if its kind has one.

    @param text: A description that can be parsed.
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
    The interface and the port that a server endpoint listens on.

    @param text: A description, valid or not.
    @return: The interface is empty for all of IPv4.  L{None} if the description is not
        valid, or its kind has no port.
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
    """Find the fault in the host that begins at this field."""
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
    Find the host that was most likely meant, beginning at the field C{at}.

    Colons that are not escaped may have split it into several fields.

    @return: The index of the first field after the host, and the host.
    """
    single = _bare(fields[at][1])
    end = at + 1
    if isIPv6Address(single):
        return end, single
    while end < len(fields) and fields[end][0] is None:
        end += 1
    ends = list(range(end, at + 1, -1))
    if portFollows:
        # An address and a port together may look like an address: ::1:9001.
        ends = [*ends[1:], *ends[:1]]
    for each in ends:
        address = _bare(":".join(value for _, value in fields[at:each]))
        zone = address.partition("%")[2]
        if isIPv6Address(address) and _isPlain(address) and ":" not in zone:
            return each, address
    return at + 1, single


def _around(fields: list[Field], address: str, kind: _Kind) -> str:
    """The description, with an inner endpoint that connects to the address."""
    if _index(fields, "endpoint", _NESTED) is not None:
        return written(fields)
    port = _index(fields, "port", _portAt(fields, kind))
    number = "PORT" if port is None else fields[port][1]
    nested = written([(None, "tcp"), (None, address), (None, number)])
    return written([*fields, ("endpoint", nested)])


def _portAt(fields: list[Field], kind: _Kind) -> int:
    """The position of the port, which is one less if the host is given by name."""
    return kind.port - (_index(fields, "host", _BY_NAME) is not None)


def _nestedFault(fields: list[Field]) -> HostFault | None:
    """Find the fault in the endpoint that C{tls:} wraps."""
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
    """The index of a field, or L{None} if it is not given."""
    named = [at for at, field in enumerate(fields) if field[0] == name]
    unnamed = [at for at, field in enumerate(fields) if field[0] is None]
    if named:
        return named[0]
    return unnamed[position] if _BY_NAME < position < len(unnamed) else None


def _bare(host: str) -> str:
    """The host without the blanks and the brackets around it."""
    host = host.strip()
    return host[1:-1].strip() if host[:1] == "[" and host[-1:] == "]" else host


def _isPlain(host: str) -> bool:
    return not any(each.isspace() or each in "[]" for each in host)


def _isLookedUp(host: str) -> bool:
    """Whether the host is an IP address, or a name that a resolver can look up."""
    if isIPv6Address(host):
        return True
    labels = host.removesuffix(".").split(".") if host else []
    if not host.isascii():
        # Resolvers differ in how they treat other alphabets.
        return all(labels)
    if labels and labels[-1].isdecimal() and not _isIPv4Address(host):
        # No top-level domain is a number (RFC 3696, section 2).
        return False
    return all(1 <= len(label) <= 63 for label in labels)


def _isIPv4Address(host: str) -> bool:
    """
    Whether the host is an IPv4 address.

    The short forms that resolvers accept count too: 127.1.
    """
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _replaced(fields: list[Field], start: int, end: int, right: list[Field]) -> str:
    """The description with the fields from C{start} to C{end} replaced."""
    return written([*fields[:start], *right, *fields[end:]])
