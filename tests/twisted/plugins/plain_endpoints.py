"""
A client endpoint whose transport has only what L{ITransport} asks for:
C{plain:HOST:PORT}.  Such are those of many plugins.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(ITransport)
class PlainTransport:
    """The least there is."""

    def __init__(self, below: Any) -> None:
        self.write = below.write
        self.writeSequence = below.writeSequence
        self.loseConnection = below.loseConnection
        self.getPeer = below.getPeer
        self.getHost = below.getHost


class _Carrier(Protocol):
    """Carries a protocol over TCP, and hides what TCP can do."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connectionMade(self) -> None:
        self._inner.makeConnection(PlainTransport(self.transport))

    def dataReceived(self, data: bytes) -> None:
        self._inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._inner.connectionLost(reason)


class _Carriers(Factory):
    noisy = False

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def buildProtocol(self, addr: Any) -> Protocol | None:
        inner = self._inner.buildProtocol(addr)
        return None if inner is None else _Carrier(inner)


@implementer(IStreamClientEndpoint)
class PlainEndpoint:
    """Connects to where TCP would."""

    def __init__(self, reactor: Any, host: str, port: int) -> None:
        self._below = TCP4ClientEndpoint(reactor, host, port)

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Connect."""
        return self._below.connect(_Carriers(protocolFactory))


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class _Parser:
    prefix = "plain"

    def parseStreamClient(self, reactor: Any, host: str, port: str) -> PlainEndpoint:
        return PlainEndpoint(reactor, host, int(port))


parser = _Parser()
