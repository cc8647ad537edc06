"""
One use of one backend: choose, dial, relay.

An exchange ends in exactly one outcome, whatever its plugins do.  By then it has
released its lease.
"""

from __future__ import annotations

from typing import Protocol

from twisted.python.failure import Failure

from ..balance.lease import Lease
from ..streams.limits import Limit
from ..streams.relay import Ending, Relay
from ..streams.stream import FINISHING, LOST, RESETTING, Mode, Stream
from ..streams.watch import Watch
from ..words.backend import Member
from ..words.connection import Connection, End
from ..words.units import formatDuration
from .answertime import AnswerTime
from .choosing import Choosing
from .dialer import DialTimeout, shortage
from .policy import Destination, Policy
from .proxyheaders import headerOf
from .reasons import brief, isMistake, pluginTrouble, resetDetail
from .states import (
    CLOSING,
    DIALLING,
    EXCHANGE,
    EXPECTING,
    HALF_CLOSED,
    NEW,
    OVER,
    RELAYING,
)

_TICK = 1 / 64
"""Seconds by which a timed-out dial may be short of its timeout: two wheel ticks."""

_ENDS = {
    Ending.CLIENT_ENDED: End.CLIENT_CLOSED,
    Ending.BACKEND_ENDED: End.BACKEND_CLOSED,
    Ending.CLIENT_RESET: End.CLIENT_RESET,
    Ending.BACKEND_RESET: End.BACKEND_RESET,
}

_BY_BACKEND = frozenset({End.BACKEND_CLOSED, End.BACKEND_RESET})
"""The ends that the backend brought about."""


class ExchangeOwner(Protocol):
    """The owner of an exchange, called when it ends: a session."""

    def exchangeClosing(self, end: End, detail: str, how: Mode) -> None:
        """
        No more bytes are relayed: the client is to be closed.  Called once.

        @param how: How the client is to be closed.
        """

    def exchangeOver(self) -> None:
        """The backend is gone too, and the lease is released.  Called once, last."""

    def exchangeFailed(self, failure: Failure) -> None:
        """A step raised an exception, which is a mistake in lbproxy itself."""


class Exchange(Choosing):
    """
    One use of one backend.

    A plain slotted class: there is one for each connection.

    @ivar backend: The stream to the backend, once it is connected.
    """

    __slots__ = (
        "_answerTime",
        "_client",
        "_dialledAt",
        "_endTold",
        "_owner",
        "_relay",
        "backend",
    )

    def __init__(
        self,
        policy: Policy,
        destination: Destination,
        connection: Connection,
        client: Stream,
        watch: Watch,
        owner: ExchangeOwner,
    ) -> None:
        # What Choosing does, without a call.
        self.state = NEW
        self._policy = policy
        self._destination = destination
        self._connection = connection
        self._watch = watch
        self._candidates = self._place = self._lease = self._wait = self._next = None
        self._tried = ()
        self._stalePicks = 0
        self._queuedUntil = 0.0
        self._stepping = False
        self.backend: Stream | None = None
        self._client = client
        self._owner: ExchangeOwner | None = owner
        self._dialledAt = 0.0
        self._relay: Relay | None = None
        self._endTold = False
        self._answerTime: AnswerTime | None = None

    def late(self, limit: Limit) -> None:
        """A time limit of the present wait was reached: end the wait."""
        if limit is Limit.CONNECT:
            timeout = formatDuration(self._destination.dial.connectTimeout)
            self._go(self._dialFailed, Failure(DialTimeout(f"no answer in {timeout}")))
        elif limit is Limit.DIAL:
            self._go(self._dialLate)
        else:
            super().late(limit)

    def abort(self) -> None:
        """
        Stop in whatever state it is, and abort the backend.  The owner closes the
        client.
        """
        self._cancelWait()
        if self.backend is None or self.backend.mode is LOST:
            self._over()
            return
        if self._relay is not None:
            self._relay.stop()
            self._relay = None
        if self.state is not CLOSING:
            self.state = EXCHANGE[self.state][CLOSING]
        self.backend.owner = self
        self.backend.abort()

    # Dialling.

    def _claim(self, member: Member) -> None:
        """Lease the member that was chosen, and dial it."""
        pool = self._destination.pool
        lease = self._lease = pool.lease(member)
        if lease is None:
            self._go(self._pick)
            return
        self._stalePicks = 0
        if self._place is not None:
            self._leaveQueue()
        self.state = EXCHANGE[self.state][DIALLING]
        options, policy = self._destination.dial, self._policy
        now = self._dialledAt = policy.wheel.now()
        if pool.timed is not None:
            self._answerTime = AnswerTime(pool, member, policy.wheel, now)
        row = policy.rows[DIALLING]
        self._watch.wait(row, options.connectTimeout, options.dialDeadline)
        backend, header = member.backend, b""
        if backend.tls is not None and backend.proxyProtocol != "off":
            header = headerOf(self._connection, backend.proxyProtocol)
        self._wait = policy.dialer.dial(
            member, options.connectTimeout, policy.options.keepalive, self, header
        )
        if self.state is OVER:
            self._cancelWait()

    def dialled(self, backend: Stream) -> None:
        """The backend is connected."""
        self._go(self._connected, backend)

    def dialFailed(self, reason: Failure) -> None:
        """The backend could not be connected to."""
        self._go(self._dialFailed, reason)

    def _dialFailed(self, reason: Failure) -> None:
        self._cancelWait()
        lease = self._lease
        assert lease is not None
        lacking = shortage(reason)
        if lacking is not None:
            self._policy.exhausted(lacking)
            if self._answerTime is not None:
                self._answerTime.over()
        else:
            lease.failed(self._policy.wheel.now(), brief(reason))
            if self._answerTime is not None:
                self._answerTime.failed()
        self._lease = None
        lease.release()
        self._tried = (*self._tried, lease.member)
        connection = self._connection
        connection.tried.append(lease.backend)
        self._addReason(lease, brief(reason))
        if len(connection.tried) > self._destination.dial.retries:
            self._fail(End.CONNECT_FAILED, connection.detail)
        else:
            self._go(self._pick)

    def _dialLate(self, _: object) -> None:
        lease, options = self._lease, self._destination.dial
        if lease is not None:
            took = self._policy.wheel.now() - self._dialledAt
            reason = f"no answer in {formatDuration(round(took, 1))}"
            if took >= min(options.connectTimeout, options.dialDeadline) - _TICK:
                lease.failed(self._policy.wheel.now(), reason)
                if self._answerTime is not None:
                    self._answerTime.failed()
            self._connection.tried.append(lease.backend)
            self._addReason(lease, reason)
        elif self.state is EXPECTING:
            self._connection.detail = "no member was found yet"
        self._fail(End.DIAL_DEADLINE, self._connection.detail)

    def _addReason(self, lease: Lease, reason: str) -> None:
        """Add why a dial failed to the record: each member with its own reason."""
        failed = f"{lease.backend}: {reason}"
        before = self._connection.detail
        if failed not in before.split("; "):
            self._connection.detail = f"{before}; {failed}" if before else failed

    # Relaying.

    def _connected(self, backend: Stream) -> None:
        lease, policy, connection = self._lease, self._policy, self._connection
        assert lease is not None
        self._wait = None
        self.state = EXCHANGE[self.state][RELAYING]
        answered = lease.succeeded()
        connection.detail = ""
        connection.backend = lease.member.backend
        now = policy.wheel.now()
        connection.connected = connection.opened + (now - self._watch.opened)
        self.backend = backend
        self._watch.streams += (backend,)
        to = lease.member.backend
        if to.proxyProtocol != "off" and to.tls is None:
            backend.write(headerOf(connection, to.proxyProtocol))
        self._relay = relay = Relay(
            self._client, backend, self, policy.options.halfClose
        )
        answerTime = self._answerTime
        if answerTime is None:
            relay.start(answered)
        else:
            answerTime.connected(now, answered)
            relay.start(answerTime.answered, answerTime.asked)
        if self.state is RELAYING:
            self._watch.relay(policy.rows[RELAYING])

    def relayHalfClosed(self, relay: Relay) -> None:
        """One direction of the relay is over."""
        self.state = EXCHANGE[self.state][HALF_CLOSED]
        backend = self.backend
        assert backend is not None
        if not backend.received and relay.first is Ending.BACKEND_ENDED:
            self._tellEmpty()
        self._watch.relay(self._policy.rows[HALF_CLOSED])

    def relayOver(self, relay: Relay, ending: Ending, reason: Failure | None) -> None:
        """Both directions are over: close what is left."""
        backend, owner = self.backend, self._owner
        assert backend is not None
        assert owner is not None
        self._relay = None
        backend.owner = self
        try:
            self.state = EXCHANGE[self.state][CLOSING]
            how, end, detail = FINISHING, _ENDS[ending], ""
            if not backend.received and end in _BY_BACKEND:
                self._tellEmpty()
            if end is End.CLIENT_RESET or end is End.BACKEND_RESET:
                how, detail = RESETTING, resetDetail(reason)
                if isMistake(reason):
                    end, detail = End.INTERNAL_ERROR, pluginTrouble(reason)
            if how is FINISHING:
                backend.finish(self._watch)
            owner.exchangeClosing(end, detail, how)
            if backend.mode is LOST:
                self._over()
            elif how is not FINISHING:
                backend.reset(self._watch)
        except BaseException:
            owner.exchangeFailed(Failure())

    def _tellEmpty(self) -> None:
        """
        Report to the lease, once, that the member ended the connection without a byte,
        unless the client had ended its stream.  Such a member may accept connections
        without serving them.
        """
        lease = self._lease
        if lease is not None and not self._endTold:
            self._endTold = True
            if not self._client.readEnded:
                lease.endedEmpty(self._policy.wheel.now())
                if self._answerTime is not None:
                    self._answerTime.failed()

    # Called by the backend's stream while it is being closed.

    def streamShakes(self, stream: Stream) -> None:
        """Nothing to do: it was ready before the relay began."""

    def streamReady(self, stream: Stream) -> None:
        """Nothing to do: it was ready before the relay began."""

    def streamHeld(self, stream: Stream) -> None:
        """Nothing to do: it was told to flow."""

    def streamEnded(self, stream: Stream) -> None:
        """Nothing to do: it is being closed."""

    def streamDeaf(self, stream: Stream) -> None:
        """Nothing to do: it is being closed."""

    def streamLost(self, stream: Stream, reason: Failure) -> None:
        """The backend is gone."""
        if self.state is CLOSING:
            self._over()

    # The end.

    def _failed(self, failure: Failure) -> None:
        """A step raised an exception, which is a mistake in lbproxy itself."""
        if self._owner is not None:
            self._owner.exchangeFailed(failure)

    def _fail(self, end: End, detail: str = "") -> None:
        """End the exchange before a backend was connected."""
        owner = self._owner
        self._cancelWait()
        if owner is not None:
            owner.exchangeClosing(end, detail, FINISHING)
        self._over()

    def _over(self) -> None:
        if self.state is OVER:
            return
        self.state = EXCHANGE[self.state][OVER]
        if self._place is not None:
            self._leaveQueue()
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()
        if self._answerTime is not None:
            self._answerTime.over()
        if self.backend is not None:
            self._connection.bytesFromBackend = self.backend.received
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.exchangeOver()
