"""
Guesses the endpoint that a text means which is not an endpoint description.

Such a text is an address as other programs write it: C{127.0.0.1:9001}.
"""

from __future__ import annotations

import re

from attrs import frozen
from twisted.internet.abstract import isIPAddress, isIPv6Address

from ..words.description import written

_URL = re.compile(r"(?:(http)|(https)|tcp|unix)://([^/]*)/?.*", re.IGNORECASE)
_HOST_NAME = re.compile(r"localhost|[a-z0-9_-]+(\.[a-z0-9_-]+)+", re.IGNORECASE)

_LOOPBACK = "127.0.0.1"


@frozen
class _Address:
    """An address as other programs write it.  The host or the port may be empty."""

    host: str
    port: str


def likelyServer(text: str) -> str | None:
    """The server endpoint that was most likely meant; L{None} if that is unclear."""
    if _isPath(text):
        return written([(None, "unix"), (None, text)])
    address = _address(text)
    if address is None or not address.port:
        return None
    interface = _LOOPBACK if address.host.lower() == "localhost" else address.host
    fields: list[tuple[str | None, str]] = [(None, "tcp"), (None, address.port)]
    if interface not in ("", "*", "0.0.0.0"):
        if not isIPAddress(interface) and not isIPv6Address(interface):
            return None
        fields.append(("interface", interface))
    return written(fields)


def likelyClient(text: str) -> str | None:
    """The client endpoint that was most likely meant; L{None} if that is unclear."""
    if _isPath(text):
        return written([(None, "unix"), (None, text)])
    address = _address(text)
    if address is None or address.host == "*":
        return None
    host, port = address.host or _LOOPBACK, address.port or "PORT"
    return written([(None, "tcp"), (None, host), (None, port)])


def _isPath(text: str) -> bool:
    return text.startswith(("/", "./", "../")) and "\0" not in text


def _address(text: str) -> _Address | None:
    port = ""
    if url := _URL.fullmatch(text):
        text = url[3]
        port = "80" if url[1] else "443" if url[2] else ""
    if text.isdecimal():
        return _Address("", text)
    host, _, last = text.rpartition(":")
    if last.isdecimal() and _isHost(host):
        return _Address(_bare(host), last)
    return _Address(_bare(text), port) if text and _isHost(text) else None


def _isHost(text: str) -> bool:
    host = _bare(text)
    if host in ("", "*") or isIPAddress(host) or isIPv6Address(host):
        return True
    return _HOST_NAME.fullmatch(host) is not None


def _bare(host: str) -> str:
    return host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
