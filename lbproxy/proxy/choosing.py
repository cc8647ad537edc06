"""
Choose a member of a pool for one connection: wait for room, pick, lease.

The steps never nest: if a step leads to another at once, such as a pick that is
refused, a loop takes that one when the first has returned.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.python.failure import Failure

from ..streams.limits import Limit
from ..words.backend import Member
from ..words.connection import Connection, End
from .policy import Destination, Policy
from .reasons import pluginTrouble, wrongType
from .states import EXCHANGE, EXPECTING, OVER, PICKING, QUEUED, RESTING, State
from .wait import Unanswered, Wait

if TYPE_CHECKING:
    from ..balance.lease import Lease
    from ..balance.queue import Place
    from ..interfaces import ICandidates
    from ..streams.watch import Watch

_STALE_PICKS = 10
"""
How many times in a row a picker is asked again after it returned a member that is
no candidate.  A picker that takes some time may return a member that has become
unavailable meanwhile.
"""

RETRY_AFTER = 1.0
"""
Seconds after which a connection that has tried all members tries them again, so that
a pool of one survives the restart of its member; as long as HAProxy waits.
"""


class Cancellable(Protocol):
    """Something that is waited for: an answer, or a dial."""

    def cancel(self) -> None:
        """Wait no longer.  Never raises."""


class Choosing:
    """
    The part of an exchange that chooses a member, again for each of its tries.

    @ivar state: Its state; see L{EXCHANGE}.
    """

    __slots__ = (
        "_candidates",
        "_connection",
        "_destination",
        "_lease",
        "_next",
        "_place",
        "_policy",
        "_queuedUntil",
        "_stalePicks",
        "_stepping",
        "_tried",
        "_wait",
        "_watch",
        "state",
    )

    state: State
    _candidates: ICandidates | None
    _connection: Connection
    _destination: Destination
    _lease: Lease | None
    _next: tuple[Callable[[Any], None], object] | None
    _place: Place | None
    _policy: Policy
    _queuedUntil: float
    _stalePicks: int
    _stepping: bool
    _tried: tuple[Member, ...]
    _wait: Cancellable | None
    _watch: Watch

    @property
    def member(self) -> Member | None:
        """The member that is leased, if one is."""
        return None if self._lease is None else self._lease.member

    def start(self) -> None:
        """Begin to choose."""
        self._go(self._pick)

    def late(self, limit: Limit) -> None:
        """A time limit of the present wait was reached: end the wait."""
        if limit is Limit.PICK:
            self._go(self._pickFailed, Failure(Unanswered("no answer in time")))
        elif limit is Limit.RETRY:
            self._tried = ()
            self._go(self._pick)
        elif limit is Limit.QUEUE:
            self._fail(End.QUEUE_TIMEOUT, self._connection.detail)

    # What a whole exchange does besides.

    def _claim(self, member: Member) -> None:
        """Lease the member that was chosen, and dial it."""
        raise NotImplementedError

    def _fail(self, end: End, detail: str = "") -> None:
        """End before a backend was connected."""
        raise NotImplementedError

    def _failed(self, failure: Failure) -> None:
        """A step raised an exception, which is a mistake in lbproxy itself."""
        raise NotImplementedError

    # Steps.

    def _go(self, step: Callable[[Any], None], argument: object = None) -> None:
        """Take a step now, or as soon as the present step has returned."""
        if self._stepping:
            self._next = (step, argument)
            return
        self._stepping = True
        try:
            if self.state is not OVER:
                step(argument)
            while self._next is not None and self.state is not OVER:
                (step, argument), self._next = self._next, None
                step(argument)
        except BaseException:
            self._failed(Failure())
        finally:
            self._stepping = False
            self._next = None

    def _pick(self, _: object) -> None:
        self.state = EXCHANGE[self.state][PICKING]
        destination = self._destination
        pool, now = destination.pool, self._policy.wheel.now()
        candidates = self._candidates = pool.candidates(now, self._tried)
        only = None
        if destination.backend is None:
            if not candidates:
                self._noCandidates(None)
                return
        else:
            only = pool.memberOf(destination.backend, self._tried, now)
            if only is None or not pool.admits(only, now):
                self._noCandidates(only)
                return
        if pool.queue.places and self._place is None:
            self._queue(only)  # There is room, but others have waited for it.
            return
        if only is not None:
            self._claim(only)
            return
        if pool.timed is not None:
            pool.timed.picking(now)
        try:
            answer = pool.picker.pick(candidates, self._connection)
        except BaseException:
            self._pickRaised(Failure())
            return
        if self.state is OVER:
            return  # The picker stopped the service, or the like.
        if isinstance(answer, Member) and answer in candidates:
            self._claim(answer)
            return
        if not isinstance(answer, Awaitable):
            self._picked(answer)
            return
        self._watch.wait(self._policy.rows[PICKING], self._policy.options.pickTimeout)
        self._wait = Wait(
            answer,
            lambda answer: self._go(self._picked, answer),
            lambda failure: self._go(self._pickRaised, failure),
            lambda failure: self._policy.errors.tell(pool.picker, failure, "pick"),
        )

    def _picked(self, answer: object) -> None:
        self._wait = None
        if answer is None:
            self._fail(End.REFUSED_BY_PICKER)
        elif not isinstance(answer, Member):
            self._fail(End.PICK_FAILED, wrongType("picker", answer))
        elif self._candidates is not None and answer in self._candidates:
            self._claim(answer)
        elif self._stalePicks < _STALE_PICKS:
            self._stalePicks += 1
            self._go(self._pick)
        else:
            reason = f"{answer.name} was picked, which is no candidate"
            self._fail(End.PICK_FAILED, reason)

    def _pickRaised(self, failure: Failure) -> None:
        self._policy.errors.tell(self._destination.pool.picker, failure, "pick")
        self._pickFailed(failure)

    def _pickFailed(self, failure: Failure) -> None:
        self._cancelWait()
        self._fail(End.PICK_FAILED, pluginTrouble(failure))

    # Waiting for a member, for room, or for another try.

    def _noCandidates(self, only: Member | None) -> None:
        """
        Wait for a member or for room, or a moment for those that were tried, or give
        up.

        @param only: The only member that it may be sent to, if there is one.
        """
        destination, connection = self._destination, self._connection
        pool, backend = destination.pool, destination.backend
        if pool.isExpecting(backend):
            if self._place is not None:
                self._place.wait()  # Room is not kept for it meanwhile.
            self.state = EXCHANGE[self.state][EXPECTING]
            longest = destination.dial.dialDeadline
            self._watch.wait(self._policy.rows[EXPECTING], longest, longest)
            self._wait = pool.arrivals.wait(self._arrived)
        elif (backend is None or only is not None) and pool.awaitsRoom(
            self._tried, only
        ):
            self._queue(only)
        elif self._tried:
            if self._place is not None:
                self._place.wait()  # Room is not kept for it while it rests.
            self.state = EXCHANGE[self.state][RESTING]
            self._watch.wait(self._policy.rows[RESTING], RETRY_AFTER)
        else:
            end = End.CONNECT_FAILED if connection.tried else End.NO_BACKEND
            trouble = "" if pool.members else pool.arrivals.trouble
            self._fail(end, connection.detail or trouble)

    def _arrived(self) -> None:
        """There may be a member now, or none is expected any more."""
        self._wait = None
        self._go(self._pick)

    def _queue(self, only: Member | None) -> None:
        """
        Wait for room, in the place that this connection has or in the last one.

        @param only: The only member that it may be sent to.
        """
        destination, now = self._destination, self._policy.wheel.now()
        pool = destination.pool
        self.state = EXCHANGE[self.state][QUEUED]
        if self._place is None:
            self._place = pool.wait(self._tried, only, self._called)
            self._queuedUntil = now + pool.options.queueTimeout
            if self._place is None:
                self._fail(End.QUEUE_FULL, self._connection.detail)
                return
        else:
            self._place.wait()
        self._watch.wait(self._policy.rows[QUEUED], self._queuedUntil - now)

    def _called(self) -> None:
        """There is room for this connection."""
        self._go(self._pick)

    def _leaveQueue(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.leave()

    def _cancelWait(self) -> None:
        wait, self._wait = self._wait, None
        if wait is not None:
            wait.cancel()
