"""What a stream on a socket leaves in the kernel, and how long its turns are."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from twisted.internet.error import ConnectionDone

from lbproxy.streams.socketkinds import LEAST_READ, TURN_BYTES
from lbproxy.streams.socketloop import SocketLoop
from lbproxy.streams.socketstreams import SocketStream
from lbproxy.streams.splice import pump
from lbproxy.streams.stream import Mode

from .bench import Notes
from .test_socketloop import Reactor
from .test_splice import pair

kinds = pytest.mark.parametrize("kind", ["tcp", "unix"])


class Held(Notes):
    """A stream that is held, with its far end in the test's hands."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.reactor = Reactor()
        self.loop = SocketLoop(self.reactor)
        near, self.far = pair(kind)
        self.held = SocketStream(self, near, self.loop)
        self.loop.add(near.fileno(), self.held)

    def say(self, data: bytes) -> None:
        self.far.send(data)
        self.reactor.turn()

    def close(self) -> None:
        self.far.close()
        if self.held.mode is not Mode.LOST:
            self.held.abort()
        for _ in range(3):
            self.reactor.turn()
        assert not self.reactor.readers


@pytest.fixture
def held(request: pytest.FixtureRequest) -> Iterator[Held]:
    held = Held(request.param)
    yield held
    held.close()


both = pytest.mark.parametrize("held", ["tcp", "unix"], indirect=True)
tcp = pytest.mark.parametrize("held", ["tcp"], indirect=True)


@both
def test_staysInTheKernel(held: Held) -> None:
    """What arrives while it is held is not read before somebody takes it."""
    held.say(b"one ")
    held.say(b"two")
    assert held.held.received == 0
    assert held.held.peek(100) == b"one two"
    assert held.held.take(4) == b"one "
    assert held.held.received == 4
    held.held.flow(held.pieces.append)
    held.reactor.turn()
    assert held.heard == b"two"
    assert held.held.received == 7


@both
def test_toldOfEachPiece(held: Held) -> None:
    """Who looks for a header is told of each piece, and reads nothing past it."""
    held.held.tellsHeld = True
    held.say(b"head")
    held.say(b"er and")
    assert held.looks == [b"head", b"header and"]
    assert held.held.received == 0
    assert held.held.take(6) == b"header"
    held.held.tellsHeld = False
    held.say(b" more")
    assert held.held.received == 6
    assert held.held.peek(100) == b" and more"
    assert len(held.looks) == 2


@both
def test_endWhileHeld(held: Held) -> None:
    """Its end is told although nobody reads, and what came before it is kept."""
    held.say(b"all of it")
    held.far.shutdown(socket.SHUT_WR)
    held.reactor.turn()
    assert held.told == ["ended"]
    assert held.held.peek(100) == b"all of it"


@tcp
def test_resetAfterPeek(held: Held) -> None:
    """A look that finds a reset does not make an end of it."""
    held.say(b"x")
    assert held.held.peek(2) == b"x"
    held.held.take(1)
    held.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    held.far.close()
    assert held.held.peek(2) == b""
    held.reactor.turn()
    held.reactor.turn()
    assert held.told == ["lost"]
    assert held.reason is not None
    assert not held.reason.check(ConnectionDone)


class Trickle(socket.SocketType):
    """A socket of a peer that sends each byte as soon as the one before is read."""

    reads = 0

    def recv_into(self, *arguments: object) -> int:
        self.reads += 1
        return 1

    def recv(self, *arguments: object) -> bytes:
        self.reads += 1
        return b"x"

    def send(self, data: bytes, *arguments: object) -> int:  # type: ignore[override]
        return len(data)


@pytest.mark.parametrize("how", ["pumped", "passed on", "discarded"])
def test_turnOfByteByByte(how: str) -> None:
    """Such a peer, whose every read may be followed by more, has short turns too."""
    loop = SocketLoop(Reactor())
    source = SocketStream(Notes(), Trickle(socket.AF_UNIX, socket.SOCK_STREAM), loop)
    sink = SocketStream(Notes(), Trickle(socket.AF_UNIX, socket.SOCK_STREAM), loop)
    source.readable = True
    if how == "pumped":
        pump(source, sink)
    elif how == "passed on":
        source.flow(len)
        source.socketTurn()
    else:
        source.mode = Mode.FINISHING
        source.socketTurn()
    assert isinstance(source.opened, Trickle)
    assert source.opened.reads == TURN_BYTES // LEAST_READ
    for each in (source, sink):
        each.abort()
