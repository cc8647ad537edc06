"""
Thousands of timeouts on one delayed call.

A proxy sets several deadlines for every connection and meets hardly any of
them, so setting, moving and cancelling are made cheap and expiry need not be.
A deadline that is moved later only writes down the new time; its place in the
heap is corrected when it comes up.  One that is cancelled stays in the heap,
empty, until it comes up or until such entries are the majority, when the heap is
swept: an amortised constant for each cancellation.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_SWEEP_FROM = 64
"""A heap of up to this many entries is not worth a sweep."""


class Deadline:
    """
    One moment at which something is called, unless it is moved or cancelled.

    A plain slotted class: two or three are made for each connection.

    @ivar due: When, in the seconds of the clock.
    """

    __slots__ = ("_callback", "_deadlines", "_queued", "due")

    def __init__(
        self, deadlines: Deadlines, due: float, callback: Callable[[], object]
    ) -> None:
        self._deadlines = deadlines
        self.due = due
        self._queued = due
        self._callback: Callable[[], object] | None = callback

    @property
    def active(self) -> bool:
        """Whether it is still to come."""
        return self._callback is not None

    def move(self, due: float) -> None:
        """
        Let it be due at another time: in O(1) when that is later than it was
        ever queued for, which is what each byte does to an idle deadline.
        Without effect on one that has come or was cancelled.

        @param due: In the seconds of the clock.
        """
        self.due = due
        if due < self._queued and self._callback is not None:
            self._deadlines._queue(self)

    def cancel(self) -> None:
        """Let it never come; without effect when it has come already."""
        if self._callback is not None:
            self._callback = None
            self._deadlines._cancelled()


class Deadlines:
    """
    All the deadlines of one service, on one delayed call of one clock.

    @ivar seconds: The clock's own C{seconds}.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.seconds: Callable[[], float] = clock.seconds
        self._clock = clock
        self._heap: list[tuple[float, int, Deadline]] = []
        self._sequence = 0
        self._live = 0
        self._call: IDelayedCall | None = None
        self._wakesAt = 0.0

    def after(self, delay: float, callback: Callable[[], object]) -> Deadline:
        """
        Call something once, some time from now.  What it raises is logged and
        disturbs no other deadline.

        @param delay: Seconds, 0 or more.
        """
        deadline = Deadline(self, self.seconds() + delay, callback)
        self._live += 1
        self._queue(deadline)
        return deadline

    def __len__(self) -> int:
        """How many deadlines are still to come."""
        return self._live

    def _queue(self, deadline: Deadline) -> None:
        deadline._queued = deadline.due
        self._sequence += 1
        heappush(self._heap, (deadline.due, self._sequence, deadline))
        self._wake()

    def _cancelled(self) -> None:
        self._live -= 1
        if not self._live:
            self._heap.clear()
            self._wake()
        elif len(self._heap) > max(_SWEEP_FROM, 2 * self._live):
            self._heap[:] = [
                entry
                for entry in self._heap
                if entry[2].active and entry[0] == entry[2]._queued
            ]
            heapify(self._heap)

    def _wake(self) -> None:
        """See to it that the delayed call comes for the head of the heap."""
        if not self._heap:
            if self._call is not None:
                self._call.cancel()
                self._call = None
            return
        first = self._heap[0][0]
        if self._call is not None:
            if first >= self._wakesAt:
                return
            self._call.cancel()
        self._wakesAt = first
        self._call = self._clock.callLater(max(0.0, first - self.seconds()), self._run)

    def _run(self) -> None:
        self._call = None
        # Not earlier than what was asked for: a clock's rounding would have the
        # call come a hair too soon, again and again.
        now = max(self.seconds(), self._wakesAt)
        heap = self._heap
        while heap and heap[0][0] <= now:
            queued, _, deadline = heappop(heap)
            callback = deadline._callback
            if callback is None or queued != deadline._queued:
                continue
            if deadline.due > now:
                self._sequence += 1
                deadline._queued = deadline.due
                heappush(heap, (deadline.due, self._sequence, deadline))
            else:
                deadline._callback = None
                self._live -= 1
                try:
                    callback()
                except Exception:
                    self._log.failure("A deadline's callback failed")
        self._wake()
