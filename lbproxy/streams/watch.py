"""
The deadlines of one session, from accept to the last descriptor closed.

A session is in one state at a time, and a table says which limits apply in it
(L{lbproxy.streams.limits}).  No time is recorded for each chunk.  A watch is one
entry of the wheel.  When it is due, it compares the byte counts of its streams
with those of its last look.  It looks eight times within a limit, so a session is
cut off at most an eighth of that limit late, and never early.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

from .limits import LINGER, LOOKS, Limit, Limits, Row
from .pace import Pace
from .stream import ABORTED, FINISHING, LOST, RESETTING, Stream
from .wheel import Entry, Wheel

_FIRST_POLL = 0.002
_LAST_POLL = 0.25
"""
The first and the longest time, in seconds, between looks at whether the last
bytes have been delivered, which no event reports.  The first is hardly longer
than a loopback round trip.  It is doubled up to the longest, which a person would
not notice.
"""


class WatchOwner(Protocol):
    """The owner of a watch, called when a limit was reached."""

    def limitReached(self, limit: Limit, stream: Stream | None) -> None:
        """
        A limit was reached.

        @param limit: Which limit it was.
        @param stream: For L{Limit.DELIVERY}, L{Limit.LINGER} and
            L{Limit.GIVE_UP}, which stream; the watch ends it afterwards.
        """


class _Mark:
    """
    What one stream had counted at the last look.

    @ivar waiting: How many bytes were not delivered.
    @ivar since: When it last took something, or when bytes were first seen
        waiting for it.
    @ivar settled: When it was first seen to close with nothing waiting.
    @ivar aborted: When it was first seen aborted.
    """

    __slots__ = (
        "aborted",
        "accepted",
        "received",
        "settled",
        "since",
        "stream",
        "taken",
        "waiting",
    )

    def __init__(self, stream: Stream, now: float) -> None:
        self.stream = stream
        self.received = stream.received
        self.accepted = stream.accepted
        self.waiting, self.taken = stream.transit()
        self.since = now
        self.settled = self.aborted = inf

    def look(self, now: float) -> bool:
        """Update the mark, and return whether a byte has moved since the last look."""
        stream = self.stream
        moved = False
        if stream.received != self.received:
            self.received = stream.received
            # Input that is discarded is no progress.
            moved = stream.mode is not FINISHING
        if self.waiting or stream.accepted != self.accepted:
            waiting, taken = stream.transit()
            if taken != self.taken:
                moved = True
            if taken != self.taken or not self.waiting:
                self.since = now
            self.waiting, self.taken, self.accepted = waiting, taken, stream.accepted
        return moved

    def lookAtClose(self, now: float, entered: float) -> None:
        """
        Update the mark of a stream that is being closed, and close it if it is
        through.

        @param entered: When the close began.
        """
        mode = self.stream.mode
        if mode is ABORTED:
            self.aborted = min(self.aborted, now)
        elif mode is not LOST and not self.stream.closeIfThrough():
            before = self.waiting
            self.look(now)
            if not self.waiting:
                self.settled = min(self.settled, now if before else entered)

    def polled(self) -> bool:
        """Whether only delivery is waited for, which no event reports."""
        stream = self.stream
        return stream.mode is RESETTING or (
            stream.mode is FINISHING and stream.readEnded and self.waiting > 0
        )


class Watch(Entry):
    """
    The deadlines of one session and its streams.

    @ivar opened: When it was made, at accept, in the seconds of the wheel.
    @ivar pace: How fast its streams may discard.
    @ivar streams: The streams that it watches; each is added when it is
        connected.
    """

    __slots__ = (
        "_counted",
        "_dialUntil",
        "_entered",
        "_limits",
        "_livesUntil",
        "_marks",
        "_moved",
        "_next",
        "_owner",
        "_poll",
        "_row",
        "_waitUntil",
        "_wheel",
        "opened",
        "pace",
        "streams",
    )

    def __init__(
        self, wheel: Wheel, pace: Pace, limits: Limits, owner: WatchOwner
    ) -> None:
        # What Entry does, without a call.
        self._slot = None
        self.pace = pace
        self.streams: tuple[Stream, ...] = ()
        self._wheel = wheel
        self._limits = limits
        self._owner: WatchOwner | None = owner
        self._marks: list[_Mark] | None = None
        self._row = _NOTHING
        self.opened = now = wheel.now()
        self._entered = self._moved = now
        self._livesUntil = now + limits.maxLifetime if limits.maxLifetime else inf
        self._waitUntil = self._dialUntil = self._next = inf
        self._counted = 0
        self._poll = _FIRST_POLL

    def wait(self, row: Row, seconds: float, dial: float = inf) -> None:
        """
        Enter a state in which something is waited for.

        @param row: The limits of the state.
        @param seconds: How long the wait may take.
        @param dial: Seconds for L{Limit.DIAL}, unless it is set already.
        """
        self._row = row
        self._entered = now = self._wheel.now()
        when = self._waitUntil = now + seconds
        if self._dialUntil == inf:
            self._dialUntil = now + dial
        when = min(when, self._dialUntil, self._livesUntil)
        if when < self._next:
            self._next = when
            self._wheel.schedule(self, when)

    def relay(self, row: Row) -> None:
        """
        Enter a state in which bytes flow.

        @param row: The limits of the state.
        """
        self._entered = now = self._wheel.now()
        if self._row.every == inf:
            # So that the first look can tell whether anything has moved yet.
            self._moved = now
            self._dialUntil = inf
            self._counted = 0
            for stream in self.streams:
                self._counted += stream.received + stream.accepted
        self._row = row
        when = min(now + row.every, self._livesUntil)
        if when < self._next:
            self._next = when
            self._wheel.schedule(self, when)

    def closing(self, row: Row, soon: bool) -> None:
        """
        Enter the state in which what is left of the streams is closed.

        @param row: The limits of the state.
        @param soon: Whether to look within milliseconds, for what no event
            reports.
        """
        self._row = row
        self._entered = now = self._wheel.now()
        when = now + min(self._limits.closeTimeout, LINGER) / LOOKS
        if soon:
            when = now + _FIRST_POLL
            self._poll = _FIRST_POLL
        when = min(when, self._livesUntil)
        if when < self._next:
            self._next = when
            self._wheel.schedule(self, when)

    def lookSoon(self) -> None:
        """Look within milliseconds whether the last bytes have been delivered."""
        when = self._wheel.now() + self._poll
        if when < self._next:
            self._next = when
            self._wheel.schedule(self, when)

    def close(self) -> None:
        """Stop watching."""
        self._owner = None
        self.streams = ()
        self._marks = None
        self._wheel.cancel(self)

    # Called by the wheel.

    def due(self) -> None:
        """Look whether a limit was reached, and schedule the next look."""
        self._next = inf
        now = self._wheel.now()
        self._look(now)
        first = min(self._row.limits, key=self._when, default=None)
        if first is not None and self._when(first) <= now:
            self._reached(first, now)
            if self._owner is not None:
                # A stream that was cut off by that may never report that it is
                # gone.
                self._look(now)
        if self._owner is not None:
            when = self._nextLook(now)
            if when < self._next:  # Or it is infinite: every limit is off.
                self._next = when
                self._wheel.schedule(self, when)

    def _look(self, now: float) -> None:
        """Bring the marks up to date."""
        if self._marks is None or len(self._marks) != len(self.streams):
            self._marks = [_Mark(stream, now) for stream in self.streams]
            counted = sum(each.received + each.accepted for each in self.streams)
            if counted != self._counted:
                self._moved = now
        closing = Limit.DELIVERY in self._row.limits
        for mark in self._marks:
            if closing:
                mark.lookAtClose(now, self._entered)
            elif mark.look(now):
                self._moved = now

    def _nextLook(self, now: float) -> float:
        row = self._row
        when = min((self._when(limit) for limit in row.limits), default=inf)
        when = min(when, now + row.every)
        if Limit.DELIVERY in row.limits and self._marks is not None:
            if any(mark.polled() for mark in self._marks):
                when = min(when, now + self._poll)
                self._poll = min(self._poll * 2, _LAST_POLL)
            elif any(mark.waiting for mark in self._marks):
                when = min(when, now + self._limits.closeTimeout / LOOKS)
        return when

    def _when(self, limit: Limit) -> float:
        """When a limit will be reached if nothing moves; infinite for never."""
        limits = self._limits
        if limit is Limit.LIFETIME:
            return self._livesUntil
        if limit is Limit.IDLE:
            return self._moved + (limits.idleTimeout or inf)
        if limit is Limit.HALF_CLOSE:
            return max(self._moved, self._entered) + (limits.halfCloseTimeout or inf)
        if limit is Limit.DIAL:
            return self._dialUntil
        if limit in _OF_ONE:
            return min((self._whenOf(m, limit) for m in self._marks or ()), default=inf)
        return self._waitUntil

    def _whenOf(self, mark: _Mark, limit: Limit) -> float:
        """When one stream will reach a limit that applies to each stream by itself."""
        limits, mode = self._limits, mark.stream.mode
        if limit is Limit.STALL:
            return mark.since + (limits.stallTimeout or inf) if mark.waiting else inf
        if limit is Limit.GIVE_UP:
            return mark.aborted + limits.closeTimeout if mode is ABORTED else inf
        if mode not in (FINISHING, RESETTING):
            return inf
        if limit is Limit.LINGER:
            return mark.settled + LINGER
        since = max(mark.since, self._entered)
        return since + limits.closeTimeout if mark.waiting else inf

    def _reached(self, limit: Limit, now: float) -> None:
        """Call the owner, and end the stream if the limit concerns only one."""
        owner = self._owner
        if owner is None:
            return
        if limit is Limit.LIFETIME:
            self._livesUntil = inf
        if limit not in _ENDS_ONE:
            self._waitUntil = inf
            owner.limitReached(limit, None)
            return
        for mark in self._marks or ():
            if self._whenOf(mark, limit) <= now:
                owner.limitReached(limit, mark.stream)
                if limit is Limit.GIVE_UP:
                    mark.stream.giveUp()
                else:
                    mark.stream.abort()


_NOTHING = Row((), inf)

_ENDS_ONE = frozenset({Limit.DELIVERY, Limit.LINGER, Limit.GIVE_UP})
_OF_ONE = _ENDS_ONE | {Limit.STALL}
