"""Chooses a pool by what is known about a connection."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from ..words.connection import Connection
from ..words.networks import Network, Networks
from ..words.servernames import ServerNames


@frozen
class Route:
    """
    A pool, and the connections that go to it.

    @ivar pool: The name of the pool.
    @ivar client: The networks that the client is in one of; empty for any client.
    @ivar address: The networks that the address it connected to is in one of; empty for
        any address.
    @ivar serverName: The names that the client asks for one of in its TLS handshake;
        empty for any name, and for none.  See L{parseServerName}.
    @ivar alpn: The protocols that it offers one of in its TLS handshake; empty for any.
    """

    pool: str
    client: tuple[Network, ...] = ()
    address: tuple[Network, ...] = ()
    serverName: tuple[str, ...] = ()
    alpn: tuple[bytes, ...] = ()

    @property
    def asksHello(self) -> bool:
        """Whether the client's TLS handshake has to be looked at for it."""
        return bool(self.serverName or self.alpn)


class Routes:
    """The routes of one listener, in order, made ready for many connections."""

    __slots__ = ("_routes",)

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(
            (
                each.pool,
                Networks(each.client) if each.client else None,
                Networks(each.address) if each.address else None,
                ServerNames(each.serverName) if each.serverName else None,
                frozenset(each.alpn),
            )
            for each in routes
        )

    def poolOf(self, connection: Connection) -> str | None:
        """
        The name of the pool of the first route that the connection matches.

        @return: L{None} if it matches no route.
        """
        for pool, client, address, serverName, alpn in self._routes:
            if (
                (client is None or connection.client in client)
                and (address is None or connection.local in address)
                and (serverName is None or connection.serverName in serverName)
                and (not alpn or not alpn.isdisjoint(connection.offeredProtocols))
            ):
                return pool
        return None
