"""Connections that wait until the first members of a pool are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ..words.backend import Backend


class Arrival:
    """One connection that waits for a member."""

    # One for each connection that waits.
    __slots__ = ("_arrivals", "call")

    def __init__(self, arrivals: Arrivals, call: Callable[[], object]) -> None:
        self._arrivals = arrivals
        self.call = call

    def cancel(self) -> None:
        """Wait no longer; nothing happens if it does not wait any more."""
        self._arrivals.waiting.pop(self, None)


class Arrivals:
    """
    The connections of a pool that wait for members that are looked up.

    @ivar expected: The backends that are listed by a host name which is being looked up
        for the first time; L{None} stands for those that a discovery may find.
    @ivar trouble: Why members cannot be looked up; empty if they can.
    @ivar waiting: The connections that wait, in order.
    """

    def __init__(self) -> None:
        self.expected: Collection[Backend | None] = ()
        self.trouble = ""
        self.waiting: dict[Arrival, None] = {}

    def wait(self, call: Callable[[], object]) -> Arrival:
        """
        Let a connection wait.

        @param call: Called once, when there may be a member or none is expected.
        """
        arrival = Arrival(self, call)
        self.waiting[arrival] = None
        return arrival

    def tell(self) -> None:
        """Have all look again for a member.  Those that find none wait once more."""
        waiting = tuple(self.waiting)
        self.waiting.clear()
        for each in waiting:
            each.call()
