"""
A stream on a socket of a L{SocketLoop}: no transport is between the socket and it.

What is written is sent at once.  Only what the kernel does not take is kept, and then
the producer is paused.
"""

from __future__ import annotations

import errno
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from .buffered import BufferedStream
from .kernel import connectionIsOver, undeliveredTo
from .socketkinds import TURN_BYTES
from .socketloop import ENDS, ERR, IN, OUT, READABLE
from .stream import Closer, Facts, GivenUp, Mode, StreamOwner

if TYPE_CHECKING:
    pass

_READ = 65536
_MOST_READ = 64 << 20
"""Most bytes to read of a socket that is lost: more than a kernel keeps for it."""

_FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL

_LATER = frozenset({errno.EAGAIN, errno.ENOBUFS})
"""Errors of a send that may be made again later."""

_ONLY_WRITING = frozenset({errno.EPIPE, errno.ENOMEM})
"""
Errors of a send after which an end of stream that is read is the peer's own: EPIPE
means that the peer had ended its stream before, or does not read.
"""

_UNREAD = frozenset({Mode.RESETTING, Mode.ABORTED, Mode.LOST})
"""The modes in which nothing is read."""

_TCP = Facts(
    halfCloses=True, resets=True, pauses=True, tellsDeaf=True, tellsDelivery=True
)
_UNIX = Facts(halfCloses=True, pauses=True, tellsDeaf=True, tellsDelivery=True)


class SocketStream(BufferedStream):
    """
    One end of a connection, on a connected socket.

    @ivar descriptor: The transport that the socket was made for, as long as it is open.
    @ivar sent: How many bytes the kernel has taken.
    @ivar taken: How many of these are known to be delivered.
    """

    sent = 0
    taken = 0
    _readable = False
    _writable = True
    # An end, an error or urgent data was announced: what came before it has been read
    # only when a read has found nothing.
    _toTheEnd = False
    # A failed send has cleared the socket's error: what looks like an end of stream is
    # the end of what came before the reset.
    _dead = False
    _producer: Any = None
    _producerPaused = False
    _reason: Failure | None = None

    def __init__(self, owner: StreamOwner, transport: Any) -> None:
        """
        @param transport: Of this socket, on a loop; it is told of nothing any more.
        """
        self.owner = owner
        self.transport = self.descriptor = transport
        self._socket: socket.socket | None = transport.socket
        self._loop: Any = transport.reactor.loop
        isUnix = transport.socket.family == socket.AF_UNIX
        self.facts = _UNIX if isUnix else _TCP
        self._readsAll = isUnix
        # Not bytes: a connection that is idle has nothing to be sent.
        self._unsent = b""

    def begin(self) -> None:
        """Take the socket over, and tell the owner that it can be used."""
        transport = self.descriptor
        transport.handOver(self)
        # What has come already was announced to the transport.
        self._toTheEnd = transport.toTheEnd
        if transport.readable:
            self._readable = True
            self._loop.goOn(self)
        assert self.owner is not None
        self.owner.streamReady(self)

    # Called by the loop.

    def socketEvent(self, events: int) -> None:
        """Send what is left, read what has come, or report that it is gone."""
        if self._reason is not None:
            self._lose(self._reason)
            return
        if self._socket is None:
            return
        if events & READABLE:
            self._readable = True
            if events & READABLE != IN:
                self._toTheEnd = True
        if events & (OUT | ENDS):
            self._writable = True
            if self._unsent:
                self._flush()
        if events & ERR and (self.paused or self.readEnded):
            self._brokeUnread()
        elif self._readable and not self.paused:
            self._read()

    def socketBroke(self, reason: Failure) -> None:
        """Close; the loop has logged the exception."""
        self._shut(reset=True)
        self._lose(reason)

    # Reading.

    def pauseProducing(self) -> None:
        """Stop reading."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Go on reading."""
        if not self.paused or self.mode in _UNREAD:
            return
        self.paused = False
        if self._receive is not None and self._held:
            self.flow(self._receive)
        if self._readable and not self.readEnded and not self.paused:
            self._loop.goOn(self)

    def _read(self) -> None:
        budget = TURN_BYTES
        while not self.paused and not self.readEnded:
            opened = self._socket
            if opened is None:
                return
            try:
                data = opened.recv(_READ)
            except BlockingIOError:
                self._readable = self._toTheEnd = False
                return
            except OSError:
                self._fail(ConnectionLost())
                return
            if not data:
                self._endFound()
                return
            self._received(data)
            if len(data) < _READ and not (self._toTheEnd or self._readsAll):
                self._readable = False
                return
            budget -= len(data)
            if budget <= 0:
                self._loop.goOn(self)
                return

    def _received(self, data: bytes) -> None:
        self.received += len(data)
        receive = self._receive
        if receive is None:
            self._keep(data)
        else:
            receive(data)

    def _endFound(self) -> None:
        """A read has found the end of the peer's stream."""
        if self._dead:
            self._fail(ConnectionLost())
            return
        self.readEnded = True
        if self.mode is Mode.OPEN and self.owner is not None:
            self.owner.streamEnded(self)
        elif self.writeClosed:
            self.closeIfThrough()

    def _brokeUnread(self) -> None:
        """
        It was reset while nothing reads it: pass on what had come before, and then
        report that it is lost.
        """
        if self._unreadEnd():
            # Only sending to it has failed.
            self._sendFailed(BrokenPipeError(errno.EPIPE, "reset"))
            if self.mode is Mode.OPEN:
                self._endFound()
        else:
            self._fail(ConnectionLost())

    def _unreadEnd(self) -> bool:
        """Read all that is left, and return whether the end of the stream follows."""
        read = 0
        while self._socket is not None and not self.readEnded and read < _MOST_READ:
            try:
                data = self._socket.recv(_READ)
            except OSError:
                return False
            if not data:
                return not self._dead
            read += len(data)
            if self.mode is Mode.OPEN:
                self._received(data)
        return False

    # Writing.

    def write(self, data: bytes) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.write>} has it."""
        if self.deaf or self.mode is Mode.LOST:
            return
        self.accepted += len(data)
        if self._unsent:
            self._unsent += data
            self._pauseProducer()
            return
        sent = self._send(data) if self._writable else 0
        if sent < len(data):
            self._unsent = data[sent:]
            self._pauseProducer()

    def _send(self, data: bytes) -> int:
        """Give some bytes to the kernel.  After a failed send all are dropped."""
        opened = self._socket
        if opened is None:
            return len(data)
        try:
            sent = opened.send(data, _FLAGS)
        except OSError as error:
            if error.errno in _LATER:
                self._writable = False
                return 0
            self._sendFailed(error)
            return len(data)
        self.sent += sent
        if sent < len(data):
            self._writable = False
        return sent

    def _flush(self) -> None:
        unsent = self._unsent
        sent = self._send(unsent)
        self._unsent = b"" if self.deaf else unsent[sent:]
        if self._unsent:
            return
        if self.endAsked:
            self._shutWrite()
        elif self._producerPaused and self._producer is not None:
            self._producerPaused = False
            self._producer.resumeProducing()

    def _pauseProducer(self) -> None:
        if self._producer is not None and not self._producerPaused:
            self._producerPaused = True
            self._producer.pauseProducing()

    def _sendFailed(self, error: OSError) -> None:
        """Send nothing after a failed send, or the peer would get bytes after a gap."""
        if self.deaf:
            return
        self._dead = error.errno not in _ONLY_WRITING
        self.deaf = True
        self._unsent = b""
        if self.mode is not Mode.OPEN:
            self.abort()
        elif self.owner is not None:
            self.owner.streamDeaf(self)

    def registerProducer(self, producer: Any, streaming: bool = True) -> None:
        """Let C{producer} be paused while there is something unsent."""
        if self.mode is not Mode.LOST:
            self._fed = True
            self._producer = producer
            self._producerPaused = False
            if self._unsent:
                self._pauseProducer()

    def unregisterProducer(self) -> None:
        """Undo L{registerProducer}."""
        self._fed = False
        self._producer = None

    # What the kernel has.

    def transit(self) -> tuple[int, int]:
        """As L{Stream<lbproxy.streams.stream.Stream.transit>} has it."""
        if self.deaf or self._socket is None:
            return 0, self.taken
        queued = undeliveredTo(self._socket.fileno())
        if self.writeClosed and queued:
            queued -= 1  # The end of the stream counts as a byte.
        # On a UNIX socket the kernel counts memory, which is more.
        self.taken = max(self.taken, self.sent - queued)
        return self.accepted - self.taken, self.taken

    def delivered(self) -> int:
        """As L{Stream<lbproxy.streams.stream.Stream.delivered>} has it."""
        return self.transit()[1]

    # How it ends.

    def end(self) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.end>} has it."""
        if not self.endAsked and self.mode is not Mode.LOST:
            self.endAsked = True
            self.unregisterProducer()
            if not self.deaf and not self._unsent:
                self._shutWrite()

    def _shutWrite(self) -> None:
        if self._socket is not None and not self.writeClosed:
            self.writeClosed = True
            with suppress(OSError):  # It is reset, which the next read finds.
                self._socket.shutdown(socket.SHUT_WR)
            if self.readEnded:
                self.closeIfThrough()

    def finish(self, closer: Closer) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.finish>} has it."""
        if self.deaf:
            self.reset(closer)
        elif self.mode is Mode.OPEN:
            self._close(Mode.FINISHING, closer)
            if self.paused:
                self.resumeProducing()
            if not self.endAsked:
                self.end()
            elif self.readEnded and self.writeClosed:
                self.closeIfThrough()

    def closeIfThrough(self) -> bool:
        """As L{Stream<lbproxy.streams.stream.Stream.closeIfThrough>} has it."""
        opened = self._socket
        isReset = self.mode is Mode.RESETTING
        if opened is None or not (
            isReset
            or (self.mode is Mode.FINISHING and self.readEnded and self.writeClosed)
        ):
            return False
        if self.transit()[0]:
            if not (self.facts.resets and connectionIsOver(opened)):
                if self._closer is not None:
                    self._closer.lookSoon()
                return False
            isReset = True
        if isReset:
            self.abort()
        else:
            self._closeSoon(Failure(ConnectionDone()), reset=False)
        return True

    def giveUp(self) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.giveUp>} has it."""
        self._lose(Failure(GivenUp()))

    def _cutOff(self) -> None:
        self._closeSoon(Failure(ConnectionAborted()), reset=True)

    def _closeSoon(self, reason: Failure, reset: bool) -> None:
        """Close now; report the loss in the next turn, as any transport does."""
        if self._reason is None:
            self._reason = reason
            self._shut(reset)
            self._loop.goOn(self)

    def _fail(self, error: Exception) -> None:
        self._lose(Failure(error))

    def _shut(self, reset: bool) -> None:
        opened, self._socket = self._socket, None
        if opened is None:
            return
        if reset:
            linger = struct.pack("ii", 1, 0)
            with suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._unsent = b""
        self._loop.close(opened, self)

    def _lose(self, reason: Failure) -> None:
        """Become lost: release all that is held, and call the owner."""
        if self.mode is Mode.LOST:
            return
        self._shut(reset=True)
        self.mode = Mode.LOST
        self._receive = None
        self._held = b""
        self._producer = None
        if self._discards and self._closer is not None:
            self._closer.pace.forget(self)
        self._closer = None
        transport, self.descriptor = self.descriptor, None
        self._loop = None
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.streamLost(self, reason)
        self.transport = None
        if transport is not None:
            leave(transport, reason)


def leave(transport: Any, reason: Failure) -> None:
    """Let a transport whose socket a stream had go, as if it were lost itself."""
    transport.connected, transport.disconnected = 0, 1
    transport.protocol = None
    connector = getattr(transport, "connector", None)
    if connector is not None:
        connector.connectionLost(reason)
