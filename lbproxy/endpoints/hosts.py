"""
Checks the hosts in endpoint descriptions, and suggests what was most likely meant.

Twisted accepts any text as a host, and finds a fault only when it connects or listens.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from attrs import evolve, frozen
from twisted.internet.abstract import isIPv6Address

from ..words.description import Field, written
from ..words.endpoints import ClientDescription, EndpointDescription

_PLAIN = "a host is written without blanks and brackets"
_COLONS = "each colon of an IPv6 address needs a backslash before it"
_NAMED = "the host of tls: is the name in the certificate, not an IPv6 address"

_HOSTS = ("host", "bindAddress", "interface")
"""The arguments of endpoints that hold a host."""


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


def hostFault(description: EndpointDescription) -> HostFault | None:
    """
    Find the fault in a host of an endpoint.

    @return: L{None} if there is no fault.
    """
    for name in _HOSTS:
        at = description.index(name) if description.takes(name) else None
        if at is not None and (fault := _faultAt(description, at, name)):
            return fault
    if isinstance(description, ClientDescription) and description.nested is not None:
        return _nestedFault(description)
    return None


def _faultAt(description: EndpointDescription, at: int, name: str) -> HostFault | None:
    """Find the fault in the host that begins at this field."""
    fields = description.fields
    called, host = fields[at]
    port = description.index("port")
    portFollows = port is None or (port > at and fields[port][0] is None)
    end, bare = _meant(fields, at, portFollows)
    if not _isPlain(bare) or (host and not bare):
        return HostFault(_PLAIN)
    right: list[Field] = [(called, bare)]
    if portFollows and end == len(fields) and end > at + 1:
        right.append((None, "PORT"))
    if name == "host" and description.kind == "tls" and isIPv6Address(bare):
        named = [*fields[:at], (called, "NAME"), *right[1:], *fields[end:]]
        return HostFault(_NAMED, _around(named, bare))
    if end > at + 1:
        return HostFault(_COLONS, _replaced(fields, at, end, right))
    if not _isLookedUp(bare):
        return HostFault(f'"{bare}" cannot be the name of a host')
    if bare != host:
        return HostFault(_PLAIN, _replaced(fields, at, end, right))
    return None


def _meant(fields: Sequence[Field], at: int, portFollows: bool) -> tuple[int, str]:
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


def _around(fields: Sequence[Field], address: str) -> str:
    """The description of a C{tls:} endpoint that connects to the address."""
    outer = ClientDescription(written(fields), tuple(fields))
    if outer.nested is not None:
        return outer.text
    port = outer.argument("port") or "PORT"
    nested = written([(None, "tcp"), (None, address), (None, port)])
    return written([*fields, ("endpoint", nested)])


def _nestedFault(description: ClientDescription) -> HostFault | None:
    """Find the fault in the endpoint that C{tls:} wraps."""
    at = description.index("endpoint")
    if at is None:
        return None
    name, nested = description.fields[at]
    try:
        fault = hostFault(ClientDescription.parse(nested))
    except ValueError:
        return None  # That fault is found when the endpoint is made.
    if fault is None or fault.spelling is None:
        return fault
    right = [(name, fault.spelling)]
    return evolve(fault, spelling=_replaced(description.fields, at, at + 1, right))


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


def _replaced(
    fields: Sequence[Field], start: int, end: int, right: Sequence[Field]
) -> str:
    """The description with the fields from C{start} to C{end} replaced."""
    return written([*fields[:start], *right, *fields[end:]])
