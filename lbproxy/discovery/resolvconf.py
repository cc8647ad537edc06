"""Reads which DNS servers to ask: from a resolv.conf, or from a configured value."""

from __future__ import annotations

import os
from ipaddress import ip_address

DNS_PORT = 53

Server = tuple[str, int]
"""The IP address and the port of a DNS server."""

_SERVERS = 3
"""How many servers of a resolv.conf count, as in glibc (C{MAXNS} of resolv.h)."""

_LOCAL: Server = ("127.0.0.1", DNS_PORT)
"""The server that is asked if a resolv.conf names none, as in glibc."""

_A_RESOLVER = (
    'expected DNS servers, such as "192.0.2.53" or "127.0.0.1:5353, [::1]:53", '
    'a path, such as "/etc/resolv.conf", or ""'
)


def resolvConf(path: str = "/etc/resolv.conf") -> tuple[Server, ...]:
    """
    Read the servers of a resolv.conf (resolv.conf(5)).

    They are the first three, as in glibc.  If the file names none, or cannot be read,
    it is the one at 127.0.0.1.  Only C{nameserver} is read: C{search}, C{domain} and
    C{ndots} are not applied, for all names that are looked up here are absolute, and
    neither are the other C{options}.
    """
    try:
        return _serversIn(path)
    except OSError:
        return (_LOCAL,)


def parseResolver(written: object) -> tuple[Server, ...] | None:
    """
    Read the configured value that says which DNS servers to ask.

    @param written: C{""} for the system's resolver; an IP address, C{ADDRESS:PORT} or
        C{[V6]:PORT}, or several of these with commas between them; or the path of a
        resolv.conf, whose servers are read now.
    @return: The servers; L{None} for the system's resolver.
    @raise ValueError: With one line that says what was expected.
    """
    if written == "":
        return None
    if not isinstance(written, str):
        raise ValueError(_A_RESOLVER)
    if not written.startswith("/"):
        return tuple(_server(each.strip()) for each in written.split(","))
    try:
        return _serversIn(written)
    except ValueError:
        # From the system call: the path has a null character.
        raise ValueError(_A_RESOLVER) from None
    except OSError as error:
        # A path that somebody wrote has to be right, unlike the default one.
        reason = os.strerror(error.errno or 0).lower()
        raise ValueError(f"expected a file that can be read: {reason}") from None


def _serversIn(path: str) -> tuple[Server, ...]:
    with open(path, encoding="ascii", errors="replace") as file:
        lines = file.readlines()
    servers = []
    for line in lines:
        words = line.split()
        # glibc passes over lines that begin with a blank.
        if len(words) < 2 or words[0] != "nameserver" or line[0].isspace():
            continue
        if _isAddress(words[1]):
            servers.append((words[1], DNS_PORT))
    return tuple(servers[:_SERVERS]) or (_LOCAL,)


def _server(text: str) -> Server:
    """Read one server of a configured value."""
    if _isAddress(text):
        return text, DNS_PORT
    host, _, port = text.rpartition(":")
    if host[:1] == "[" and host[-1:] == "]" and ":" in host:
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(_A_RESOLVER)
    if not _isAddress(host) or not _isPort(port):
        raise ValueError(_A_RESOLVER)
    return host, int(port)


def _isPort(text: str) -> bool:
    return (
        text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 2**16
    )


def _isAddress(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
