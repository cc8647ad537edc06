"""
Join two transports: bytes both ways under back-pressure, until both are gone.

Each side is the other's producer.  What a transport cannot send at once it
buffers, and past its limit it pauses the side that the bytes come from, so a
relay holds at most what one read brings plus one transport's buffer, each way.

How a relay ends:

  - an end of stream on one side is passed on as one, and the other direction
    goes on until its own; when both have ended, both transports close;
  - without half-close, the first end of stream finishes both sides;
  - a reset is passed on as a reset, after what came before it;
  - a deadline (see L{RelayOptions}) cuts both sides off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, auto

from attrs import frozen
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from .deadlines import Deadline, Deadlines
from .side import Side

_LOOKS = 8
"""
How many times within a stall timeout a blocked side is looked at: it is cut
off at most an eighth of that time late.
"""


@frozen
class RelayOptions:
    """
    What a relay allows.  All times are seconds; 0 switches one off, except
    C{closeTimeout}.

    @ivar idleTimeout: Without a byte either way.
    @ivar maxLifetime: From the join, whatever happens.
    @ivar halfClose: Whether one direction goes on when the other has ended.
    @ivar halfCloseTimeout: Without progress after one side has ended.
    @ivar stallTimeout: Without a byte accepted by a side that has some waiting
        for it.
    @ivar closeTimeout: Without a byte accepted by a side that is being closed.
    """

    idleTimeout: float = 3600.0
    maxLifetime: float = 0.0
    halfClose: bool = True
    halfCloseTimeout: float = 300.0
    stallTimeout: float = 300.0
    closeTimeout: float = 30.0


class Ending(Enum):
    """
    What ended a relay.  The first of these counts; only the two that are no
    fault give way to one that is.
    """

    CLIENT_ENDED = auto()
    BACKEND_ENDED = auto()
    CLIENT_RESET = auto()
    BACKEND_RESET = auto()
    IDLE = auto()
    STALLED = auto()
    HALF_CLOSED = auto()
    LIFETIME = auto()
    ABORTED = auto()


_ORDERLY = (Ending.CLIENT_ENDED, Ending.BACKEND_ENDED)


@implementer(IPushProducer)
class _Direction:
    """
    One of the two ways through a relay: the producer of what its target sends.

    @ivar ended: What it means for the relay when the source ends its stream.
    @ivar reset: What it means when the source is reset.
    @ivar blocked: Whether the target has paused the source.
    @ivar moved: When the target last took something, as far as is known.
    """

    __slots__ = (
        "_attached",
        "_delivered",
        "_relay",
        "_waited",
        "blocked",
        "ended",
        "moved",
        "reset",
        "source",
        "target",
    )

    def __init__(
        self, relay: Relay, source: Side, target: Side, ended: Ending, reset: Ending
    ) -> None:
        self._relay = relay
        self.source = source
        self.target = target
        self.ended = ended
        self.reset = reset
        self.blocked = False
        self.moved = relay.moved
        self._delivered = 0
        self._waited = False
        self._attached = False

    def attach(self) -> None:
        """Become the producer of what the target sends."""
        self._attached = True
        self.target.feed(self)

    def detach(self) -> None:
        """Cease to be; no transport closes while something produces for it."""
        if self._attached:
            self._attached = False
            self.target.starve()

    def take(self, data: bytes) -> None:
        """Pass on what the source has read."""
        self._relay.moved = self._relay.seconds()
        self.target.write(data)

    def pauseProducing(self) -> None:
        """The target's buffer is full."""
        if not self.blocked:
            self.blocked = True
            self.moved = self._relay.seconds()
            self.source.pause()

    def resumeProducing(self) -> None:
        """The target's buffer is empty again."""
        self.blocked = False
        self.moved = self._relay.moved = self._relay.seconds()
        self.source.resume()

    def stopProducing(self) -> None:
        """The target is gone, of which the relay is told by the target itself."""

    def waiting(self, now: float) -> bool:
        """
        Whether the target has something waiting for it; C{moved} is brought up
        to date on the way.
        """
        backlog = self.target.backlog()
        # As long as this stays the same, the target has taken nothing, even if
        # more was written for it meanwhile.
        delivered = self.target.sent - backlog
        if delivered != self._delivered and (backlog or self._waited):
            # At some time since the last look; to say now cuts nobody off early.
            self.moved = self._relay.moved = now
        self._delivered = delivered
        self._waited = backlog > 0
        return self.blocked or self._waited


class Relay:
    """
    Two joined sides; made by L{join}.

    @ivar moved: When a byte last moved, either way.
    @ivar ending: What ended it, once something has.
    @ivar reason: What the transport said that was reset, if one was.
    """

    __slots__ = (
        "_backward",
        "_deadline",
        "_deadlines",
        "_done",
        "_forward",
        "_options",
        "_started",
        "ending",
        "moved",
        "reason",
        "seconds",
    )

    def __init__(
        self,
        client: Side,
        backend: Side,
        deadlines: Deadlines,
        options: RelayOptions,
        done: Callable[[Relay], object],
    ) -> None:
        self.seconds = deadlines.seconds
        self._deadlines = deadlines
        self._options = options
        self._done = done
        self._started = self.moved = self.seconds()
        self.ending: Ending | None = None
        self.reason: Failure | None = None
        self._forward = _Direction(
            self, client, backend, Ending.CLIENT_ENDED, Ending.CLIENT_RESET
        )
        self._backward = _Direction(
            self, backend, client, Ending.BACKEND_ENDED, Ending.BACKEND_RESET
        )
        self._deadline: Deadline | None = None

    def start(self) -> None:
        """
        Let bytes flow: what either side has said so far goes first, and an end
        of stream that came before the join is passed on after it.
        """
        directions = (self._forward, self._backward)
        for direction in directions:
            direction.source.owner = self
            direction.attach()
        self._watch()
        for direction in directions:
            source = direction.source
            source.release(direction.take)
            if source.readEnded and not source.lost:
                self.sideEnded(source)
            elif not direction.blocked:
                source.resume()

    def abort(self, ending: Ending = Ending.ABORTED) -> None:
        """Cut both sides off at once; what was not sent is dropped."""
        self._end(ending)
        self._unwatch()
        for direction in (self._forward, self._backward):
            direction.detach()
            direction.source.abort()

    @property
    def bytesFromBackend(self) -> int:
        """How many bytes the backend has sent."""
        return self._backward.source.received

    # What the sides tell.

    def sideReady(self, side: Side) -> None:
        """Nothing new: both sides were ready when they were joined."""

    def sideEnded(self, side: Side) -> None:
        """Pass the end of one side's stream on, or finish both sides."""
        onward = self._from(side)
        self._end(onward.ended)
        self.moved = self.seconds()
        onward.detach()
        if self._options.halfClose:
            onward.target.endWriting()
            self._watch()
        else:
            self._from(onward.target).detach()
            self._unwatch()
            for each in (onward.target, side):
                each.finish(self._deadlines, self._options.closeTimeout)

    def sideLost(self, side: Side, reason: Failure) -> None:
        """One side is gone: in good order or not, so must the other go."""
        onward = self._from(side)
        orderly = reason.check(ConnectionDone) is not None
        if side.cutOff:
            self._end(Ending.STALLED)
        elif orderly:
            self._end(onward.ended)
        elif not side.closing:
            self._end(onward.reset)
            self.reason = self.reason or reason
        other = onward.target
        if other.lost:
            self._unwatch()
            self._done(self)
            return
        onward.detach()
        self._unwatch()
        if orderly and not side.cutOff:
            other.finish(self._deadlines, self._options.closeTimeout)
        else:
            other.reset(self._deadlines, self._options.closeTimeout)

    def _from(self, side: Side) -> _Direction:
        return self._forward if side is self._forward.source else self._backward

    def _end(self, ending: Ending) -> None:
        if self.ending is None or (self.ending in _ORDERLY and ending not in _ORDERLY):
            self.ending = ending

    # The deadlines.

    def _watch(self) -> None:
        """See to it that the relay is looked at when something may be due."""
        now = self.seconds()
        due = min((due for due, _ in self._dues(now)), default=None)
        if due is None:
            return
        if self._deadline is not None and self._deadline.active:
            self._deadline.move(due)
        else:
            self._deadline = self._deadlines.after(max(0.0, due - now), self._look)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _look(self) -> None:
        """A deadline may have passed; usually bytes have moved since."""
        now = self.seconds()
        due, ending = min(self._dues(now), key=_when)
        if due > now or ending is None:
            self._watch()
        else:
            self.abort(ending)

    def _dues(self, now: float) -> Iterator[tuple[float, Ending | None]]:
        """
        When to look again, and what it will mean if nothing has changed until
        then; L{None} means just a look.
        """
        options = self._options
        directions = (self._forward, self._backward)
        ended = sum(direction.source.readEnded for direction in directions)
        stall = options.closeTimeout if ended == 2 else options.stallTimeout
        if stall:
            waiting = [each for each in directions if each.waiting(now)]
            yield now + (stall / _LOOKS if waiting else stall), None
            for each in waiting:
                yield each.moved + stall, Ending.STALLED
        if options.maxLifetime:
            yield self._started + options.maxLifetime, Ending.LIFETIME
        if ended == 2:
            yield self.moved + options.closeTimeout, self.ending
        elif ended == 1:
            if options.halfCloseTimeout:
                yield self.moved + options.halfCloseTimeout, Ending.HALF_CLOSED
        elif options.idleTimeout:
            yield self.moved + options.idleTimeout, Ending.IDLE


def join(
    client: Side,
    backend: Side,
    deadlines: Deadlines,
    options: RelayOptions,
    done: Callable[[Relay], object],
) -> Relay:
    """
    Join two sides that are both ready.

    @param done: Called once, with the relay, when both sides are gone; its
        C{ending} says what ended it.
    """
    relay = Relay(client, backend, deadlines, options, done)
    relay.start()
    return relay


def _when(due: tuple[float, object]) -> float:
    return due[0]
