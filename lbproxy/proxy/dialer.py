"""
Dial a backend: connect to it, and complete its TLS handshake if there is one.

Backends with C{tcp:} and C{unix:} descriptions are connected to directly, all
others through their endpoint.  The watch limits how long a dial may take.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from ..streams.clientcontexts import ClientContexts
from ..streams.kinds import part
from ..streams.socketdials import DialOwner, SocketDial
from ..streams.socketoptions import tune
from ..streams.sockets import SocketReactor
from ..streams.stream import Stream
from ..streams.tlsclient import ClientTLS
from ..streams.tlsdials import TLSDial
from ..streams.transports import TransportStream
from ..streams.witness import Witness
from ..words.backend import Backend, Member
from ..words.endpoints import ClientDescription, isAddress
from ..words.options import option
from ..words.units import moreThanNone
from ..words.values import wholeNumber
from .attempts import Attempt, SecureWay, Way
from .capacity import SHORTAGES
from .pluginerrors import PluginErrors

if TYPE_CHECKING:
    from ..streams.socketloop import SocketLoop


@frozen
class DialOptions:
    """
    How the members of a pool are dialled.

    @ivar connectTimeout: Seconds that one member may take to accept,
        including its TLS handshake.
    @ivar retries: How many further members are tried after the first.
    @ivar dialDeadline: Seconds for all tries together.
    """

    connectTimeout: float = option(
        moreThanNone,
        "5s",
        "How long one backend may take to accept, TLS handshake included.",
    )
    retries: int = option(
        wholeNumber(0), 3, "How many further members are tried after the first."
    )
    dialDeadline: float = option(
        moreThanNone,
        "15s",
        "How long all dials of one connection may take together.",
    )


_DIRECT = {"tcp": ("host", "port", "timeout", "bindAddress"), "unix": ("path",)}
"""
The endpoints that are connected to without Twisted's endpoint of that kind, each with
the arguments that it may have.
"""


class DialTimeout(Exception):
    """A backend did not accept in time."""


class BackendStream(TransportStream):
    """The protocol on a backend's transport."""


class Dial(Attempt):
    """
    One attempt to connect to one backend: the factory of its one protocol.

    It calls its owner with exactly one outcome, perhaps before L{Dialer.dial}
    returns, unless it is cancelled first.

    @ivar owner: Called with the outcome; L{None} after that.
    @ivar stop: Called to end the attempt.
    """

    def __init__(self, owner: DialOwner, keepalive: float, header: bytes = b"") -> None:
        """
        @param keepalive: Seconds; see L{tune}.
        @param header: What goes first, before TLS.
        """
        self._header = header
        self.owner: DialOwner | None = owner
        self._keepalive = keepalive
        self._stream: BackendStream | None = None
        self._witness: Witness | None = None
        self.stop: Callable[[], object] | None = None

    def cancel(self) -> None:
        """End the attempt, and abort its stream if there is one.  Never raises."""
        self.owner = None
        stop, self.stop = self.stop, None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()
        elif stop is not None:
            stop()

    # Called by the transport, the connector and the stream.

    def preface(self, transport: Any) -> bytes:
        """The PROXY header of a connection over which TLS is spoken."""
        return self._header

    def buildProtocol(self, addr: IAddress | None) -> BackendStream | None:
        """Make the backend's stream; L{None} if the dial was cancelled."""
        if self.owner is None:
            return None
        self._stream = BackendStream(self)
        return self._stream

    def streamShakes(self, stream: Stream) -> None:
        """The TLS handshake begins; it is a part of the dial."""
        if self._stream is not None:
            self._witness = Witness()
            self._witness.watch(self._stream.transport)

    def streamReady(self, stream: Stream) -> None:
        """The backend is connected: pass its stream to the owner."""
        owner, self.owner = self.owner, None
        self._stream = self.stop = None
        if owner is None:
            stream.abort()
            return
        if stream.descriptor is not None:
            tune(stream.descriptor, self._keepalive)
        owner.dialled(stream)

    def streamHeld(self, stream: Stream) -> None:
        """Nothing to do: the backend is not looked at."""

    def streamEnded(self, stream: Stream) -> None:
        """Nothing to do: the stream has recorded it."""

    def streamDeaf(self, stream: Stream) -> None:
        """A part of the handshake could not be sent; the stream will be lost."""

    def streamLost(self, stream: Stream, reason: Failure) -> None:
        """The connection was lost during the TLS handshake."""
        self._stream = None
        if self._witness is not None:
            reason = self._witness.explained(reason)
        self.failed(reason)

    def failed(self, reason: Failure) -> None:
        """End the attempt and call the owner, unless the dial is over already."""
        owner = self.owner
        if owner is not None:
            self.cancel()
            owner.dialFailed(reason)


class Tells(Protocol):
    """Logs what plugins raise, as L{PluginErrors} does."""

    def tell(self, plugin: object, failure: Failure, doing: str) -> None:
        """Log one failure; see L{PluginErrors.tell}."""


@frozen
class SocketWay:
    """
    The way to a TCP address, which can be dialled without a transport as well.

    @ivar loop: Watches the sockets.
    @ivar where: An IP address and a port.
    @ivar local: The IP address to connect from, if not any.
    @ivar connect: The way with a transport.
    """

    loop: SocketLoop
    where: tuple[str, int]
    local: str | None
    connect: Way

    def __call__(self, attempt: Attempt) -> Callable[[], object] | None:
        """Begin an attempt that is given a transport."""
        return self.connect(attempt)


class Dialer:
    """Makes L{Dial}s; the L{Way} to a member is found once and kept in the member."""

    def __init__(
        self, reactor: Any, errors: PluginErrors, contexts: ClientContexts
    ) -> None:
        """
        @param reactor: A reactor that can connect.
        @param errors: Logs what endpoints raise.
        @param contexts: Those of the backends that TLS is spoken to.
        """
        self._reactor = reactor
        self._errors = errors
        self._contexts = contexts

    def dial(
        self,
        member: Member,
        timeout: float,
        keepalive: float,
        owner: DialOwner,
        header: bytes = b"",
    ) -> Dial | SocketDial:
        """
        Begin to connect to a member.

        @param timeout: Seconds; a pool has one for all its dials.
        @param keepalive: Seconds; see L{tune}.
        @param owner: Called with the outcome, now or later.
        @param header: What goes first, if it has to go before TLS.
        @return: The dial, which can be cancelled.
        """
        way = member.way
        if way is None:
            try:
                way = member.way = self._wayTo(member.backend, timeout)
            except BaseException:
                # The configuration is checked, but a router may name any backend.
                way = _impossible(Failure())
        if type(way) is SocketWay:
            return SocketDial(owner, way.loop, way.where, way.local, keepalive)
        dial = Dial(owner, keepalive, header)
        try:
            if type(way) is SecureWay and type(way.below) is SocketWay:
                way.tls.prepare()
                to, makes = way.below, way.tls.connection
                local = to.local
                return TLSDial(
                    owner, to.loop, to.where, local, keepalive, makes, header
                )
            stop = way(dial)
        except BaseException:
            # A plugin's endpoint may raise anything.
            dial.failed(Failure())
        else:
            if dial.owner is not None:
                dial.stop = stop
        return dial

    def _wayTo(self, backend: Backend, timeout: float) -> Way:
        way = wayTo(self._reactor, backend.endpoint, timeout, self._errors)
        if backend.tls is None:
            return way
        tls = ClientTLS(self._contexts, backend.tls, backend.serverName)
        return SecureWay(self._reactor, way, tls)


def _impossible(reason: Failure) -> Way:
    """The way to nowhere."""
    return lambda attempt: attempt.failed(reason)


def wayTo(
    reactor: Any, description: ClientDescription, timeout: float, errors: Tells
) -> Way:
    """
    Return the function that connects to a backend.

    @param timeout: Seconds that a dial may take.
    @param errors: Logs it if a dial cannot be cancelled.
    @raise Exception: What Twisted's parsers raise, if there is no such endpoint.
    """
    known = _DIRECT.get(description.kind, ())
    fields = {name: description.argument(name) for name in known}
    given = {name: value for name, value in fields.items() if value is not None}
    if len(given) == len(description.fields) - 1:  # The kind is a field too.
        if isAddress(given.get("host", "")) and given.get("port", "").isdecimal():
            return _directTCP(reactor, given)
        if description.kind == "unix" and given:
            return _directUNIX(reactor, given["path"])
    # Twisted's default timeout, 30 seconds, would end a dial that may take
    # longer.
    patient = description.withDefault("timeout", math.ceil(timeout) + 1)
    return wayOf(clientFromString(reactor, patient.text), errors)


def wayOf(endpoint: Any, errors: Tells) -> Way:
    """
    Return the function that connects to an endpoint.

    @param endpoint: A Twisted client endpoint.
    @param errors: Logs it if an attempt cannot be cancelled.
    """

    def connect(dial: Attempt) -> Callable[[], object]:
        connecting: Deferred[Any] = endpoint.connect(dial)
        connecting.addCallbacks(_ignore, dial.failed)

        def stop() -> None:
            try:
                connecting.cancel()
            except BaseException:
                # A plugin's canceller may raise anything, too.
                errors.tell(endpoint, Failure(), "connect")

        return stop

    return connect


def _directTCP(reactor: Any, fields: Mapping[str, str]) -> Way:
    host, port = fields["host"], int(fields["port"])
    timeout = int(fields["timeout"]) if "timeout" in fields else None
    address = fields.get("bindAddress")
    local = None if address is None else (address, 0)

    def connect(dial: Attempt) -> Callable[[], object]:
        connector = reactor.connectTCP(host, port, dial, timeout, local)
        return lambda: _disconnect(connector)

    # An address with a zone, and a timeout of its own, are left to Twisted.
    if isinstance(reactor, SocketReactor) and timeout is None and "%" not in host:
        return SocketWay(reactor.loop, (host, port), address, connect)
    return connect


def _directUNIX(reactor: Any, path: str) -> Way:
    def connect(dial: Attempt) -> Callable[[], object]:
        connector = reactor.connectUNIX(path, dial, None)
        # Twisted takes EAGAIN, which is how connect(2) says that a UNIX socket's
        # backlog is full, for "in progress". Depending on the reactor it then
        # tries without pause until its timeout, or fails with "closed cleanly".
        # It connects in the next turn of the reactor, just before this is called.
        reactor.callLater(0, dial.checkBacklog)
        return lambda: _disconnect(connector)

    return connect


def _disconnect(connector: Any) -> None:
    connector.disconnect()
    part(connector)


def _ignore(connected: object) -> None:
    """Do nothing: the stream has called the dial already."""


def shortage(reason: Failure) -> str | None:
    """
    What this process lacked, in the system's words, if a dial failed because of
    that.  L{None} for any other failure, which is due to the backend or how it is
    dialled.
    """
    error = reason.value
    number = getattr(error, "osError", None) or getattr(error, "errno", None)
    return os.strerror(number) if number in SHORTAGES else None
