"""
The leanest transports and reactor that a whole balancer runs on, and one journey
over them.

What they cost themselves is measured by a journey with L{Nobody} in the place of
lbproxy, which asks the same of them, and is subtracted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from lbproxy.streams.kinds import Kind, declare
from lbproxy.streams.stream import Facts

_HOST = IPv4Address("TCP", "127.0.0.1", 8080)
_CLIENT = IPv4Address("TCP", "192.0.2.1", 40001)
_BACKEND = IPv4Address("TCP", "10.0.0.1", 80)
_DONE = Failure(ConnectionDone())

REQUEST = b"x" * 64
ANSWER = b"y" * 64


class Bare:
    """
    A transport that remembers what was asked of it, and does nothing.

    @ivar said: What was written last.
    @ivar ending: Whether the end of the stream was asked for.
    @ivar losing: Whether to be closed was.
    """

    __slots__ = ("ending", "losing", "producer", "protocol", "reading", "said")

    def __init__(self) -> None:
        self.said = b""
        self.ending = self.losing = False
        self.reading = True
        self.producer = self.protocol = None

    def getHost(self) -> IPv4Address:
        """The near address."""
        return _HOST

    def getPeer(self) -> IPv4Address:
        """The far address."""
        return _CLIENT

    def write(self, data: bytes) -> None:
        """Remember it."""
        self.said = data

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Remember it."""
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Forget it."""
        self.producer = None

    def pauseProducing(self) -> None:
        """Nothing comes by itself."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Nothing comes by itself."""
        self.reading = True

    def loseWriteConnection(self) -> None:
        """Remember it."""
        self.ending = True

    def loseConnection(self) -> None:
        """Remember it."""
        self.losing = True

    def abortConnection(self) -> None:
        """Remember it."""
        self.losing = True


class _BareKind(Kind):
    """All that was written is delivered."""

    facts = Facts(
        halfCloses=True, resets=True, pauses=True, tellsDeaf=True, tellsDelivery=True
    )

    def attach(self, stream: Any, transport: Any) -> Facts:
        """It tells everything by itself."""
        return self.facts

    def end(self, transport: Any) -> None:
        """Half-close."""
        transport.loseWriteConnection()


declare(Bare, _BareKind())


class _Call:
    """A delayed call that is never made."""

    __slots__ = ()

    def cancel(self) -> None:
        """Never make it."""


_NEVER = _Call()


@implementer(IListeningPort)
class _Port:
    def startListening(self) -> None:
        """It does."""

    def stopListening(self) -> Deferred[None]:
        return succeed(None)

    def getHost(self) -> IPv4Address:
        return _HOST


class _Connector:
    __slots__ = ("transport",)

    def disconnect(self) -> None:
        """Nothing is under way."""


@implementer(IReactorTCP, IReactorTime)
class BareReactor:
    """
    Hands its factories to whoever drives it.

    @ivar server: The factory that listens.
    @ivar dialling: The factory that was last told to connect.
    """

    server: Any = None
    dialling: Any = None
    seconds = staticmethod(time.monotonic)

    def listenTCP(self, port: int, factory: Any, *_: object, **__: object) -> _Port:
        """Listen."""
        self.server = factory
        return _Port()

    def connectTCP(self, host: str, port: int, factory: Any, *_: object) -> _Connector:
        """Begin to connect."""
        self.dialling = factory
        return _Connector()

    def callLater(self, delay: float, call: Callable[..., object], *_: object) -> _Call:
        """Never call."""
        return _NEVER

    def getDelayedCalls(self) -> list[Any]:
        """There are none."""
        return []


def relayed(reactor: BareReactor) -> tuple[Any, Any, Bare, Bare]:
    """
    Connect a client, and the backend that is dialled for it.

    @return: Their protocols and their transports.
    """
    near, far = Bare(), Bare()
    client = reactor.server.buildProtocol(_CLIENT)
    client.makeConnection(near)
    dial, reactor.dialling = reactor.dialling, None
    backend = dial.buildProtocol(_BACKEND)
    backend.makeConnection(far)
    near.protocol, far.protocol = client, backend
    return client, backend, near, far


def journey(reactor: BareReactor) -> None:
    """One connection with one request: the client ends first, then the backend."""
    client, backend, near, far = relayed(reactor)
    client.dataReceived(REQUEST)
    assert far.said is REQUEST
    backend.dataReceived(ANSWER)
    assert near.said is ANSWER
    client.readConnectionLost()
    assert far.ending
    backend.writeConnectionLost()
    backend.readConnectionLost()
    assert near.ending
    client.writeConnectionLost()
    assert near.losing
    assert far.losing
    client.connectionLost(_DONE)
    backend.connectionLost(_DONE)


class _End:
    """One end of what L{Nobody} relays."""

    __slots__ = ("other", "transport")

    def __init__(self) -> None:
        self.other: _End | None = None
        self.transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport

    def dataReceived(self, data: bytes) -> None:
        self.other.transport.write(data)  # type: ignore[union-attr]

    def readConnectionLost(self) -> None:
        other = self.other.transport  # type: ignore[union-attr]
        other.unregisterProducer()
        other.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:
        self.transport = self.other = None


class _Client(_End):
    def __init__(self, reactor: BareReactor) -> None:
        super().__init__()
        self.reactor = reactor

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        transport.getHost()
        self.reactor.connectTCP("10.0.0.1", 80, _Dial(self))

    def writeConnectionLost(self) -> None:
        self.transport.loseConnection()
        self.other.transport.loseConnection()  # type: ignore[union-attr]


class _Backend(_End):
    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        client = self.other.transport  # type: ignore[union-attr]
        transport.registerProducer(self.other, True)
        client.registerProducer(self, True)


class _Dial:
    __slots__ = ("client",)

    def __init__(self, client: _Client) -> None:
        self.client = client

    def buildProtocol(self, addr: object) -> _Backend:
        backend = _Backend()
        backend.other, self.client.other = self.client, backend
        return backend


class Nobody:
    """Asks of the doubles what lbproxy asks of them, and does nothing besides."""

    def __init__(self, reactor: BareReactor) -> None:
        self._reactor = reactor

    def buildProtocol(self, addr: object) -> _Client:
        """A protocol for a client."""
        return _Client(self._reactor)
