"""
A stream over one of Twisted's transports: the protocol on it.

Only this module and L{lbproxy.streams.kinds} depend on what Twisted's transports
can and cannot do.  So this module is longer than others.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from OpenSSL.SSL import Connection as TLSConnection
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .buffered import BufferedStream
from .kinds import KINDS, OTHER, UNACKNOWLEDGED, Found, Kind, readOut
from .socketkinds import OnLoop
from .socketstreams import begun
from .stream import (
    ABORTED,
    FINISHING,
    LOST,
    OPEN,
    RESETTING,
    Closer,
    Facts,
    GivenUp,
    Overrun,
    StreamOwner,
    Truncated,
)

_SEND_LIMIT = 128 * 1024
"""Bytes offered to the kernel at once, as Twisted does."""

_ONLY_WRITING = frozenset({errno.EPIPE, errno.ENOMEM})
"""
Errors of a send after which an end of stream that is read is the peer's own:
EPIPE means that the peer had ended its stream before, or does not read.
"""


@implementer(IHalfCloseableProtocol, IHandshakeListener, IPushProducer, IConsumer)
class TransportStream(BufferedStream, Protocol):
    """
    One end of a connection, over a transport of Twisted's or of a plugin's.
    L{lbproxy.streams.stream.Stream} describes its methods.

    @ivar descriptor: The transport that has the socket, if that is known.
    @ivar sent: How many bytes the kernel has taken.
    @ivar taken: How many of these are known to be delivered.
    """

    _log = Logger()

    transport: Any = None
    descriptor: Any = None
    facts = Facts()
    mode = OPEN
    readEnded = False
    endAsked = False
    writeClosed = False
    deaf = False
    paused = False
    tellsHeld = False
    received = 0
    accepted = 0
    _closer: Closer | None = None
    _held: bytes | bytearray = b""
    _receive: Callable[[bytes], object] | None = None
    _discards = False
    _overrun = False
    _fed = False
    sent = 0
    taken = 0
    # For TLS: how many bytes were accepted when there was so much ciphertext of
    # them.
    markPlain = markCipher = deliveredPlain = 0
    _kind: Kind = OTHER
    _shaken = False
    _dead = False
    _truncated = False

    def __init__(self, owner: StreamOwner) -> None:
        self.owner: StreamOwner | None = owner

    # Called by the transport.

    def makeConnection(self, transport: Any) -> None:
        """Use a transport that has just been connected."""
        if isinstance(transport, OnLoop):
            # From now on the owner deals with the socket without this in between.
            owner, self.owner = self.owner, None
            assert owner is not None
            begun(owner, transport)
            return
        self.transport = transport
        self.connected = 1
        kind = self._kind = KINDS.get(type(transport), OTHER)
        self.facts = kind.attach(self, transport)
        assert self.owner is not None
        if kind.shakes:
            self.owner.streamShakes(self)
        else:
            self.owner.streamReady(self)

    def handshakeCompleted(self) -> None:
        """TLS is established."""
        self._shaken = True
        if self.owner is not None:
            self.owner.streamReady(self)

    def dataReceived(self, data: bytes) -> None:
        """Count what arrived, and pass it on or hold it."""
        self.received += len(data)
        receive = self._receive
        if receive is None or (self.paused and not self.facts.pauses):
            self._keep(data)
        else:
            receive(data)

    def readConnectionLost(self) -> None:
        """
        The peer has ended its stream, or was reset.  Twisted also calls this for
        a socket that has hung up, that was paused when the reactor polled it, and
        that was resumed since.  Such a socket may still have unread input.
        """
        if self._dead:
            # The failed send has cleared the socket's error.  What looks like an
            # end of stream is the end of the input that came before the reset.
            self.abort()
            return
        if self.descriptor is not None and readOut(self) is Found.RESET:
            # The socket's error has been read now.  An end that is read next is
            # not the peer's.
            self._dead = True
            self.descriptor.connectionLost(Failure(ConnectionLost()))
            return
        self.readEnded = True
        if self.mode is OPEN and self.owner is not None:
            self.owner.streamEnded(self)
        elif self.writeClosed:
            self.closeIfThrough()

    def writeConnectionLost(self) -> None:
        """The end of the stream towards the peer was given to the kernel."""
        self.writeClosed = True
        if self.readEnded:
            self.closeIfThrough()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone."""
        if self._overrun:
            reason = Failure(Overrun())
        elif reason.check(ConnectionDone) is not None:
            if self._dead and not self._shaken:
                reason = Failure(ConnectionLost())
        elif reason.check(ConnectionLost) is not None:
            if self._kind.heardOut(self):
                # A reset that came after the end of the peer's stream.
                reason = connectionDone
            elif self._truncated and not self._dead:
                reason = Failure(Truncated())
        self._lose(reason)

    def send(self, data: bytes | memoryview) -> int:
        """
        Give some bytes to the kernel, in place of the descriptor's own
        C{writeSomeData}: a send that fails ends only sending, not reading.

        @return: How many it has taken.  After a failed send that is all of them,
            which are dropped.
        """
        if self.deaf:
            return len(data)
        if len(data) > _SEND_LIMIT:
            data = memoryview(data)[:_SEND_LIMIT]
        try:
            sent: int = self.descriptor.socket.send(data)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOBUFS):
                return 0
            self.sendFailed(error)
            return len(data)
        self.sent += sent
        return sent

    def sendFailed(self, error: OSError) -> None:
        """Send nothing after a failed send, or the peer would get bytes after a gap."""
        self._dead = error.errno not in _ONLY_WRITING
        self.deaf = True
        if self.descriptor is not None:
            # Otherwise an end of stream would be sent after the dropped bytes.
            self.descriptor._writeDisconnecting = False
        if self.mode is not OPEN:
            self.abort()
        elif self.owner is not None:
            self.owner.streamDeaf(self)

    def descriptorLost(self, reason: Failure) -> None:
        """
        Read a descriptor to its end before it is lost, in place of its own
        C{connectionLost}.
        """
        descriptor = self.descriptor
        if descriptor is None:
            # It was given up, or aborted and lost in another way meanwhile.
            return
        ended = reason.check(ConnectionDone) is not None
        try:
            # A stream that closes in good order has read it to its end before.
            if not self.readEnded and not (ended and descriptor.disconnecting):
                found = readOut(self)
                if ended and found is Found.RESET:
                    ended, reason = False, Failure(ConnectionLost())
                elif not ended and found is Found.END and not self._dead:
                    self._endFound()
        except Exception:
            self._log.failure("What a lost transport still had could not be handed on")
        if self._shaken:
            # Over TLS, only here can an end without close_notify be told from a
            # reset.  And a peer that has got all our bytes may have closed with
            # our close_notify unread, or not even acknowledged.
            self._truncated = ended or (
                self.endAsked and self.transit()[0] <= UNACKNOWLEDGED
            )
        self._kind.detach(self)
        descriptor.connectionLost(reason)

    def _endFound(self) -> None:
        """
        Handle an end of stream that was still unread in a paused socket that is
        lost.
        """
        if self.paused and not self._kind.shakes:
            # Only sending to it has failed.
            if not self.deaf:
                self.sendFailed(BrokenPipeError(errno.EPIPE, "reset"))
            self.readConnectionLost()

    def write(self, data: bytes) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.write>} has it."""
        if not self.deaf and self.mode is not LOST:
            self.accepted += len(data)
            self.transport.write(data)

    def pauseProducing(self) -> None:
        """Stop reading."""
        if not self.paused:
            self.paused = True
            if self.facts.pauses and not self.readEnded and self.mode is not LOST:
                self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on reading."""
        if not self.paused or self.mode in (RESETTING, ABORTED, LOST):
            return
        self.paused = False
        if self._receive is not None and self._held:
            self.flow(self._receive)
        # If an ended stream were resumed, Twisted would report its end again.
        if self.facts.pauses and not self.readEnded and not self.paused:
            self.transport.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool = True) -> None:
        """Let C{producer} be paused while there is much to send."""
        register = getattr(self.transport, "registerProducer", None)
        if register is not None and self.mode is not LOST:
            self._fed = True
            register(producer, streaming)

    def unregisterProducer(self) -> None:
        """Undo L{registerProducer}; no transport closes while it has a producer."""
        if self._fed and self.mode is not LOST:
            self._fed = False
            self.transport.unregisterProducer()

    def transit(self) -> tuple[int, int]:
        """As L{Stream<lbproxy.streams.stream.Stream.transit>} has it."""
        return self._kind.transit(self)

    def delivered(self) -> int:
        """As L{Stream<lbproxy.streams.stream.Stream.delivered>} has it."""
        return self._kind.delivered(self)

    # How it ends.

    def tlsConnection(self) -> TLSConnection | None:
        """As L{Stream<lbproxy.streams.stream.Stream.tlsConnection>} has it."""
        return self._kind.tlsConnection(self)

    def end(self) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.end>} has it."""
        if not self.endAsked and self.mode is not LOST:
            self.endAsked = True
            if not self.deaf:
                if self._fed:
                    self.unregisterProducer()
                self._kind.end(self.transport)

    def finish(self, closer: Closer) -> bool:
        """As L{Stream<lbproxy.streams.stream.Stream.finish>} has it."""
        if self.deaf:
            self.reset(closer)
        elif self.mode is OPEN:
            self._close(FINISHING, closer)
            if self.paused:
                self.resumeProducing()
            if not self.endAsked:
                self.end()
            if self.readEnded and self.writeClosed:
                self.closeIfThrough()
        return False

    def giveUp(self) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.giveUp>} has it."""
        descriptor = self.descriptor
        self._lose(Failure(GivenUp()))
        if descriptor is not None:
            descriptor.connectionLost(Failure(ConnectionAborted()))

    def closeIfThrough(self) -> bool:
        """As L{Stream<lbproxy.streams.stream.Stream.closeIfThrough>} has it."""
        through = self.mode is RESETTING or (
            self.mode is FINISHING and self.readEnded and self.writeClosed
        )
        if not through:
            return False
        if self._kind.transit(self)[0]:
            if not self._kind.hopeless(self):
                if self._closer is not None:
                    self._closer.lookSoon()
                return False
            self.abort()
        elif self.mode is RESETTING:
            self.abort()
        else:
            self.transport.loseConnection()
        return True

    def _cutOff(self) -> None:
        abort = getattr(self.transport, "abortConnection", None)
        if abort is None:
            self.transport.loseConnection()
        else:
            abort()

    def _lose(self, reason: Failure) -> None:
        """Become lost: release all that is held, and call the owner."""
        if self.mode is LOST:
            return
        if self.descriptor is not None:
            self._kind.detach(self)
        self.mode = LOST
        self._receive = None
        self._held = b""
        if self._discards and self._closer is not None:
            self._closer.pace.forget(self)
        self._closer = None
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.streamLost(self, reason)
        self.transport = None
