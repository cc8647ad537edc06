"""lbproxy's own sockets, where they could lose what Twisted's lose."""

from __future__ import annotations

import socket
import struct
from threading import Thread

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import (
    IReactorPluggableNameResolver,
    IReactorSocket,
    IReactorSSL,
    IReactorTCP,
    IReactorTime,
    IReactorUNIX,
)
from twisted.internet.protocol import ClientFactory
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from lbproxy.streams.socketdials import SocketDial
from lbproxy.streams.sockets import SocketReactor, socketsOf
from lbproxy.streams.stream import Stream
from lbproxy.streams.transports import TransportStream

from .bench import Notes

ANSWER = b"a whole answer"

ways = pytest.mark.parametrize("way", ["directly", "by a transport"])


class Dial(ClientFactory):
    """One dial for somebody who takes notes."""

    noisy = False

    def __init__(self, notes: Dialled) -> None:
        self.notes = notes

    def buildProtocol(self, addr: object) -> TransportStream:
        return TransportStream(self.notes)

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        self.notes.dialFailed(reason)


class Dialled(Notes):
    """Dials once, and takes notes of what comes at once."""

    def __init__(
        self, sockets: SocketReactor, where: tuple[str, int], way: str
    ) -> None:
        super().__init__()
        if way == "directly":
            SocketDial(self, sockets.loop, where, None, 0)
        else:
            sockets.connectTCP(*where, Dial(self))

    def dialled(self, stream: Stream) -> None:
        stream.owner = self
        self.streamReady(stream)

    def dialFailed(self, reason: Failure) -> None:
        self.told.append("failed")
        self.reason = reason

    def streamReady(self, stream: Stream) -> None:
        super().streamReady(stream)
        stream.flow(self.pieces.append)

    def streamEnded(self, stream: Stream) -> None:
        super().streamEnded(stream)
        stream.abort()

    @property
    def isOver(self) -> bool:
        return bool({"failed", "lost"} & set(self.told))


def answering(listening: socket.socket, count: int, resets: bool) -> Thread:
    """Accept so many, answer each, and be gone before anybody looks."""

    def answer() -> None:
        for _ in range(count):
            connected, _ = listening.accept()
            connected.send(ANSWER)
            if resets:
                linger = struct.pack("ii", 1, 0)
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connected.close()

    thread = Thread(target=answer)
    thread.start()
    return thread


async def until(dialled: list[Dialled]) -> None:
    """Let the reactor go round until all are over."""
    for _ in range(3000):
        if all(each.isOver for each in dialled):
            return
        await deferLater(reactor, 0.003)
    left = [(e.told, e.stream) for e in dialled if not e.isOver]
    raise AssertionError(f"{len(left)} of {len(dialled)}: {left[:2]}")


def test_provides() -> None:
    """It provides what its reactor does, so that every endpoint works on it."""
    sockets = SocketReactor(reactor)
    for interface in (
        *(IReactorTCP, IReactorUNIX, IReactorSocket, IReactorTime, IReactorSSL),
        IReactorPluggableNameResolver,
    ):
        assert verifyObject(interface, sockets)


def test_which() -> None:
    """They are used where they work, unless the configuration says otherwise."""
    assert isinstance(socketsOf(reactor, "auto"), SocketReactor)
    assert isinstance(socketsOf(reactor, "epoll"), SocketReactor)
    assert socketsOf(reactor, "reactor") is reactor
    clock = Clock()
    assert socketsOf(clock, "auto") is clock
    with pytest.raises(ValueError, match="needs Linux, and a reactor that watches"):
        socketsOf(clock, "epoll")


@ways
@pytest.mark.parametrize("resets", [True, False])
@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.long)])
@ensureDeferred
async def test_goneBeforeAnybodyLooks(rounds: int, resets: bool, way: str) -> None:
    """
    Backends that answer and are gone at once have been connected to, and all of their
    answers arrive: 400 at a time, and thousands in all.
    """
    count, sockets = 400, SocketReactor(reactor)
    for _ in range(rounds):
        with socket.create_server(("127.0.0.1", 0), backlog=count) as listening:
            thread = answering(listening, count, resets)
            where = listening.getsockname()
            dialled = [Dialled(sockets, where, way) for _ in range(count)]
            await until(dialled)
            thread.join()
        assert [each.heard for each in dialled] == [ANSWER] * count
        for each in dialled:
            assert each.reason is not None
            assert not (resets and each.reason.check(ConnectionDone))
            assert each.told[0] == "ready"
            assert ("ended" in each.told) is not resets


@ways
@ensureDeferred
async def test_refused(way: str) -> None:
    """Where nothing listens, the dial says so."""
    sockets = SocketReactor(reactor)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        where = closed.getsockname()
    dialled = [Dialled(sockets, where, way) for _ in range(3)]
    await until(dialled)
    for each in dialled:
        assert each.told == ["failed"]
        assert each.reason is not None
        assert each.reason.check(ConnectionRefusedError)


@pytest.mark.parametrize(
    ("where", "local", "words"),
    [
        (("127.0.0.1", 9), "192.0.2.1", "Cannot assign requested address"),
        (("127.0.0.1", 9), "::1", "Address family"),
        (("255.255.255.255", 9), None, ""),
    ],
)
def test_cannotBeDialled(where: tuple[str, int], local: str | None, words: str) -> None:
    """What fails at once is told at once, and nothing is left of it."""
    sockets, notes = SocketReactor(reactor), Dialled.__new__(Dialled)
    Notes.__init__(notes)
    SocketDial(notes, sockets.loop, where, local, 60)
    assert notes.told == ["failed"]
    assert words in str(notes.reason)
    assert sockets.loop.fileno() == -1


@ensureDeferred
async def test_cancelledDial() -> None:
    """A dial that is cancelled says no more, and its socket is closed."""
    sockets, notes = SocketReactor(reactor), Dialled.__new__(Dialled)
    Notes.__init__(notes)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        dial = SocketDial(notes, sockets.loop, listening.getsockname(), None, 0)
        dial.cancel()
        dial.cancel()
        await deferLater(reactor, 0.05)
    assert notes.told == []
    assert sockets.loop.fileno() == -1
