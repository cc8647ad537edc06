"""
One client's journey: its states, and every transition between them.

    routing ---> picking ---> dialling ---> relaying ---> over
       |            |  ^_________|             |           ^
       |            |     failed: the next     |           |
       +------------+-----------+--------------+-> closing-+

While a session routes, picks or dials, its client is read into one bounded
buffer, so that a reset is noticed; an end of stream is remembered.  Whatever
happens, in whatever state: what is pending is cancelled, the lease is released
and the observer is told, each exactly once.

This module is longer than others, so that no transition has to be looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import wraps
from typing import TYPE_CHECKING, TypeGuard, TypeVar, cast

from attrs import field, frozen
from OpenSSL.SSL import Error as TLSError
from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..balance.pool import DirectPools, Lease, Pool
from ..interfaces import IConnectionObserver, IRouter
from ..streams.deadlines import Deadline, Deadlines
from ..streams.relay import Ending, Relay, RelayOptions, join
from ..streams.side import Side
from ..words.backend import Backend, Member
from ..words.connection import Connection, End
from .dialer import Dial, Dialer, DialOptions, shortage
from .question import Question, ask

if TYPE_CHECKING:
    from ..interfaces import ICandidates

_STALE_PICKS = 10
"""
How many times in a row a picker may name, after some thought, a member that
has become unavailable meanwhile.
"""

_ENDS = {
    Ending.CLIENT_ENDED: End.CLIENT_CLOSED,
    Ending.BACKEND_ENDED: End.BACKEND_CLOSED,
    Ending.CLIENT_RESET: End.CLIENT_RESET,
    Ending.BACKEND_RESET: End.BACKEND_RESET,
    Ending.IDLE: End.IDLE_TIMEOUT,
    Ending.STALLED: End.STALL_TIMEOUT,
    Ending.HALF_CLOSED: End.HALF_CLOSE_TIMEOUT,
    Ending.LIFETIME: End.MAX_LIFETIME,
}


@frozen
class SessionOptions:
    """
    What a session allows its plugins and its two sides.

    @ivar routeTimeout: Seconds for a router that does not answer at once.
    @ivar pickTimeout: Seconds for a picker that does not answer at once.
    @ivar handshakeTimeout: Seconds for a client's TLS handshake.
    @ivar keepalive: Seconds after which a silent peer counts as gone; 0 for
        never.
    """

    routeTimeout: float = 10.0
    pickTimeout: float = 10.0
    handshakeTimeout: float = 10.0
    keepalive: float = 60.0
    relay: RelayOptions = field(factory=RelayOptions)


@frozen(eq=False)
class Destination:
    """A pool, and how its members are dialled."""

    pool: Pool
    dial: DialOptions = field(factory=DialOptions)


@frozen(eq=False)
class Policy:
    """
    What all sessions of one listener share.

    @ivar destinations: The pools, by name.
    @ivar pool: The name of the one that is used without a router.
    @ivar exhausted: Called when a dial failed because this process has no more
        descriptors or memory, with the system's words for that.
    """

    destinations: Mapping[str, Destination]
    pool: str
    router: IRouter | None
    options: SessionOptions
    dialer: Dialer
    deadlines: Deadlines
    observer: IConnectionObserver
    exhausted: Callable[[str], object]
    direct: DirectPools = field(factory=DirectPools)


_Step = TypeVar("_Step", bound=Callable[..., None])


def _contained(step: _Step) -> _Step:
    """
    A step of a journey, in which a mistake of ours ends that journey alone.
    """

    @wraps(step)
    def contained(self: Session, *arguments: object) -> None:
        try:
            step(self, *arguments)
        except Exception as error:
            self._log.failure("Connection {id} met a mistake", id=self.connection.id)
            self.abort(End.INTERNAL_ERROR, f"{type(error).__name__}: {error}")

    return cast("_Step", contained)


class _State(Enum):
    ARRIVING = auto()
    ROUTING = auto()
    PICKING = auto()
    DIALLING = auto()
    RELAYING = auto()
    CLOSING = auto()
    OVER = auto()


class Session:
    """
    One client's journey.

    A plain slotted class: there is one for each connection.
    """

    _log = Logger()

    __slots__ = (
        "_candidates",
        "_client",
        "_deadline",
        "_destination",
        "_lease",
        "_pending",
        "_policy",
        "_relay",
        "_stalePicks",
        "_state",
        "_tellOver",
        "_tried",
        "connection",
    )

    def __init__(
        self,
        policy: Policy,
        connection: Connection,
        over: Callable[[Session], object],
    ) -> None:
        """
        @param over: Called with the session when it is over.
        """
        self.connection = connection
        self._tellOver = over
        self._policy = policy
        self._state = _State.ARRIVING
        self._client: Side | None = None
        self._destination: Destination | None = None
        self._candidates: ICandidates | None = None
        self._tried: list[Member] = []
        self._stalePicks = 0
        self._lease: Lease | None = None
        self._pending: Question | Dial | None = None
        self._deadline: Deadline | None = None
        self._relay: Relay | None = None

    # Arriving: the client is here, though its TLS may not be.

    def arrive(self, client: Side) -> None:
        """The client's transport is there."""
        self._client = client
        self._policy.observer.opened(self.connection)

    def awaitHandshake(self) -> None:
        """A client that is not ready by now speaks TLS; it has so long for it."""
        if self._state is _State.ARRIVING:
            self._deadline = self._policy.deadlines.after(
                self._policy.options.handshakeTimeout, self._handshakeLate
            )

    @_contained
    def sideReady(self, side: Side) -> None:
        """The client can be read and written: ask where it belongs."""
        if self._state is not _State.ARRIVING:
            return
        self._cancelDeadline()
        self._state = _State.ROUTING
        router = self._policy.router
        if router is None:
            self._routed(self._policy.pool)
            return
        self._await(
            ask(
                lambda: router.route(self.connection),
                self._policy.deadlines,
                self._policy.options.routeTimeout,
                self._routed,
                self._routeFailed,
            )
        )

    def _handshakeLate(self) -> None:
        assert self._client is not None
        self._record(End.TLS_FAILED, "handshake timeout")
        self._client.abort()

    # Routing.

    @_contained
    def _routed(self, answer: object) -> None:
        destinations = self._policy.destinations
        if answer is None:
            self._close(End.REFUSED_BY_ROUTER)
        elif isinstance(answer, Backend):
            self._setOut(Destination(self._policy.direct.pool(answer)))
        elif not isinstance(answer, str):
            self._close(End.ROUTE_FAILED, _wrongType("router", answer))
        elif answer not in destinations:
            self._close(End.ROUTE_FAILED, f"there is no pool {answer!r}")
        else:
            self._setOut(destinations[answer])

    def _routeFailed(self, failure: Failure) -> None:
        self._close(End.ROUTE_FAILED, _pluginTrouble(failure))

    def _setOut(self, destination: Destination) -> None:
        self._destination = destination
        self.connection.pool = destination.pool.name
        self._pick()

    # Picking.

    def _pick(self) -> None:
        assert self._destination is not None
        self._state = _State.PICKING
        pool = self._destination.pool
        policy = self._policy
        try:
            candidates = pool.candidates(policy.deadlines.seconds(), self._tried)
        except Exception:
            # A picker that watches the membership was told, and raised.
            self._pickFailed(Failure())
            return
        if not len(candidates):
            if self._tried:
                self._close(End.CONNECT_FAILED, self.connection.detail)
            else:
                self._close(End.NO_BACKEND)
            return
        self._candidates = candidates
        self._await(
            ask(
                lambda: pool.picker.pick(candidates, self.connection),
                policy.deadlines,
                policy.options.pickTimeout,
                self._picked,
                self._pickFailed,
            )
        )

    @_contained
    def _picked(self, answer: object) -> None:
        assert self._destination is not None
        assert self._candidates is not None
        if answer is None:
            self._close(End.REFUSED_BY_PICKER)
            return
        if not isinstance(answer, Member):
            self._close(End.PICK_FAILED, _wrongType("picker", answer))
            return
        lease = None
        if answer in self._candidates:
            lease = self._destination.pool.lease(answer)
        if lease is not None:
            self._stalePicks = 0
            self._dial(lease)
        elif self._stalePicks < _STALE_PICKS:
            self._stalePicks += 1
            self._pick()
        else:
            self._close(
                End.PICK_FAILED, f"{answer.name} was picked, which is no candidate"
            )

    def _pickFailed(self, failure: Failure) -> None:
        self._close(End.PICK_FAILED, _pluginTrouble(failure))

    # Dialling.

    def _dial(self, lease: Lease) -> None:
        assert self._destination is not None
        self._state = _State.DIALLING
        self._lease = lease
        policy = self._policy
        options = self._destination.dial
        if self._deadline is None:
            self._deadline = policy.deadlines.after(
                options.dialDeadline, self._dialLate
            )
        self._await(
            policy.dialer.dial(
                lease.backend,
                options.connectTimeout,
                policy.options.keepalive,
                self._connected,
                self._dialFailed,
            )
        )

    @_contained
    def _dialFailed(self, reason: Failure) -> None:
        assert self._destination is not None
        assert self._lease is not None
        lease = self._lease
        lacking = shortage(reason)
        if lacking is None:
            self._tellFailed(lease)
        else:
            self._policy.exhausted(lacking)
        self._releaseLease()
        self._tried.append(lease.member)
        self.connection.tried.append(lease.backend)
        self.connection.detail = f"{lease.backend}: {_brief(reason)}"
        if len(self._tried) > self._destination.dial.retries:
            self._close(End.CONNECT_FAILED, self.connection.detail)
        else:
            self._pick()

    @_contained
    def _dialLate(self) -> None:
        if self._lease is not None:
            # It had its share of the time: to the pool this is a failed dial.
            self._tellFailed(self._lease)
            self.connection.tried.append(self._lease.backend)
        self._close(End.DIAL_DEADLINE, self.connection.detail)

    def _tellFailed(self, lease: Lease) -> None:
        try:
            lease.failed(self._policy.deadlines.seconds())
        except Exception:
            self._log.failure(
                "The picker of pool {pool} failed to note a change",
                pool=self.connection.pool,
            )

    @_contained
    def _connected(self, backend: Side) -> None:
        assert self._lease is not None
        assert self._client is not None
        self._cancelDeadline()
        self._pending = None
        self._state = _State.RELAYING
        self._lease.succeeded()
        connection = self.connection
        connection.detail = ""
        connection.backend = self._lease.backend
        connection.connected = self._policy.deadlines.seconds()
        self._relay = join(
            self._client,
            backend,
            self._policy.deadlines,
            self._policy.options.relay,
            self._relayed,
        )

    # Relaying, and the end of it.

    def _relayed(self, relay: Relay) -> None:
        ending = relay.ending
        if ending is not None and ending is not Ending.ABORTED:
            if _isMistake(relay.reason):
                self._record(End.INTERNAL_ERROR, _pluginTrouble(relay.reason))
            else:
                self._record(_ENDS[ending], _resetDetail(relay.reason))
        self.connection.bytesFromBackend = relay.bytesFromBackend
        self._over()

    # What the client does before it is joined to a backend.

    def sideEnded(self, side: Side) -> None:
        """The client has said all it will say; it may still listen."""
        if not self._policy.options.relay.halfClose:
            self._close(End.CLIENT_CLOSED)

    def sideLost(self, side: Side, reason: Failure) -> None:
        """The client is gone, before it was joined to a backend."""
        if self._state is _State.ARRIVING and not reason.check(ConnectionDone):
            self._record(*_handshakeEnd(reason))
        elif reason.check(ConnectionDone):
            self._record(End.CLIENT_CLOSED)
        else:
            self._record(End.CLIENT_RESET)
        self._over()

    # The ways to an end.

    def abort(self, end: End, detail: str = "") -> None:
        """
        Cut the journey off, wherever it is.

        @param end: Why.
        """
        if self._state is _State.OVER:
            return
        self._record(end, detail)
        self._cancelPending()
        if self._relay is not None:
            self._relay.abort()
        else:
            assert self._client is not None
            self._state = _State.CLOSING
            self._client.abort()

    def _close(self, end: End, detail: str = "") -> None:
        """Give up before there was a backend: close the client in good order."""
        assert self._client is not None
        self._record(end, detail)
        self._cancelPending()
        self._state = _State.CLOSING
        self._client.finish(
            self._policy.deadlines, self._policy.options.relay.closeTimeout
        )

    def _record(self, end: End, detail: str = "") -> None:
        """Write down why it ended; what comes first counts."""
        if self.connection.end is None:
            self.connection.end = end
            self.connection.detail = detail

    def _over(self) -> None:
        if self._state is _State.OVER:
            return
        self._cancelPending()
        self._state = _State.OVER
        connection = self.connection
        connection.closed = self._policy.deadlines.seconds()
        if self._client is not None:
            connection.bytesFromClient = self._client.received
        self._policy.observer.closed(connection)
        self._tellOver(self)

    def _await(self, pending: Question | Dial | None) -> None:
        """Remember what is waited for, unless it has come already."""
        if pending is not None and pending.active:
            self._pending = pending

    def _cancelPending(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()
        self._cancelDeadline()
        self._releaseLease()

    def _cancelDeadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _releaseLease(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()


def _wrongType(plugin: str, answer: object) -> str:
    return f"the {plugin}'s answer is of type {type(answer).__name__}"


def _brief(reason: Failure) -> str:
    """The reason in a few words, on one line."""
    error = reason.value
    if isinstance(error, TLSError):
        return _tlsTrouble(error)
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _tlsTrouble(error: TLSError) -> str:
    """What OpenSSL says of its last error."""
    queue = error.args[0] if error.args else None
    if isinstance(queue, list) and queue:
        return f"TLS: {queue[-1][-1]}"
    return "TLS: connection lost"


def _pluginTrouble(failure: Failure) -> str:
    return f"{type(failure.value).__name__}: {_brief(failure)}"


def _handshakeEnd(reason: Failure) -> tuple[End, str]:
    if _isMistake(reason):
        return End.INTERNAL_ERROR, _pluginTrouble(reason)
    if isinstance(reason.value, TLSError):
        return End.TLS_FAILED, _tlsTrouble(reason.value)
    return End.TLS_FAILED, "the client left during the handshake"


def _isMistake(reason: Failure | None) -> TypeGuard[Failure]:
    """Whether a transport was lost to an exception, rather than to its peer."""
    return reason is not None and not isinstance(
        reason.value, (ConnectionClosed, TLSError)
    )


def _resetDetail(reason: Failure | None) -> str:
    if reason is not None and isinstance(reason.value, TLSError):
        return _tlsTrouble(reason.value)
    return ""
