"""Chooses a pool by what is known about a connection."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from ..words.connection import Connection
from ..words.networks import Network, Networks


@frozen
class Route:
    """
    A pool, and the connections that go to it.

    @ivar pool: The name of the pool.
    @ivar client: The networks that the client is in one of; empty for any client.
    @ivar address: The networks that the address it connected to is in one of; empty for
        any address.
    """

    pool: str
    client: tuple[Network, ...] = ()
    address: tuple[Network, ...] = ()


class Routes:
    """The routes of one listener, in order, made ready for many connections."""

    __slots__ = ("_routes",)

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(
            (
                each.pool,
                Networks(each.client) if each.client else None,
                Networks(each.address) if each.address else None,
            )
            for each in routes
        )

    def poolOf(self, connection: Connection) -> str | None:
        """
        The name of the pool of the first route that the connection matches.

        @return: L{None} if it matches no route.
        """
        for pool, client, address in self._routes:
            if (client is None or connection.client in client) and (
                address is None or connection.local in address
            ):
                return pool
        return None
