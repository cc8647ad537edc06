"""An observer that remembers the connections that took longest."""

from __future__ import annotations

from heapq import heappushpop
from itertools import count

from zope.interface import implementer

from lbproxy import Connection, IConnectionObserver


@implementer(IConnectionObserver)
class Slowest:
    """Remembers so many connections, and how many seconds each took."""

    def __init__(self, length: int = 10) -> None:
        self._numbers = count()
        self._heap: list[tuple[float, int, Connection | None]] = [
            (0.0, next(self._numbers), None) for _ in range(length)
        ]

    @property
    def connections(self) -> list[Connection]:
        """The longest first."""
        return [
            connection
            for _, _, connection in sorted(self._heap, reverse=True)
            if connection is not None
        ]

    def opened(self, connection: Connection) -> None:
        """Nothing is known yet."""

    def closed(self, connection: Connection) -> None:
        """It is over; how long did it take?"""
        assert connection.closed is not None
        seconds = connection.closed - connection.opened
        heappushpop(self._heap, (seconds, next(self._numbers), connection))
