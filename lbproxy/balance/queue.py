"""The queue of a pool: connections that wait until a member has room for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ..words.backend import Member


class Place:
    """
    The place of one connection in a queue.

    It is kept until the connection has a lease or is over, so that a connection that
    found no room when it was its turn has not lost its place.

    @ivar tried: The members that the connection has dialled without success.
    @ivar only: The only member that it may be sent to, or L{None} for any.
    @ivar called: Whether it is its turn: it is picking a member.
    @ivar isParticular: Whether it cannot be sent to each of the candidates.
    """

    # One for each connection that waits.
    __slots__ = (
        "_call",
        "_queue",
        "_uncalled",
        "called",
        "isParticular",
        "only",
        "tried",
    )

    def __init__(
        self,
        queue: Queue,
        tried: Collection[Member],
        only: Member | None,
        call: Callable[[], object],
        uncalled: Callable[[], object],
    ) -> None:
        self._queue = queue
        self._call = call
        self._uncalled = uncalled
        self.tried = tried
        self.only = only
        self.called = False
        self.isParticular = bool(tried) or only is not None

    def call(self) -> None:
        """Tell the connection that it is its turn."""
        self.called = True
        self._queue.called += 1
        self._call()

    def wait(self) -> None:
        """There was no room after all: wait for another turn, in the same place."""
        if self.called:
            self.called = False
            self._queue.called -= 1
            self._uncalled()

    def leave(self) -> None:
        """Leave the queue; nothing happens if that was done before."""
        self._queue.left(self)


class Queue:
    """
    Connections that wait for room, first come first served.

    @ivar places: The places, from the head.
    @ivar length: How many may wait at most.
    @ivar called: How many of them are picking a member at the moment.
    @ivar particular: How many of them cannot be sent to each of the candidates.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.called = 0
        self.particular = 0
        # A dictionary keeps its order, and one may leave it from anywhere in O(1).
        self.places: dict[Place, None] = {}

    def __iter__(self) -> Iterator[Place]:
        """Iterate over a copy, from the head."""
        return iter(tuple(self.places))

    def join(
        self,
        tried: Collection[Member],
        only: Member | None,
        call: Callable[[], object],
        uncalled: Callable[[], object],
    ) -> Place | None:
        """
        Take the last place.

        @param call: Called when it is the connection's turn.
        @param uncalled: Called when it has picked, or has given up: room that was kept
            for it may be for another connection.
        @return: L{None} if the queue is full.
        """
        if len(self.places) >= self.length:
            return None
        place = Place(self, tried, only, call, uncalled)
        self.places[place] = None
        self.particular += place.isParticular
        return place

    def left(self, place: Place) -> None:
        """A connection has left; its place calls this."""
        if place in self.places:
            del self.places[place]
            self.particular -= place.isParticular
            place.wait()
