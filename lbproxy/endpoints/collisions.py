"""
Finds server endpoints that cannot listen at the same time, however they are spelled.
"""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address

from attrs import frozen

from ..words.endpoints import ServerDescription

_EVERYWHERE = "::"
"""All addresses of IPv6, and of IPv4 too: Twisted leaves Linux's IPV6_V6ONLY off."""

_IPV4 = ""
"""All addresses of IPv4."""


@frozen
class ListeningAddress:
    """
    The address that a server endpoint listens on, in one spelling.

    @ivar host: An IP address or a name; empty for all of IPv4.  For a UNIX socket it is
        the path.  For a kind of endpoint without a known address it is the whole
        description.
    @ivar port: L{None} for an endpoint without a port.
    """

    host: str
    port: int | None = None

    @classmethod
    def of(cls, description: ServerDescription) -> ListeningAddress:
        """The address of a description, whether it is valid or not."""
        if description.interfaceAndPort is not None:
            interface, port = description.interfaceAndPort
            return cls(_host(interface), port)
        path = description.path
        return cls(description.text if path is None else os.path.abspath(path))

    def meets(self, other: ListeningAddress) -> bool:
        """Whether it is impossible to listen on both addresses."""
        if self.port != other.port or self.port == 0:
            return False
        if self.host == other.host:
            return True
        if self.port is None:
            return False
        hosts = {self.host, other.host}
        if _IPV4 in hosts:
            return not any(":" in each for each in hosts - {_EVERYWHERE})
        return _EVERYWHERE in hosts


def _host(interface: str) -> str:
    try:
        host = str(ip_address(interface))
    except ValueError:
        try:
            # A short form, such as 127.1.
            host = socket.inet_ntoa(socket.inet_aton(interface))
        except (OSError, UnicodeError):
            host = interface.lower()
    return _IPV4 if host == "0.0.0.0" else host
