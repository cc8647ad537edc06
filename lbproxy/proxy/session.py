"""
One client's connection, from accept to its record.

A session waits for the client's TLS handshake, or looks at what the client begins
with, asks the router, starts an exchange with a backend, and closes the client.
While it waits, the client is read into one bounded buffer, so that a reset is
noticed.  An end of stream is remembered.  In whatever state a session ends, pending
waits are cancelled, the lease is released and the observer is called, each exactly
once.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..streams.limits import Limit
from ..streams.socketstreams import SocketStream
from ..streams.stream import FINISHING, LOST, Mode, Stream, Unheard
from ..streams.tlsfacts import tlsFacts
from ..streams.tlsserver import refusal
from ..streams.tlsstreams import securedOver
from ..streams.watch import Watch
from ..words.backend import Backend, Member
from ..words.connection import Connection, End
from .exchange import Exchange
from .opening import UNWHOLE, Opening, Refused
from .policy import Destination, Policy
from .reasons import handshakeEnd, isMistake, pluginTrouble, wrongType
from .states import (
    ARRIVING,
    CLOSING,
    EXCHANGING,
    HEADER,
    HELLO,
    NEW,
    OVER,
    ROUTING,
    SESSION,
)
from .termination import Turn
from .wait import Unanswered, Wait

_CUTS = {
    Limit.IDLE: End.IDLE_TIMEOUT,
    Limit.STALL: End.STALL_TIMEOUT,
    Limit.HALF_CLOSE: End.HALF_CLOSE_TIMEOUT,
    Limit.LIFETIME: End.MAX_LIFETIME,
    Limit.DELIVERY: End.STALL_TIMEOUT,
}

_BEFORE_ROUTING = frozenset({NEW, HEADER, HELLO, ARRIVING})


class SessionOwner(Protocol):
    """The owner of a session, called when it begins and when it is over."""

    def sessionBegun(self, session: Session, client: Stream) -> None:
        """The client is connected.  Called once."""

    def sessionOver(self, session: Session) -> None:
        """Both sides are gone, and the observer was called.  Called once."""


class Session:
    """
    One client's connection.

    A plain slotted class: there is one for each connection.

    @ivar connection: What is known about the client's connection.
    @ivar state: Its state; see L{SESSION}.
    @ivar client: The stream to the client.
    @ivar watch: Its deadlines.
    """

    _log = Logger()

    __slots__ = (
        "_exchange",
        "_opening",
        "_owner",
        "_policy",
        "_turn",
        "_wait",
        "client",
        "connection",
        "state",
        "watch",
    )

    def __init__(
        self, policy: Policy, connection: Connection, owner: SessionOwner
    ) -> None:
        self.connection = connection
        self.state = NEW
        self.client: Stream | None = None
        self._owner = owner
        self._policy = policy
        self._wait: Wait | None = None
        self._exchange: Exchange | None = None
        self._opening: Opening | None = None
        self._turn: Turn | None = None
        self.watch = Watch(policy.wheel, policy.pace, policy.options.limits, self)

    @property
    def member(self) -> Member | None:
        """The member that it uses, if it uses one."""
        return None if self._exchange is None else self._exchange.member

    # Arriving: the client is connected; its TLS handshake may still be going on.

    def streamShakes(self, stream: Stream) -> None:
        """The client is connected, and begins its TLS handshake."""
        if self.state is NEW:
            self.client = stream
            self._owner.sessionBegun(self, stream)
            if self.state is not NEW:
                return  # An observer stopped the service.
        self.state = SESSION[self.state][ARRIVING]
        options = self._policy.options
        self.watch.wait(self._policy.rows[ARRIVING], options.handshakeTimeout)
        if self._policy.tls is not None:
            turn = self._turn = Turn(stream.resumeProducing)
            if not self._policy.tls.handshakes.enter(turn):
                stream.pauseProducing()

    def streamReady(self, stream: Stream) -> None:
        """The client can be read and written: route it."""
        try:
            if self.state is NEW:
                self.client = stream
                self._owner.sessionBegun(self, stream)
            if self.state not in _BEFORE_ROUTING:
                return
            policy, pool = self._policy, None
            if self.state is ARRIVING and not self._shaken(stream):
                return
            if policy.openings is not None and not self._isOpened(stream):
                return
            if policy.tls is not None and self.state is not ARRIVING:
                self._secure(stream)
                return
            self.state = SESSION[self.state][ROUTING]
            if policy.routes is not None:
                pool = policy.routes.poolOf(self.connection)
            if pool is None and policy.router is not None:
                self._route()
            else:
                self._exchangeWith(policy.destinations[pool or policy.pool])
        except Refused as refused:
            self.exchangeClosing(refused.end, refused.detail, FINISHING)
        except BaseException:
            self.exchangeFailed(Failure())

    # Opening: what the client begins with is looked at.

    def _isOpened(self, stream: Stream) -> bool:
        """Read on in what the client begins with, and return whether that is all."""
        policy = self._policy
        if self._opening is None:
            assert policy.openings is not None
            secured = self.state is ARRIVING
            self._opening = Opening(policy.openings, self.connection, secured)
        state = self._opening.read(stream)
        if state is not None and state is not self.state:
            self.state = SESSION[self.state][state]
            self.watch.wait(policy.rows[state], policy.options.patience(state))
        stream.tellsHeld = state is not None
        return state is None

    def _secure(self, stream: Stream) -> None:
        """Begin the TLS handshake of a client whose PROXY header was read before."""
        tls = self._policy.tls
        assert tls is not None
        assert isinstance(stream, SocketStream)
        secured = securedOver(stream, self, tls.server.connection(None))
        self.client = secured
        self.watch.streams = (secured,)
        secured.begin()

    def _shaken(self, stream: Stream) -> bool:
        """
        The TLS handshake is complete: record what it has agreed on.

        @return: Whether the client is served.
        """
        self._leaveTurn()
        secured = stream.tlsConnection()
        if secured is None:
            return True
        if refused := refusal(secured):
            # It has resumed a session, for which it needed no certificate.
            self.abort(End.TLS_FAILED, refused)
            return False
        self.connection.tls = tls = tlsFacts(secured)
        self.connection.serverName = tls.serverName
        if tls.alpn:
            self.connection.offeredProtocols = (tls.alpn.encode(),)
        return True

    def _leaveTurn(self) -> None:
        """The TLS handshake is over: another one may begin."""
        turn, self._turn = self._turn, None
        if turn is not None and self._policy.tls is not None:
            self._policy.tls.handshakes.leave(turn)

    # Routing.

    def _route(self) -> None:
        router = self._policy.router
        assert router is not None
        try:
            answer = router.route(self.connection)
        except BaseException:
            self._routeRaised(Failure())
            return
        if self.state is not ROUTING:
            return  # The router stopped the service, or the like.
        if isinstance(answer, str) or not isinstance(answer, Awaitable):
            self._routed(answer)
            return
        options = self._policy.options
        self.watch.wait(self._policy.rows[ROUTING], options.routeTimeout)
        wait = Wait(
            answer,
            self._routed,
            self._routeRaised,
            lambda failure: self._policy.errors.tell(router, failure, "route"),
        )
        if self.state is ROUTING:
            self._wait = wait

    def _routed(self, answer: object) -> None:
        self._wait = None
        try:
            if answer is None:
                self.exchangeClosing(End.REFUSED_BY_ROUTER, "", FINISHING)
            elif isinstance(answer, Backend):
                self._exchangeWith(self._policy.destinationOf(answer))
            elif not isinstance(answer, str):
                self._refuse(wrongType("router", answer))
            elif answer not in self._policy.destinations:
                self._refuse(f"there is no pool {answer!r}")
            else:
                self._exchangeWith(self._policy.destinations[answer])
        except BaseException:
            self.exchangeFailed(Failure())

    def _routeRaised(self, failure: Failure) -> None:
        self._wait = None
        self._policy.errors.tell(self._policy.router, failure, "route")
        if self.state is ROUTING:
            # Otherwise the router stopped the service before it raised.
            self._refuse(pluginTrouble(failure))

    def _refuse(self, detail: str) -> None:
        self.exchangeClosing(End.ROUTE_FAILED, detail, FINISHING)

    # Exchanging.

    def _exchangeWith(self, destination: Destination) -> None:
        self.state = SESSION[self.state][EXCHANGING]
        assert self.client is not None
        self.connection.pool = destination.pool.name
        self._exchange = exchange = Exchange(
            self._policy, destination, self.connection, self.client, self.watch, self
        )
        exchange.start()

    def exchangeClosing(self, end: End, detail: str, how: Mode) -> None:
        """No more bytes are relayed: close the client."""
        assert self.client is not None
        if self.connection.end is None:
            self.connection.end = end
            self.connection.detail = detail
        self.state = SESSION[self.state][CLOSING]
        self.client.owner = self
        gone = False
        if how is FINISHING:
            gone = self.client.finish(self.watch)
        else:
            self.client.reset(self.watch)
        exchange = self._exchange
        backend = None if exchange is None else exchange.backend
        if gone and exchange is None:
            self._over()
        elif gone and (backend is None or backend.mode is LOST):
            return  # The exchange is over in a moment.
        elif self.state is CLOSING:
            soon = how is not FINISHING
            self.watch.closing(self._policy.rows[CLOSING], soon)

    def exchangeOver(self) -> None:
        """The backend is gone."""
        self._exchange = None
        if self.client is None or self.client.mode is LOST:
            self._over()

    def exchangeFailed(self, failure: Failure) -> None:
        """A mistake in lbproxy itself ends this connection alone."""
        self._log.failure(
            "Connection {id} was ended by a mistake in lbproxy",
            failure=failure,
            id=self.connection.id,
        )
        self.abort(End.INTERNAL_ERROR, pluginTrouble(failure))

    # Called by the client's stream while it is not in a relay.

    def streamHeld(self, stream: Stream) -> None:
        """More of what the client begins with has arrived."""
        self.streamReady(stream)

    def streamEnded(self, stream: Stream) -> None:
        """The client has ended its stream; it may still read."""
        if self.state in UNWHOLE:
            detail = f"before its {UNWHOLE[self.state]} was whole"
            said = detail if stream.peek(1) else ""
            self.exchangeClosing(End.CLIENT_CLOSED, said, FINISHING)
        elif self.state is not CLOSING and not self._policy.options.halfClose:
            self._stop()
            self.exchangeClosing(End.CLIENT_CLOSED, "", FINISHING)

    def streamDeaf(self, stream: Stream) -> None:
        """Nothing to do: nothing was to be sent yet, and all later sends will fail."""

    def streamLost(self, stream: Stream, reason: Failure) -> None:
        """The client is gone."""
        if self.state is not CLOSING:
            if reason.check(Unheard):
                self._record(End.CLIENT_CLOSED)  # As health checks of clouds do.
            elif self.state is ARRIVING and not reason.check(ConnectionDone):
                self._record(*handshakeEnd(reason, stream.tlsConnection()))
            elif reason.check(ConnectionDone):
                self._record(End.CLIENT_CLOSED)
            elif isMistake(reason):
                self._record(End.INTERNAL_ERROR, pluginTrouble(reason))
            else:
                self._record(End.CLIENT_RESET)
            self._stop()
        if self._exchange is None:
            self._over()

    # What ends it.

    def limitReached(self, limit: Limit, stream: Stream | None) -> None:
        """A limit was reached: end the wait or the connection that it applies to."""
        if limit is Limit.HANDSHAKE:
            waited = self._turn is not None and self._turn.waited
            more = ", after it waited for its turn" if waited else ""
            self.abort(End.TLS_FAILED, f"handshake timeout{more}")
        elif self.state in UNWHOLE and limit is not Limit.LIFETIME:
            late = Refused.late(self.state, self._policy.options.patience(self.state))
            self.abort(late.end, late.detail)
        elif limit is Limit.ROUTE:
            wait, self._wait = self._wait, None
            if wait is not None:
                wait.cancel()
            self._refuse(pluginTrouble(Failure(Unanswered("no answer in time"))))
        elif limit is Limit.DELIVERY or (
            limit is Limit.LIFETIME and self.state is CLOSING
        ):
            self._cutOff(_CUTS[limit], stream)
        elif limit in _CUTS:
            self.abort(_CUTS[limit])
        elif self._exchange is not None and stream is None:
            self._exchange.late(limit)

    def abort(self, end: End, detail: str = "") -> None:
        """
        Cut the connection off at once, in whatever state it is.

        @param end: Why, for the record.
        """
        if self.client is None or self.state is OVER:
            return
        self._record(end, detail)
        self._stop()
        if self.state is not CLOSING:
            self.state = SESSION[self.state][CLOSING]
        self.client.owner = self
        self.client.abort()
        if self.state is CLOSING:
            self.watch.closing(self._policy.rows[CLOSING], soon=True)
            if self._exchange is None and self.client.mode is LOST:
                self._over()

    def _cutOff(self, end: End, stream: Stream | None) -> None:
        """
        An orderly close took too long: record C{end} if bytes were not delivered.

        @param stream: The stream that the watch aborts; L{None} to abort all
            here.
        """
        backend = self._exchange.backend if self._exchange is not None else None
        streams = [each for each in (self.client, backend) if each is not None]
        left = any(each.transit()[0] for each in streams)
        if left and self.connection.end is not None and self.connection.end.normal:
            self.connection.end = end
        if stream is None:
            for each in streams:
                each.abort()

    def _stop(self) -> None:
        """Cancel the pending wait, and abort the exchange."""
        self._leaveTurn()
        wait, self._wait = self._wait, None
        if wait is not None:
            wait.cancel()
        if self._exchange is not None:
            self._exchange.abort()

    def _record(self, end: End, detail: str = "") -> None:
        """Record why the session ended; the first reason counts."""
        if self.connection.end is None:
            self.connection.end = end
            self.connection.detail = detail

    def _over(self) -> None:
        """End the session: all steps are taken, even if the observer raises."""
        if self.state is OVER:
            return
        self.state = SESSION[self.state][OVER]
        connection = self.connection
        connection.closed = connection.opened + (
            self._policy.wheel.now() - self.watch.opened
        )
        if self.client is not None:
            connection.bytesFromClient = self.client.received
        self.watch.close()
        try:
            self._policy.observer.closed(connection)
        except BaseException:
            self._log.failure("The end of connection {id} failed", id=connection.id)
        self._owner.sessionOver(self)
