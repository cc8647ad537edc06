"""
A network in memory, for the tests of lbproxy and of what is written for it.

A whole balancer runs on it, without a socket and without waiting::

    network = MemoryNetwork()
    backend = network.backend("10.0.0.1", 80)
    balancer = LoadBalancer.fromEndpoints(network, ["tcp:8080"], ["tcp:10.0.0.1:80"])
    balancer.startService()
    client = network.client(8080)
    client.send(b"hello")
    network.settle()
    assert backend.accepted[0].received == b"hello"

Time passes when the test says so: L{MemoryNetwork} is a L{Clock}.

It is all in one module, however long, because that is how tests import it.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    CannotListenError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    UserError,
)
from twisted.internet.interfaces import (
    IConnector,
    IConsumer,
    IHalfCloseableProtocol,
    IListeningPort,
    IProducer,
    IProtocol,
    IPushProducer,
    IReactorTCP,
    ITCPTransport,
)
from twisted.internet.protocol import ClientFactory, Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from .interfaces import IBackendPicker, ICandidates
from .streams.kinds import Kind, declare
from .streams.stream import Facts
from .streams.transports import TransportStream
from .words.backend import Member
from .words.connection import Address, Connection

_END = object()
_RESET = object()


@implementer(ITCPTransport, IPushProducer, IConsumer)
class MemoryTransport:
    """
    The near end of a connection: a transport that behaves as Twisted's TCP
    transports do, with their buffer limit, their half-close and their traps.

    @ivar protocol: Who is told of what arrives.
    @ivar far: The other end, in the hands of the test.
    @ivar dataBuffer: What was written and not taken; as Twisted has it, counted
        from C{offset} on.
    @ivar aborted: Whether C{abortConnection} was called.
    """

    bufferSize = 65536
    offset = 0

    def __init__(self, clock: Clock, host: IPv4Address, peer: IPv4Address) -> None:
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
        """Let a protocol have this transport."""
        self.protocol = protocol
        self.connected = True
        protocol.makeConnection(self)

    # What the protocol calls.

    def getHost(self) -> IPv4Address:
        """The near address."""
        return self._host

    def getPeer(self) -> IPv4Address:
        """The far address."""
        return self._peer

    def getTcpNoDelay(self) -> bool:
        """As it was set."""
        return self._noDelay

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Of no consequence in memory."""
        self._noDelay = enabled

    def getTcpKeepAlive(self) -> bool:
        """As it was set."""
        return self._keepAlive

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Of no consequence in memory."""
        self._keepAlive = enabled

    def write(self, data: bytes) -> None:
        """Buffer what the far end has not taken yet."""
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
        """Pause and resume something that writes here."""
        assert streaming, "only push producers are of use to a relay"
        if self._producer is not None:
            raise RuntimeError("there is a producer already")
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Let the producer go."""
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
        """Close."""
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
            # As Twisted does, so that nothing refers to what is over.
            protocol, self.protocol = self.protocol, None
            protocol.connectionLost(Failure(reason))


class _MemoryKind(Kind):
    """The kind of L{MemoryTransport}."""

    facts = Facts(
        halfCloses=True, resets=True, pauses=True, tellsDeaf=True, tellsDelivery=True
    )

    def attach(self, stream: TransportStream, transport: Any) -> Facts:
        """It tells everything by itself."""
        return self.facts

    def end(self, transport: Any) -> None:
        """Half-close."""
        transport.loseWriteConnection()

    def transit(self, stream: TransportStream) -> tuple[int, int]:
        """What is in the transport's buffer is on its way."""
        if stream.transport is not None and not stream.deaf:
            waiting = len(stream.transport.dataBuffer)
            stream.taken = stream.accepted - waiting
        return (0 if stream.deaf else stream.accepted - stream.taken), stream.taken

    def hopeless(self, stream: TransportStream) -> bool:
        """Whether the far end has been reset, although that was not read."""
        return stream.transport is not None and _RESET in stream.transport._incoming


declare(MemoryTransport, _MemoryKind())


class Far:
    """
    The far end of a connection: what a client or a backend does and sees.

    @ivar received: What has arrived, and was taken.
    @ivar hasEnd: Whether the end of the stream has arrived.
    @ivar wasReset: Whether the connection was reset from the near side.
    @ivar closed: Whether the near side is gone.
    @ivar window: How many more bytes will be taken; L{None} is any number.
    @ivar failure: What sending to it fails with from now on, if it does.
    """

    def __init__(self, near: MemoryTransport) -> None:
        self.received = bytearray()
        self.hasEnd = False
        self.wasReset = False
        self.closed = False
        self.window: int | None = None
        self.failure: OSError | None = None
        self._near = near

    def send(self, data: bytes) -> None:
        """Say something."""
        self._near._incoming.append(bytes(data))
        self._near._soon()

    def end(self) -> None:
        """End the stream; what is still sent to here will be taken."""
        self._near._incoming.append(_END)
        self._near._soon()

    def reset(self) -> None:
        """Reset the connection, behind what was said before."""
        self._near._incoming.append(_RESET)
        self._near._soon()

    def stall(self) -> None:
        """Take nothing from now on."""
        self.window = 0

    def take(self, length: int | None = None) -> None:
        """Take so many bytes more; any number, if no length is given."""
        self.window = None if length is None else (self.window or 0) + length
        self._near._soon()

    def _accept(self, data: bytearray) -> int:
        taken = len(data) if self.window is None else min(self.window, len(data))
        self.received += data[:taken]
        if self.window is not None:
            self.window -= taken
        return taken


@define(eq=False)
class ScriptedBackend:
    """
    What listens, or does not, at one address.

    @ivar answer: C{"accept"}, C{"refuse"}, or C{"hang"} for one that never
        answers.
    @ivar accepted: The far ends of the connections that were made to it.
    @ivar dials: How many were tried.
    """

    answer: str = "accept"
    accepted: list[Far] = field(factory=list)
    dials: int = 0


def _refused() -> ConnectionRefusedError:
    return ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


@implementer(IConnector)
class _Connector:
    def __init__(self, address: IPv4Address, factory: ClientFactory) -> None:
        self._address = address
        self._factory = factory
        self.over = False

    def disconnect(self) -> None:
        self.stopConnecting()

    def stopConnecting(self) -> None:
        self.fail(UserError())

    def connect(self) -> None:
        raise RuntimeError("a connector of this network connects once")

    def getDestination(self) -> IPv4Address:
        return self._address

    def fail(self, error: Exception) -> None:
        if not self.over:
            self.over = True
            self._factory.clientConnectionFailed(self, Failure(error))


@implementer(IListeningPort)
class _Port:
    def __init__(self, address: IPv4Address, close: Callable[[], object]) -> None:
        self._address = address
        self._close = close

    def startListening(self) -> None:
        """It does."""

    def stopListening(self) -> Deferred[None]:
        self._close()
        return succeed(None)

    def getHost(self) -> IPv4Address:
        return self._address


@implementer(IReactorTCP)
class MemoryNetwork(Clock):
    """A clock, and a network between addresses that exist in memory only."""

    def __init__(self) -> None:
        super().__init__()
        self._backends: dict[tuple[str, int], ScriptedBackend] = {}
        self._listening: dict[int, Factory] = {}
        self._clients = 0
        self._names: dict[str, str] = {}

    def backend(self, host: str, port: int) -> ScriptedBackend:
        """What is at an address; there, nothing else is refused."""
        return self._backends.setdefault((host, port), ScriptedBackend())

    def alias(self, name: str, host: str) -> None:
        """Let a host be known by another name too."""
        self._names[name] = host

    def client(self, port: int) -> Far:
        """
        Connect a client to a listening port.

        @raise KeyError: If nothing listens there.
        """
        self._clients += 1
        peer = IPv4Address("TCP", "192.0.2.1", 40000 + self._clients)
        near = MemoryTransport(self, IPv4Address("TCP", "127.0.0.1", port), peer)
        protocol = self._listening[port].buildProtocol(peer)
        if protocol is None:
            near.far.closed = True
        else:
            near.connect(protocol)
        return near.far

    def settle(self, seconds: float = 0.0) -> None:
        """
        Let some time pass, with all that happens in it at its own moment, and
        then happen whatever takes no time.
        """
        until = self.seconds() + seconds
        while self.calls and self.calls[0].getTime() <= until:
            self.advance(max(0.0, self.calls[0].getTime() - self.seconds()))
        self.advance(max(0.0, until - self.seconds()))

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Let clients connect."""
        if port in self._listening:
            raise CannotListenError(interface, port, OSError(98, "Address in use"))
        self._listening[port] = factory
        factory.doStart()
        address = IPv4Address("TCP", interface or "0.0.0.0", port)
        return _Port(address, lambda: self._listening.pop(port, None))

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: object = None,
    ) -> IConnector:
        """Connect to what is at an address, in a moment."""
        host = self._names.get(host, host)
        backend = self._backends.get((host, port), ScriptedBackend("refuse"))
        backend.dials += 1
        address = IPv4Address("TCP", host, port)
        connector = _Connector(address, factory)
        factory.doStart()
        factory.startedConnecting(connector)
        if backend.answer == "refuse":
            self.callLater(0, connector.fail, _refused())
        elif backend.answer == "accept":
            self.callLater(0, self._accept, backend, address, connector, factory)
        return connector

    def _accept(
        self,
        backend: ScriptedBackend,
        address: IPv4Address,
        connector: _Connector,
        factory: ClientFactory,
    ) -> None:
        if connector.over:
            return
        connector.over = True
        near = MemoryTransport(self, IPv4Address("TCP", "127.0.0.1", 39999), address)
        protocol = factory.buildProtocol(address)
        if protocol is None:
            near.far.closed = True
        else:
            backend.accepted.append(near.far)
            near.connect(protocol)


def connectionFrom(host: str = "192.0.2.1", port: int = 40001) -> Connection:
    """What is known about a client that has just come, for a picker or router."""
    return Connection(1, "test", Address(host, port), Address("127.0.0.1", 8080), 0.0)


def checkPicker(picker: IBackendPicker, candidates: ICandidates) -> Member:
    """
    Check what every picker that answers at once promises.

    @param picker: Of the kind under test, not used before.
    @param candidates: Whom it may choose from; not empty.
    @return: Its first choice.
    @raise AssertionError: If it breaks its promise.
    """
    verifyObject(IBackendPicker, picker)
    before = list(candidates)
    first = picker.pick(candidates, connectionFrom())
    assert isinstance(first, Member), f"{first!r} is no member"
    for number in range(2 * len(before)):
        choice = picker.pick(candidates, connectionFrom(port=40001 + number))
        assert choice in candidates, f"{choice!r} is no candidate"
    assert list(candidates) == before, "a picker changed its candidates"
    return first
