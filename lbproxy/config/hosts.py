"""
The hosts in endpoint descriptions: which of them no socket can use, and how to
write what was most likely meant.

Twisted takes any text for a host, and finds out only when it connects or
listens.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from .description import Field, fieldsOf, written

_PLAIN = "a host is written without blanks and brackets"

_BY_NAME = 0
"""In place of a position: it is given by name only."""

_CLIENT_HOSTS: Mapping[str, Mapping[str, int]] = {
    "tcp": {"host": 1, "bindAddress": _BY_NAME},
    "ssl": {"host": 1, "bindAddress": _BY_NAME},
    "tls": {"host": 1, "bindAddress": 4},
}
_SERVER_HOSTS: Mapping[str, Mapping[str, int]] = {
    "tcp": {"interface": 2},
    "tcp6": {"interface": 3},
    "ssl": {"interface": 5},
    "tls": {"interface": 4},
}
"""Each kind's fields that hold a host: their names, and their positions."""

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
    if fault := _fault(fields, _CLIENT_HOSTS):
        return fault
    return _nestedFault(fields) if _kind(fields) == "tls" else None


def serverHostFault(text: str) -> HostFault | None:
    """
    What is wrong with the interface of a server endpoint.

    @param text: A description that can be taken apart.
    """
    return _fault(fieldsOf(text), _SERVER_HOSTS)


def _fault(
    fields: list[Field], kinds: Mapping[str, Mapping[str, int]]
) -> HostFault | None:
    for name, position in kinds.get(_kind(fields), {}).items():
        at = _index(fields, name, position)
        if at is None:
            continue
        called, host = fields[at]
        bare = _bare(host)
        if not _isPlain(bare) or (host and not bare):
            return HostFault(_PLAIN)
        if bare != host:
            right = [(called, bare)]
            return HostFault(_PLAIN, _replaced(fields, at, at + 1, right))
    return None


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


def _kind(fields: list[Field]) -> str:
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


def _replaced(fields: list[Field], start: int, end: int, right: list[Field]) -> str:
    """The description with some of its fields written otherwise."""
    return written([*fields[:start], *right, *fields[end:]])
