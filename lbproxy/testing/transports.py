"""Connections in memory, each with a near end, which is a transport, and a far end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IProducer,
    IProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from ..streams.kinds import Kind, declare
from ..streams.stream import Facts
from ..streams.transports import TransportStream

_END = object()
_RESET = object()


@implementer(ITCPTransport, IPushProducer, IConsumer)
class MemoryTransport:
    """
    The near end of a connection: a transport for the balancer's protocol.

    It behaves as Twisted's TCP transports do, with their buffer limit, their half-close
    and their pitfalls.

    @ivar protocol: The protocol that receives what arrives.
    @ivar far: The other end, which the test controls.
    @ivar dataBuffer: The bytes that were written and not taken; as in Twisted, counted
        from C{offset} on.
    @ivar aborted: Whether C{abortConnection} was called.
    """

    bufferSize = 65536
    offset = 0

    def __init__(self, clock: Clock, host: IAddress, peer: IAddress) -> None:
        self.far = Far(self)
        self.aborted = False
        self.connected = False
        self.disconnecting = False
        self._clock = clock
        self._host = host
        self._peer = peer
        self.protocol: Any = None
        self.dataBuffer = bytearray()
        self._incoming: deque[object] = deque()
        self._reading = True
        self._noDelay = self._keepAlive = False
        self._producer: Any = None
        self._producerPaused = False
        self._endingWrites = False
        self._writesEnded = False
        self._scheduled = False

    def connect(self, protocol: IProtocol) -> None:
        """Connect a protocol to this transport."""
        self.protocol = protocol
        self.connected = True
        protocol.makeConnection(self)

    # What the protocol calls.

    def getHost(self) -> Any:
        """The near address."""
        return self._host

    def getPeer(self) -> Any:
        """The far address."""
        return self._peer

    def getTcpNoDelay(self) -> bool:
        """The value that was set."""
        return self._noDelay

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Store the value, which has no effect in memory."""
        self._noDelay = enabled

    def getTcpKeepAlive(self) -> bool:
        """The value that was set."""
        return self._keepAlive

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Store the value, which has no effect in memory."""
        self._keepAlive = enabled

    def write(self, data: bytes) -> None:
        """Buffer bytes until the far end takes them."""
        if not self.connected or self._writesEnded:
            return
        self.dataBuffer += data
        if self._producer is not None and len(self.dataBuffer) > self.bufferSize:
            self._producerPaused = True
            self._producer.pauseProducing()
        self._soon()

    def writeSequence(self, data: Any) -> None:
        """Write several pieces."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close once the buffer is empty and nothing produces for it."""
        if self._writesEnded:
            self._lose(ConnectionDone())
        else:
            self.disconnecting = True
            self._reading = False
            self._soon()

    def loseWriteConnection(self) -> None:
        """End the stream once the buffer is empty."""
        self._endingWrites = True
        self._soon()

    def abortConnection(self) -> None:
        """Reset the connection."""
        if self.connected and not self.aborted:
            self.aborted = True
            self._reading = False
            self.dataBuffer.clear()
            self.far.wasReset = True
            self._clock.callLater(0, self._lose, ConnectionAborted())

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Register a push producer, to pause and resume it."""
        assert streaming, "only push producers are of use to a relay"
        if self._producer is not None:
            raise RuntimeError("there is a producer already")
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Remove the producer."""
        self._producer = None
        self._producerPaused = False
        self._soon()

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Go on reading."""
        self._reading = not self.disconnecting
        self._soon()

    def stopProducing(self) -> None:
        """Close the connection."""
        self.loseConnection()

    # What the network does, one turn at a time.

    def _soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self.connected and self._reading and self._incoming:
            self._read(self._incoming.popleft())
        if self.connected and not self.aborted:
            self._send()
        if self.connected and self._reading and self._incoming:
            self._soon()

    def _read(self, item: object) -> None:
        if isinstance(item, bytes):
            self.protocol.dataReceived(item)
        elif item is _RESET:
            self._lose(ConnectionLost())
        elif IHalfCloseableProtocol.providedBy(self.protocol):
            self._reading = False
            self.protocol.readConnectionLost()
        else:
            self._lose(ConnectionDone())

    def _send(self) -> None:
        if self.far.failure is not None and self.dataBuffer:
            self.dataBuffer.clear()
            self._endingWrites = False
            self.protocol.sendFailed(self.far.failure)
        taken = self.far._accept(self.dataBuffer)
        del self.dataBuffer[:taken]
        if self.dataBuffer:
            return
        if self._producer is not None and self._producerPaused:
            self._producerPaused = False
            self._producer.resumeProducing()
        elif self._producer is not None and self.disconnecting:
            return
        elif self.disconnecting:
            self._lose(ConnectionDone())
        elif self._endingWrites and not self._writesEnded:
            self._writesEnded = True
            self.far.hasEnd = True
            if IHalfCloseableProtocol.providedBy(self.protocol):
                self.protocol.writeConnectionLost()

    def _lose(self, reason: Exception) -> None:
        if self.connected:
            self.connected = False
            self.far.hasEnd = self.far.hasEnd or isinstance(reason, ConnectionDone)
            self.far.closed = True
            if self._producer is not None:
                self._producer.stopProducing()
                self._producer = None
            # As Twisted does, so that a closed transport does not refer to its
            # protocol.
            protocol, self.protocol = self.protocol, None
            protocol.connectionLost(Failure(reason))


class _MemoryKind(Kind):
    """How a stream uses a L{MemoryTransport}."""

    facts = Facts(
        halfCloses=True, resets=True, pauses=True, tellsDeaf=True, tellsDelivery=True
    )

    def attach(self, stream: TransportStream, transport: Any) -> Facts:
        """Return the facts; the transport needs no preparation."""
        return self.facts

    def end(self, transport: Any) -> None:
        """Half-close."""
        transport.loseWriteConnection()

    def transit(self, stream: TransportStream) -> tuple[int, int]:
        """Count the bytes in the transport's buffer as in transit."""
        if stream.transport is not None and not stream.deaf:
            waiting = len(stream.transport.dataBuffer)
            stream.taken = stream.accepted - waiting
        return (0 if stream.deaf else stream.accepted - stream.taken), stream.taken

    def hopeless(self, stream: TransportStream) -> bool:
        """Whether the far end was reset, although the reset has not been read."""
        return stream.transport is not None and _RESET in stream.transport._incoming


declare(MemoryTransport, _MemoryKind())


class Far:
    """
    The far end of a connection, where a test acts as the client or the backend.

    @ivar received: The bytes that have arrived and were taken.
    @ivar hasEnd: Whether the end of the stream has arrived.
    @ivar wasReset: Whether the connection was reset from the near side.
    @ivar closed: Whether the near side is gone.
    @ivar window: How many more bytes will be taken; L{None} is any number.
    @ivar failure: The error with which sending to it fails from now on, or L{None}.
    @ivar heard: Called whenever bytes have been taken, unless it is L{None}.
    """

    def __init__(self, near: MemoryTransport) -> None:
        self.received = bytearray()
        self.hasEnd = False
        self.wasReset = False
        self.closed = False
        self.window: int | None = None
        self.failure: OSError | None = None
        self.heard: Callable[[], object] | None = None
        self._near = near

    def send(self, data: bytes) -> None:
        """Send bytes to the near end."""
        self._near._incoming.append(bytes(data))
        self._near._soon()

    def end(self) -> None:
        """End the stream.  Bytes that are sent to this end will still be taken."""
        self._near._incoming.append(_END)
        self._near._soon()

    def reset(self) -> None:
        """Reset the connection, after what was sent before."""
        self._near._incoming.append(_RESET)
        self._near._soon()

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Call C{act} after C{seconds}, unless the near side is gone by then."""
        self._near._clock.callLater(seconds, lambda: self.closed or act())

    def stall(self) -> None:
        """Take no bytes from now on."""
        self.window = 0

    def take(self, length: int | None = None) -> None:
        """Take C{length} more bytes; any number, if no length is given."""
        self.window = None if length is None else (self.window or 0) + length
        self._near._soon()

    def _accept(self, data: bytearray) -> int:
        taken = len(data) if self.window is None else min(self.window, len(data))
        self.received += data[:taken]
        if self.window is not None:
            self.window -= taken
        if taken and self.heard is not None:
            self.heard()
        return taken
