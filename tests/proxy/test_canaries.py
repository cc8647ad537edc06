"""
Canaries: what plain Twisted does that makes the tricks of accepting and dialling
necessary.  Each names the trick that it guards; when one fails, a new Twisted has
made that trick wrong or needless.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import deferLater


async def until(predicate: Callable[[], object]) -> None:
    for _ in range(3000):
        if predicate():
            return
        await deferLater(reactor, 0.001)
    raise AssertionError("it never came to that")


class Notes(ClientFactory):
    """Takes notes of what comes of a dial, or of an accept."""

    noisy = False

    def __init__(self, build: Callable[[], object] = lambda: None) -> None:
        self.told: list[str] = []
        self.protocols: list[Protocol] = []
        self._build = build

    def buildProtocol(self, addr: object) -> Protocol:
        self.told.append("built")
        self.protocols.append(Protocol())
        self._build()
        return self.protocols[-1]

    def clientConnectionFailed(self, connector, reason) -> None:
        self.told.append("failed")

    def clientConnectionLost(self, connector, reason) -> None:
        self.told.append("lost")


@ensureDeferred
async def test_acceptsInBatches() -> None:
    """
    Guards C{AcceptGate}: a port that is paused with a client goes on to accept those
    that wait, as many as in its last batches.
    """
    factory = Notes(lambda: port.pauseProducing())
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    clients = [socket.create_connection(port.socket.getsockname()) for _ in range(5)]
    await until(lambda: factory.told)
    assert len(factory.told) == 5
    for each in [*clients, *factory.protocols]:
        each.close() if hasattr(each, "close") else each.transport.abortConnection()
    await port.stopListening()


@ensureDeferred
async def test_closesWithoutDescriptors() -> None:
    """
    Guards C{AcceptGate}: a client for whom there is no descriptor is closed, and the
    port takes what stands on it in the place of its C{socket}.
    """

    class Exhausted:
        def __init__(self, listening: socket.socket) -> None:
            self.listening = listening
            self.accepts = 0

        def accept(self):
            self.accepts += 1
            if self.accepts == 1:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return self.listening.accept()

        def __getattr__(self, name: str):
            return getattr(self.listening, name)

    factory = Notes()
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    exhausted = vars(port)["socket"] = Exhausted(port.socket)
    with socket.create_connection(exhausted.getsockname()) as client:
        client.setblocking(False)
        await until(lambda: exhausted.accepts > 1)
        assert client.recv(1) == b""
    assert factory.told == []
    await port.stopListening()


@ensureDeferred
async def test_connectorKeepsTheTransport() -> None:
    """
    Guards C{Dial.clientConnectionLost}: a connector and its transport still refer
    to each other when the connection is over.
    """
    factory = Notes()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connector = reactor.connectTCP(*listening.getsockname(), factory)
        await until(lambda: factory.told)
        transport = connector.transport
        transport.abortConnection()
        await until(lambda: "lost" in factory.told)
    assert connector.transport is transport
    assert transport.connector is connector


@pytest.fixture
def local(tmp_path: Path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "backend"))
        listening.listen(0)
        yield listening


@ensureDeferred
async def test_localConnectsAtOnce(local: socket.socket) -> None:
    """
    Guards C{_directUNIX}: a UNIX socket is connected in the next turn, before
    what is asked for after it.
    """
    factory, seen = Notes(), []
    connector = reactor.connectUNIX(local.getsockname(), factory)
    reactor.callLater(0, lambda: seen.extend(factory.told))
    assert factory.told == []
    await until(lambda: seen)
    assert seen == ["built"]
    connector.disconnect()
    await until(lambda: "lost" in factory.told)


@ensureDeferred
async def test_fullBacklog(local: socket.socket) -> None:
    """
    Guards C{Dial.checkBacklog}: that a UNIX socket's backlog is full Twisted
    takes for a connect in progress.
    """
    waiting: list[socket.socket] = []
    full = 0
    while not full:
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].setblocking(False)
        full = waiting[-1].connect_ex(local.getsockname())
    assert full == errno.EAGAIN
    factory, seen = Notes(), []
    connector = reactor.connectUNIX(local.getsockname(), factory)
    reactor.callLater(0, lambda: seen.append(connector.state))
    await until(lambda: seen)
    assert seen == ["connecting"]
    connector.disconnect()
    await until(lambda: factory.told)
    for each in waiting:
        each.close()


@pytest.mark.parametrize(
    "kind", ["tcp:127.0.0.1:80", "unix:/run/b", "tls:a.example:443"]
)
def test_timeoutOfItsOwn(kind: str) -> None:
    """
    Guards C{_OWN_TIMEOUT}: Twisted's client endpoints give up after 30 seconds
    unless their description says otherwise.
    """
    endpoint = clientFromString(reactor, kind)
    while inner := getattr(endpoint, "_wrappedEndpoint", None):
        endpoint = inner
    assert endpoint._timeout == 30
    assert clientFromString(reactor, "tcp:127.0.0.1:80:timeout=7")._timeout == 7


@ensureDeferred
async def test_endpointWrapper() -> None:
    """
    Guards that C{tcp:} and C{unix:} are dialled without an endpoint: each puts a
    protocol of its own in between.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{port}")
        protocol = await endpoint.connect(Factory.forProtocol(Protocol))
        assert protocol.transport.protocol is not protocol
        protocol.transport.abortConnection()
        await deferLater(reactor, 0.001)
