"""
A stream on a socket of a L{SocketLoop}: no transport is between the socket and it.

What is written is sent at once.  Only what the kernel does not take is kept, and then
the producer is paused.

Each step of the way calls as few functions as it can, so that this module is longer
than others.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from .buffered import BufferedStream
from .kernel import connectionIsOver, undeliveredTo
from .pipes import Pipe
from .socketkinds import TURN_BYTES
from .socketloop import ENDS, ERR, IN, OUT, READABLE
from .splice import FLAGS, LATER, drain, pumpBetween
from .stream import Closer, Facts, GivenUp, Mode, StreamOwner

if TYPE_CHECKING:
    pass

_READ = 65536
_MOST_READ = 64 << 20
"""Most bytes to read of a socket that is lost: more than a kernel keeps for it."""

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


_DONE = Failure(ConnectionDone())
"""Why a stream is lost that was closed in good order; always the same, as Twisted's."""


class SocketStream(BufferedStream):
    """
    One end of a connection, on a connected socket.

    @ivar descriptor: The transport that the socket was made for, as long as it is open.
    @ivar sent: How many bytes the kernel has taken.
    @ivar taken: How many of these are known to be delivered.
    @ivar pipe: What it has still to send, before L{unsent}, if that is in a pipe.
    """

    sent = 0
    taken = 0
    readable = False
    writable = True
    # An end, an error or urgent data was announced: what came before it has been read
    # only when a read has found nothing.
    toTheEnd = False
    # A failed send has cleared the socket's error: what looks like an end of stream is
    # the end of what came before the reset.
    _dead = False
    _producer: Any = None
    _producerPaused = False
    _reason: Failure | None = None
    _sink: SocketStream | None = None
    _pump: Callable[[], None] | None = None
    pipe: Pipe | None = None

    def __init__(self, owner: StreamOwner, transport: Any) -> None:
        """
        @param transport: Of this socket, on a loop; it is told of nothing any more.
        """
        self.owner = owner
        self.transport = self.descriptor = transport
        self.opened: socket.socket | None = transport.socket
        self.loop: Any = transport.loop
        isUnix = transport.socket.family == socket.AF_UNIX
        self.facts = _UNIX if isUnix else _TCP
        self.readsAll = isUnix
        # Not bytes: a connection that is idle has nothing to be sent.
        self.unsent = b""

    def begin(self) -> None:
        """Take the socket over, and tell the owner that it can be used."""
        transport = self.descriptor
        transport.handOver(self)
        # What has come already was announced to the transport.
        self.toTheEnd = transport.toTheEnd
        self.readable = transport.readable
        assert self.owner is not None
        self.owner.streamReady(self)
        if self.readable and self.opened is not None:
            self.loop.next(self)

    # Called by the loop.

    def socketEvent(self, events: int) -> None:
        """Send what is left, read what has come, or report that it is gone."""
        if self._reason is not None:
            self._lose(self._reason)
            return
        if self.opened is None:
            return
        if events & READABLE:
            self.readable = True
            if events & READABLE != IN:
                self.toTheEnd = True
        if events & (OUT | ENDS):
            self.writable = True
            if self.unsent or self.pipe is not None:
                self._flush()
        if events & ERR and (self.paused or self.readEnded):
            self._brokeUnread()
        elif self.readable and not self.paused:
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
        if self.readable and not self.readEnded and not self.paused:
            self.loop.next(self)

    def _read(self) -> None:
        if self._pump is not None:
            self._pump()
            return
        budget = TURN_BYTES
        while not self.paused and not self.readEnded:
            opened = self.opened
            if opened is None:
                return
            try:
                data = opened.recv(_READ, FLAGS)
            except BlockingIOError:
                self.readable = self.toTheEnd = False
                return
            except OSError:
                self.fail(ConnectionLost())
                return
            if not data:
                self.endFound()
                return
            self._received(data)
            if len(data) < _READ and not (self.toTheEnd or self.readsAll):
                self.readable = False
                return
            budget -= len(data)
            if budget <= 0:
                self.loop.goOn(self)
                return

    def _received(self, data: bytes) -> None:
        self.received += len(data)
        receive = self._receive
        if receive is None:
            self._keep(data)
        else:
            receive(data)

    def endFound(self) -> None:
        """A read has found the end of the peer's stream."""
        if self._dead:
            self.fail(ConnectionLost())
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
            self.sendFailed(BrokenPipeError(errno.EPIPE, "reset"))
            if self.mode is Mode.OPEN:
                self.endFound()
        else:
            self.fail(ConnectionLost())

    def _unreadEnd(self) -> bool:
        """Read all that is left, and return whether the end of the stream follows."""
        read = 0
        while self.opened is not None and not self.readEnded and read < _MOST_READ:
            try:
                data = self.opened.recv(_READ, FLAGS)
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
        if self.unsent or self.pipe is not None:
            self.unsent += data
            self.pauseProducer()
            return
        sent = self._send(data) if self.writable else 0
        if sent < len(data):
            self.unsent = data[sent:]
            self.pauseProducer()

    def _send(self, data: bytes) -> int:
        """Give some bytes to the kernel.  After a failed send all are dropped."""
        opened = self.opened
        if opened is None:
            return len(data)
        try:
            sent = opened.send(data, FLAGS)
        except OSError as error:
            if error.errno in LATER:
                self.writable = False
                return 0
            self.sendFailed(error)
            return len(data)
        self.sent += sent
        if sent < len(data):
            self.writable = False
        return sent

    def _flush(self) -> None:
        pipe = self.pipe
        if pipe is not None:
            if not drain(self, pipe):
                return
            self._giveBack()
        unsent = self.unsent
        if unsent:
            sent = self._send(unsent)
            self.unsent = b"" if self.deaf else unsent[sent:]
            if self.unsent:
                return
        if self.endAsked:
            self._shutWrite()
        elif self._producerPaused and self._producer is not None:
            self._producerPaused = False
            self._producer.resumeProducing()

    def pauseProducer(self) -> None:
        """Have the producer wait until all is sent."""
        if self._producer is not None:
            self._producerPaused = True
            self._producer.pauseProducing()

    def sendFailed(self, error: OSError) -> None:
        """Send nothing after a failed send, or the peer would get bytes after a gap."""
        if self.deaf:
            return
        self._dead = error.errno not in _ONLY_WRITING
        self.deaf = True
        self.unsent = b""
        self._giveBack()
        if self.mode is not Mode.OPEN:
            self.abort()
        elif self.owner is not None:
            self.owner.streamDeaf(self)

    def registerProducer(self, producer: Any, streaming: bool = True) -> None:
        """
        Let C{producer} be paused while there is something unsent.  If it is such a
        stream too, what it reads is moved directly, once it flows to L{write}.
        """
        if self.mode is Mode.LOST:
            return
        self._fed = True
        self._producer = producer
        self._producerPaused = False
        if type(producer) is SocketStream:
            producer._sink = self
        if self.unsent or self.pipe is not None:
            self.pauseProducer()

    def unregisterProducer(self) -> None:
        """Undo L{registerProducer}."""
        self._fed = False
        producer, self._producer = self._producer, None
        if type(producer) is SocketStream:
            producer._sink = producer._pump = None

    def flow(self, receive: Callable[[bytes], object]) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.flow>} has it."""
        super().flow(receive)
        sink = self._sink
        if (
            sink is not None
            and self.opened is not None
            and sink.opened is not None
            and receive == sink.write
        ):
            self._pump = pumpBetween(self, sink)

    def hold(self, returned: bytes = b"") -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.hold>} has it."""
        self._pump = None
        super().hold(returned)

    def _giveBack(self) -> None:
        """The pipe is not used any more, whether or not it holds something."""
        pipe, self.pipe = self.pipe, None
        if pipe is not None:
            self.loop.pipes.give(pipe)

    # What the kernel has.

    def transit(self) -> tuple[int, int]:
        """As L{Stream<lbproxy.streams.stream.Stream.transit>} has it."""
        if self.deaf or self.opened is None:
            return 0, self.taken
        queued = undeliveredTo(self.opened.fileno())
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
            if not self.deaf and not self.unsent and self.pipe is None:
                self._shutWrite()

    def _shutWrite(self) -> None:
        if self.opened is not None and not self.writeClosed:
            self.writeClosed = True
            with suppress(OSError):  # It is reset, which the next read finds.
                self.opened.shutdown(socket.SHUT_WR)
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
            elif self.readable and not self.readEnded:
                self.loop.goOn(self)
            if not self.endAsked:
                self.end()
            elif self.readEnded and self.writeClosed:
                self.closeIfThrough()

    def closeIfThrough(self) -> bool:
        """As L{Stream<lbproxy.streams.stream.Stream.closeIfThrough>} has it."""
        opened = self.opened
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
            self._closeSoon(_DONE, reset=False)
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
            self.loop.goOn(self)

    def fail(self, error: Exception) -> None:
        self._lose(Failure(error))

    def _shut(self, reset: bool) -> None:
        opened, self.opened = self.opened, None
        if opened is None:
            return
        if reset:
            linger = struct.pack("ii", 1, 0)
            with suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.unsent = b""
        self._giveBack()
        self._pump = None
        self.loop.close(opened, self)

    def _lose(self, reason: Failure) -> None:
        """Become lost: release all that is held, and call the owner."""
        if self.mode is Mode.LOST:
            return
        self._shut(reset=True)
        self.mode = Mode.LOST
        self._receive = None
        self._held = b""
        if self._fed:
            self.unregisterProducer()
        self._sink = None
        if self._discards and self._closer is not None:
            self._closer.pace.forget(self)
        self._closer = None
        transport, self.descriptor = self.descriptor, None
        self.loop = None
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.streamLost(self, reason)
        self.transport = None
        if transport is not None:
            transport.left(reason)
