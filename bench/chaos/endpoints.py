"""
Endpoint plugins as nobody should write them, and their transports.

C{rough:HOST:PORT}, for servers, and C{rough:HOW:PORT}, for clients, are TCP on the
loopback interface under a transport that has C{write}, C{loseConnection} and
nothing more.  For clients C{HOW} says what else is wrong with it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from zope.interface import implementer

HOWS = (
    "plain",
    "raises",
    "hangs",
    "stubborn",
    "nonsense",
    "fails",
    "leaves",
    "late",
    "deaf",
    "mute",
)
"""
C{plain} is only plain; C{raises}, C{hangs}, C{nonsense} and C{fails} are what
C{connect} does; the canceller of C{stubborn} raises; C{leaves} closes at once;
C{late} connects although it was cancelled; C{deaf} never says that it is gone;
C{mute} says nothing of what arrives.
"""


@implementer(ITransport)
class Plain:
    """A transport that provides L{ITransport} to the letter."""

    def __init__(self, below: Any) -> None:
        self._below = below

    def write(self, data: bytes) -> None:
        """Send it, sooner or later."""
        self._below.write(data)

    def writeSequence(self, data: Any) -> None:
        """Send it, sooner or later."""
        self._below.writeSequence(data)

    def loseConnection(self) -> None:
        """Close, when all is sent."""
        self._below.loseConnection()

    def getPeer(self) -> Any:
        """Of TCP."""
        return self._below.getPeer()

    def getHost(self) -> Any:
        """Of TCP."""
        return self._below.getHost()


class Carrier(Protocol):
    """The TCP protocol below a rough transport."""

    def __init__(self, inner: Any, how: str) -> None:
        self._inner = inner
        self._how = how

    def connectionMade(self) -> None:
        """Let the inner protocol have its transport."""
        self._inner.makeConnection(Plain(self.transport))
        if self._how == "leaves":
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Hand it on."""
        if self._how != "mute":
            self._inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand it on."""
        inner, self._inner = self._inner, None
        if self._how != "deaf":
            inner.connectionLost(reason)


class Carriers(Factory):
    """Builds carriers for the protocols of another factory."""

    noisy = False

    def __init__(self, inner: Any, how: str) -> None:
        self._inner = inner
        self._how = how

    def buildProtocol(self, addr: Any) -> Carrier | None:
        """One for a new connection."""
        inner = self._inner.buildProtocol(addr)
        return None if inner is None else Carrier(inner, self._how)


def _raises(_: object) -> None:
    raise LookupError("this canceller is broken")


@implementer(IStreamClientEndpoint)
class RoughClient:
    """C{rough:HOW:PORT} for clients."""

    def __init__(self, reactor: Any, how: str, port: int) -> None:
        self._reactor = reactor
        self._how = how
        self._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)

    def connect(self, factory: Any) -> Any:
        """Connect, or whatever this one does instead."""
        ways: dict[str, Callable[[], Any]] = {
            "raises": lambda: _raises(None),
            "hangs": Deferred,
            "stubborn": lambda: Deferred(_raises),
            "nonsense": lambda: 5,
            "fails": self._fail,
            "late": lambda: self._late(factory),
        }
        way = ways.get(self._how)
        return self._connect(factory) if way is None else way()

    def _connect(self, factory: Any) -> Deferred[Any]:
        return self._endpoint.connect(Carriers(factory, self._how))

    def _fail(self) -> Deferred[Any]:
        failing: Deferred[Any] = Deferred()
        self._reactor.callLater(0.05, failing.errback, OSError(errno.EIO, "rough"))
        return failing

    def _late(self, factory: Any) -> Deferred[Any]:
        """Connect after a while, and do not hear of being cancelled."""
        told: Deferred[Any] = Deferred(lambda _: None)

        def connect() -> None:
            connected = self._connect(factory)
            connected.addErrback(lambda _: None)
            connected.addCallback(lambda answer: told.called or told.callback(answer))

        self._reactor.callLater(0.4, connect)
        return told


@implementer(IStreamServerEndpoint)
class RoughServer:
    """C{rough:HOST:PORT} for servers."""

    def __init__(self, reactor: Any, host: str, port: int) -> None:
        self._endpoint = TCP4ServerEndpoint(reactor, port, interface=host)

    def listen(self, factory: Any) -> Any:
        """Listen."""
        return self._endpoint.listen(Carriers(factory, "plain"))


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class RoughClients:
    """Parses C{rough:HOW:PORT}."""

    prefix = "rough"

    def parseStreamClient(self, reactor: Any, how: str, port: str) -> RoughClient:
        """The endpoint."""
        return RoughClient(reactor, how, int(port))


@implementer(IPlugin, IStreamServerEndpointStringParser)
class RoughServers:
    """Parses C{rough:HOST:PORT}."""

    prefix = "rough"

    def parseStreamServer(self, reactor: Any, host: str, port: str) -> RoughServer:
        """The endpoint."""
        return RoughServer(reactor, host, int(port))
