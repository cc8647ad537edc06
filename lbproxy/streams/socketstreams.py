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
from .socketkinds import LEAST_READ, TURN_BYTES
from .socketloop import ENDS, ERR, IN, OUT, READABLE, UNCERTAIN
from .splice import BUFFER, FLAGS, LATER, SHARED, drain, pump
from .stream import (
    ABORTED,
    FINISHING,
    LOST,
    OPEN,
    RESETTING,
    Closer,
    Facts,
    GivenUp,
    Mode,
    Stream,
    StreamOwner,
)

if TYPE_CHECKING:
    from .pipes import Pipe
    from .socketkinds import OnLoop
    from .socketloop import SocketLoop

_MOST_READ = 64 << 20
"""Most bytes to read of a socket that is lost: more than a kernel keeps for it."""

_ONLY_WRITING = frozenset({errno.EPIPE, errno.ENOMEM})
"""
Errors of a send after which an end of stream that is read is the peer's own: EPIPE
means that the peer had ended its stream before, or does not read.
"""

_UNREAD = frozenset({RESETTING, ABORTED, LOST})
"""The modes in which nothing is read."""

_TO_THE_END = READABLE & ~IN
_WRITABLE = OUT | ENDS
_PEEK = FLAGS | socket.MSG_PEEK
_DISCARD = FLAGS | socket.MSG_TRUNC
"""With this TCP drops what is read instead of copying it (tcp(7))."""

_TCP = Facts(
    halfCloses=True, resets=True, pauses=True, tellsDeaf=True, tellsDelivery=True
)
_UNIX = Facts(halfCloses=True, pauses=True, tellsDeaf=True, tellsDelivery=True)


_DONE = Failure(ConnectionDone())
"""Why a stream is lost that was closed in good order; always the same, as Twisted's."""


class SocketStream(BufferedStream):
    """
    One end of a connection, on a connected socket.

    What arrives while it is held stays in the kernel, until an end of it is announced.

    @ivar opened: The socket, as long as it is open.
    @ivar transport: The transport that the socket was made for; L{None} if there was
        none, or it is lost.
    @ivar sent: How many bytes the kernel has taken.
    @ivar taken: How many of these are known to be delivered.
    @ivar pipe: What it has still to send, before L{unsent}, if that is in a pipe.
    @ivar readable: Whether something to read was announced, and no read has found that
        there is no more.
    @ivar toTheEnd: Whether an end, an error or urgent data was announced: then what
        came before it has been read only when a read has found nothing.
    @ivar fullReads: How many reads in a row have filled the buffer.
    @ivar endFollows: Whether the end of the peer's stream was announced, and nothing
        else was: then it follows what a read does not fill its buffer with.
    """

    # Whether its bytes are those of the socket.
    isPlain = True
    # The end of the stream counts as so many bytes that are not delivered.
    endLength = 1

    # one for each end of each connection
    __slots__ = (
        "_announced",
        "_closer",
        "_dead",
        "_direct",
        "_discards",
        "_fed",
        "_held",
        "_producer",
        "_producerPaused",
        "_reason",
        "_receive",
        "accepted",
        "deaf",
        "endAsked",
        "endFollows",
        "facts",
        "fullReads",
        "loop",
        "mode",
        "opened",
        "owner",
        "paused",
        "pipe",
        "readEnded",
        "readable",
        "readsAll",
        "received",
        "sent",
        "taken",
        "tellsHeld",
        "toTheEnd",
        "transport",
        "unsent",
        "writeClosed",
    )

    def __init__(
        self,
        owner: StreamOwner | None,
        opened: socket.SocketType,
        loop: SocketLoop,
        transport: OnLoop | None = None,
    ) -> None:
        """
        @param opened: Connected; it is this stream's from now on.
        @param loop: Watches it; whoever makes a stream has it call the stream.
        @param transport: Of this socket, on that loop; it is told of nothing any more.
        """
        self.owner = owner
        self.opened: socket.SocketType | None = opened
        self.loop: Any = loop
        self.transport = transport
        # More may follow a short read of a UNIX socket at any time, without an edge.
        self.readsAll = self.toTheEnd = isUnix = opened.family == socket.AF_UNIX
        self.facts = _UNIX if isUnix else _TCP
        self.mode = OPEN
        self.readEnded = self.endAsked = self.writeClosed = False
        self.deaf = self.paused = self.readable = self.tellsHeld = False
        self.endFollows = self._announced = False
        self.received = self.accepted = self.sent = self.taken = 0
        self.pipe: Pipe | None = None
        # Not bytes: a connection that is idle has nothing to be sent.
        self.unsent = self._held = b""
        self._closer: Closer | None = None
        self._receive: Callable[[bytes], object] | None = None
        self._discards = self._fed = False
        # A failed send has cleared the socket's error: what looks like an end of
        # stream is the end of what came before the reset.
        self._dead = False
        self._producer: Any = None
        self._producerPaused = False
        self._reason: Failure | None = None
        # Where all that is read is moved to directly.
        self._direct: SocketStream | None = None
        self.fullReads = 0

    @property
    def descriptor(self) -> OnLoop | None:
        """What has the socket, for its options."""
        transport: OnLoop | None = self.transport
        return transport

    # Called by the loop.

    def socketEvent(self, events: int) -> None:
        """Send what is left, read what has come, or report that it is gone."""
        if events & READABLE:
            self.readable = True
        if events & _TO_THE_END:
            self.toTheEnd = self._announced = True
            self.endFollows = self.isPlain and not (events & UNCERTAIN or self.readsAll)
        if (self.unsent or self.pipe is not None) and events & _WRITABLE:
            self._flush()
        if self.paused or self.readEnded:
            if events & ERR:
                self._brokeUnread()
        elif self.readable:
            direct = self._direct
            if direct is None:
                self._read()
            else:
                pump(self, direct)

    def wasAnnounced(self, events: int) -> None:
        """What was announced of its socket before the loop called it."""
        if events & READABLE:
            self.readable = True
            if events & _TO_THE_END:
                self.toTheEnd = self._announced = True

    def socketTurn(self) -> None:
        """Go on reading, or report that it is gone."""
        if self.opened is None:
            if self._reason is not None:
                self._lose(self._reason)
        elif self.readable and not self.paused and not self.readEnded:
            direct = self._direct
            if direct is None:
                self._read()
            else:
                pump(self, direct)

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
        elif self.readable and not self.readEnded:
            self.loop.next(self)

    def peek(self, limit: int) -> bytes:
        """As L{Stream<lbproxy.streams.stream.Stream.peek>} has it."""
        held = bytes(self._held[:limit])
        if len(held) < limit and self.opened is not None and not self.readEnded:
            held += self._readSome(limit - len(held), _PEEK)
        return held

    def take(self, length: int) -> bytes:
        """As L{Stream<lbproxy.streams.stream.Stream.take>} has it."""
        taken = bytes(self._held[:length])
        self._held = self._held[length:]
        if len(taken) < length and self.opened is not None:
            more = self._readSome(length - len(taken), FLAGS)
            self.received += len(more)
            taken += more
        return taken

    def _readSome(self, limit: int, flags: int) -> bytes:
        """Read what there is, of so many bytes at most; nothing of it is passed on."""
        assert self.opened is not None
        try:
            return self.opened.recv(limit, flags)
        except BlockingIOError:
            return b""
        except OSError:
            # That was the socket's only one: the next read finds an end of stream.
            self._dead = True
            return b""

    def _read(self) -> None:
        """Read what has come: pass it on, or discard it, or leave it in the kernel."""
        budget = TURN_BYTES
        while not self.paused and not self.readEnded:
            opened = self.opened
            if opened is None:
                return
            if self._receive is None and self.mode is FINISHING:
                self._discard(opened)
                return
            if self._receive is None and not self._announced:
                if self.tellsHeld and self.owner is not None:
                    self.owner.streamHeld(self)
                return
            try:
                data = opened.recv(BUFFER, FLAGS)
            except BlockingIOError:
                self.readable = False
                self.toTheEnd = self.readsAll
                return
            except OSError as error:
                self.readFailed(error)
                return
            if not data:
                self.endFound()
                return
            self._received(data)
            if len(data) < BUFFER and not self.toTheEnd:
                self.readable = False
                return
            budget -= max(len(data), LEAST_READ)
            if budget <= 0:
                self.loop.goOn(self)
                return

    def _discard(self, opened: socket.SocketType) -> None:
        """Read what has come, at the pace that the watch allows, and drop it."""
        budget = TURN_BYTES
        while not self.paused and self.opened is not None:
            try:
                got = opened.recv_into(SHARED, BUFFER, _DISCARD)
            except BlockingIOError:
                self.readable = False
                self.toTheEnd = self.readsAll
                return
            except OSError as error:
                self.readFailed(error)
                return
            if not got:
                self.endFound()
                return
            self.received += got
            if self._closer is not None:
                self._discards = True
                self._closer.pace.spend(self, got)
            budget -= max(got, LEAST_READ)
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
            self._lose(Failure(ConnectionLost()))
            return
        self.readEnded = True
        if self.mode is OPEN:
            if self.owner is not None:
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
            if self.mode is OPEN:
                self.endFound()
        else:
            self._lose(Failure(ConnectionLost()))

    def _unreadEnd(self) -> bool:
        """Read all that is left, and return whether the end of the stream follows."""
        read = 0
        while self.opened is not None and not self.readEnded and read < _MOST_READ:
            try:
                data = self.opened.recv(BUFFER, FLAGS)
            except OSError:
                return False
            if not data:
                return not self._dead
            read += len(data)
            if self.mode is OPEN:
                self._received(data)
        return False

    # Writing.

    def write(self, data: bytes) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.write>} has it."""
        if self.deaf or self.mode is LOST:
            return
        self.accepted += len(data)
        if self.unsent or self.pipe is not None:
            self.unsent += data
            self.pauseProducer()
            return
        sent = self._send(data)
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
                return 0
            self.sendFailed(error)
            return len(data)
        self.sent += sent
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
        if self.mode is not OPEN:
            self.abort()
        elif self.owner is not None:
            self.owner.streamDeaf(self)

    def registerProducer(self, producer: Any, streaming: bool = True) -> None:
        """Let C{producer} be paused while there is something unsent."""
        if self.mode is LOST:
            return
        self._fed = True
        self._producer = producer
        self._producerPaused = False
        if self.unsent or self.pipe is not None:
            self.pauseProducer()

    def unregisterProducer(self) -> None:
        """Undo L{registerProducer}."""
        self._fed = False
        producer, self._producer = self._producer, None
        if isinstance(producer, SocketStream):
            producer._direct = None

    def flowTo(self, sink: Stream) -> None:
        """
        As L{Stream<lbproxy.streams.stream.Stream.flowTo>} has it.  If the sink is such
        a stream too, what is read is moved to it directly.
        """
        isDirect = isinstance(sink, SocketStream) and sink.mode is OPEN
        if self._held or not isDirect:
            self.flow(sink.write)
        else:
            self._receive = sink.write
        if isinstance(sink, SocketStream) and sink._producer is self:
            self._direct = sink
            if self.readable and not (self.paused or self.readEnded):
                self.loop.next(self)

    def flow(self, receive: Callable[[bytes], object]) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.flow>} has it."""
        self._direct = None
        super().flow(receive)
        if (
            self.readable
            and not (self.paused or self.readEnded)
            and self.opened is not None
        ):
            self.loop.next(self)

    def hold(self, returned: bytes = b"") -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.hold>} has it."""
        self._direct = None
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
        if not self.endAsked and self.mode is not LOST:
            self.endAsked = True
            self.unregisterProducer()
            if not self.deaf and not self.unsent and self.pipe is None:
                self._shutWrite()

    def _shutWrite(self) -> None:
        if self.opened is not None and not self.writeClosed:
            self.writeClosed = True
            try:  # noqa: SIM105 (it is done for each connection: three calls less)
                self.opened.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # It is reset, which the next read finds.
            if self.readEnded:
                self.closeIfThrough()

    def finish(self, closer: Closer) -> bool:
        """As L{Stream<lbproxy.streams.stream.Stream.finish>} has it."""
        if self.deaf:
            self.reset(closer)
        elif self.mode is OPEN:
            if self.readEnded and not self.unsent and self.pipe is None:
                assert self.opened is not None
                end = self.writeClosed * self.endLength
                if undeliveredTo(self.opened.fileno()) <= end:
                    self._release(_DONE)
                    return True
            self._linger(closer)
        return False

    def _linger(self, closer: Closer) -> None:
        """Begin to close: deliver what is left, and discard what still comes."""
        self._close(FINISHING, closer)
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
        isReset = self.mode is RESETTING
        if opened is None or not (
            isReset or (self.mode is FINISHING and self.readEnded and self.writeClosed)
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
        """Close now, and report the loss when the present call is over."""
        if self._reason is None:
            self._reason = reason
            self._shut(reset)
            self.loop.next(self)

    def _close(self, mode: Mode, closer: Closer | None) -> None:
        self._direct = None
        super()._close(mode, closer)

    def readFailed(self, error: OSError) -> None:
        """A read has failed: be lost."""
        self._lose(Failure(ConnectionLost()))

    def _shut(self, reset: bool) -> None:
        opened, self.opened = self.opened, None
        if opened is None:
            return
        if reset:
            linger = struct.pack("ii", 1, 0)
            with suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.unsent = b""
        if self.pipe is not None:
            self._giveBack()
        self.loop.close(opened, self)

    def leave(self) -> bytes:
        """
        Become lost, but leave the socket open, for another stream.

        @return: What it holds.
        """
        held = bytes(self._held)
        self.opened = None
        self._release(_DONE)
        return held

    def _lose(self, reason: Failure) -> None:
        """Become lost: release all that is held, and call the owner."""
        if self.mode is not LOST:
            self._shut(reset=True)
            owner = self.owner
            self._release(reason)
            if owner is not None:
                owner.streamLost(self, reason)

    def _release(self, reason: Failure) -> None:
        """Become lost: close, and refer to nothing any more."""
        self.mode = LOST
        self._shut(reset=False)
        self._receive = self._direct = None
        self._held = b""
        if self._fed:
            self.unregisterProducer()
        if self._discards and self._closer is not None:
            self._closer.pace.forget(self)
        self.owner = self.loop = self._closer = None
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.left(reason)


def begun(owner: StreamOwner, transport: OnLoop) -> None:
    """
    Make the stream of a transport's socket, with which the transport does nothing from
    then on.

    @param owner: It is told that the stream is ready.
    """
    stream = SocketStream(owner, transport.socket, transport.loop, transport)
    transport.handOver(stream)
    # What has come already was announced to the transport.
    stream.wasAnnounced(transport.announced())
    owner.streamReady(stream)
    if stream.readable and stream.opened is not None:
        stream.loop.next(stream)
