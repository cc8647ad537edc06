"""What is moved directly between two sockets arrives whole, in order, and in turn."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from twisted.python.failure import Failure

from lbproxy.streams.pipes import Pipe, Pipes
from lbproxy.streams.relay import Ending, Relay, join
from lbproxy.streams.socketloop import SocketLoop
from lbproxy.streams.socketstreams import SocketStream

from .contract import content
from .test_socketloop import Reactor

BULK = content(8 << 20)
WINDOW = 1 << 17


def pair(kind: str, window: int | None = WINDOW) -> tuple[socket.socket, socket.socket]:
    """
    A connected pair, whose kernel holds little.  The first one blocks, as one does that
    was accepted; so a call that waits for it would stop the test.

    @param window: The most that the kernel holds; L{None} for as much as it likes.
    """
    if kind == "unix":
        one, other = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            one = socket.socket()
            if window is not None:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            one.connect(listening.getsockname())
            other, _ = listening.accept()
    other.setblocking(False)
    return one, other


class Counted(Pipes):
    """Pipes that are counted as they are taken."""

    taken = 0

    def take(self) -> Pipe | None:
        pipe = super().take()
        self.taken += pipe is not None
        return pipe


class Joined:
    """
    Two streams that are joined, with both far ends in the test's hands.

    @cvar window: The most that the kernel holds for a far end.
    """

    window: int | None = WINDOW

    def __init__(
        self,
        kind: str = "tcp",
        most: int = 256,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.reactor = Reactor()
        self.loop = SocketLoop(self.reactor, clock)
        self.pipes = self.loop.pipes = Counted(most)
        self.told: list[object] = []
        self.streams: list[SocketStream] = []
        self.client, self.backend = self.stream(kind), self.stream(kind)
        self.kind = kind
        join(self.streams[0], self.streams[1], self)

    @property
    def isPiped(self) -> bool:
        """Whether a pipe is taken, as for TCP: a read of a UNIX socket brings less."""
        return self.kind == "tcp"

    def stream(self, kind: str) -> socket.socket:
        near, far = pair(kind, self.window)
        stream = SocketStream(self, near, self.loop)
        self.streams.append(stream)
        self.loop.add(near.fileno(), stream)
        return far

    def moved(self, data: bytes, reads: bool = True) -> bytes:
        """Send it from the backend, as far as it is taken; what the client gets."""
        got, left = bytearray(), memoryview(data)
        idle = 0
        while idle < 20:
            before = len(left), len(got)
            with contextlib.suppress(BlockingIOError):
                left = left[self.backend.send(left[:300_000]) :] if left else left
            self.reactor.turn()
            if reads:
                with contextlib.suppress(BlockingIOError):
                    got += self.client.recv(1 << 20)
            idle = idle + 1 if before == (len(left), len(got)) else 0
        self.unsent = bytes(left)
        return bytes(got)

    # What the owner of a stream and of a relay is told.

    def streamShakes(self, stream: object) -> None: ...

    def streamReady(self, stream: object) -> None: ...

    def streamHeld(self, stream: object) -> None: ...

    def streamEnded(self, stream: object) -> None: ...

    def streamDeaf(self, stream: object) -> None: ...

    def relayHalfClosed(self, relay: Relay) -> None:
        self.told.append("half closed")

    def relayOver(self, relay: Relay, ending: Ending, reason: Failure | None) -> None:
        self.told.append(ending)

    def streamLost(self, stream: object, reason: Failure) -> None: ...

    def close(self) -> None:
        for each in self.streams:
            each.owner = None
            each.abort()
        for far in (self.client, self.backend):
            far.close()
        self.reactor.turn()
        assert self.pipes.used == 0
        assert not self.reactor.readers
        assert not self.reactor.calls


@pytest.fixture(params=["tcp", "unix"])
def joined(request: pytest.FixtureRequest) -> Iterator[Joined]:
    joined = Joined(request.param)
    yield joined
    joined.close()


def test_bulk(joined: Joined) -> None:
    """Much is moved through a pipe, which is given back when there is no more."""
    assert joined.moved(BULK) == BULK
    assert bool(joined.pipes.taken) == joined.isPiped
    assert joined.pipes.used == 0
    client, backend = joined.streams
    assert backend.received == client.accepted == client.sent == len(BULK)


def test_message(joined: Joined) -> None:
    """A message needs no pipe, before and after there were many bytes."""
    assert joined.moved(b"a short one") == b"a short one"
    assert not joined.pipes.taken
    assert joined.moved(BULK) == BULK
    assert joined.moved(b"another one") == b"another one"
    assert joined.pipes.used == 0


def test_systemCalls(joined: Joined) -> None:
    """A message costs one read, one send and one look at what has happened."""
    calls: Counter[str] = Counter()

    def count(frame: object, event: str, argument: Any) -> None:
        if event == "c_call":
            calls[argument.__name__] += 1

    joined.moved(b"hello")
    joined.backend.send(b"a message")
    sys.setprofile(count)
    try:
        joined.loop.doRead()
    finally:
        sys.setprofile(None)
    known = {"recv", "recv_into", "send", "poll", "splice", "register", "modify"}
    # More may follow a short read of a UNIX socket without another edge.
    reads = 1 if joined.kind == "tcp" else 2
    assert {name: calls[name] for name in known & calls.keys()} == {
        "recv_into": reads,
        "send": 1,
        "poll": 1,
    }
    assert joined.client.recv(100) == b"a message"


def test_clientThatReadsLater(joined: Joined) -> None:
    """What a pipe holds, and an end behind it, waits for a client that reads later."""
    first = joined.moved(BULK[: 4 << 20])
    assert first == BULK[: 4 << 20]
    assert joined.moved(BULK, reads=False) == b""
    assert joined.pipes.used == joined.isPiped
    sent = len(BULK) - len(joined.unsent)
    joined.backend.shutdown(socket.SHUT_WR)
    joined.unsent = b""
    got = bytearray()
    for _ in range(5000):
        joined.reactor.turn()
        try:
            data = joined.client.recv(50_000)
        except BlockingIOError:
            continue
        if not data:
            break
        got += data
    else:
        raise AssertionError("the end never comes")
    assert got == BULK[:sent]
    assert joined.told == ["half closed"]
    assert joined.pipes.used == 0


def test_writtenBefore(joined: Joined) -> None:
    """What waits to be sent goes first, even if the other side is resumed meanwhile."""
    client, backend = joined.streams
    client.write(BULK)
    assert client.unsent
    backend.resumeProducing()
    assert joined.moved(b"the last", reads=False) == b""
    got = joined.moved(b"")
    assert got == BULK + b"the last"


def test_clientThatIsGone(joined: Joined) -> None:
    """A pipe that nobody will empty is closed."""
    joined.moved(BULK[: 4 << 20])
    joined.moved(BULK, reads=False)
    assert joined.pipes.used == joined.isPiped
    joined.client.close()
    for _ in range(20):
        joined.reactor.turn()
    assert Ending.CLIENT_RESET in joined.told or "half closed" in joined.told
    assert joined.pipes.used == 0


def test_noPipeLeft() -> None:
    """Beyond the most pipes that there may be, bytes are copied."""
    joined = Joined(most=0)
    assert joined.moved(BULK) == BULK
    assert not joined.pipes.taken
    joined.close()


def test_turns() -> None:
    """One that sends for ever does not keep others from their turn."""
    joined = Joined()
    zeros = bytes(1 << 20)
    far = [joined.stream("tcp"), joined.stream("tcp")]
    join(joined.streams[2], joined.streams[3], joined)
    answers = 0
    for _ in range(50):
        for _ in range(20):
            try:
                joined.backend.send(zeros)
            except BlockingIOError:
                break
        far[1].send(b"?")
        for _ in range(2):
            joined.reactor.turn()
        try:
            while joined.client.recv(1 << 20):
                pass
        except BlockingIOError:
            pass
        with contextlib.suppress(BlockingIOError):
            answers += len(far[0].recv(100))
    assert answers >= 49
    for each in far:
        each.close()
    joined.close()
