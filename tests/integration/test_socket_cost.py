"""What a whole connection costs over lbproxy's own sockets: calls, and system calls."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from twisted.internet.epollreactor import EPollReactor

import lbproxy
from lbproxy import LoadBalancer
from lbproxy.streams.sockets import SocketReactor

PACKAGE = str(Path(lbproxy.__file__).parent)

ROOMS = {
    "streams/socketloop.py": "the loop",
    "ports.py": "accepting",
    "streams/socketkinds.py": "accepting",
    "streams/socketdials.py": "dialling",
    "streams/socketoptions.py": "dialling",
    "streams/socketstreams.py": "the two streams",
    "streams/splice.py": "the two streams",
    "streams/kernel.py": "the two streams",
}
"""What the functions of a module count as, if not as what is above the sockets."""

MOST_CALLS = {
    "above the sockets": 48,
    "accepting": 5,
    "dialling": 3,
    "the two streams": 36,
}
"""
Calls of lbproxy's own functions for a connection with one request, the loop's turns
apart.  Above the sockets it was meant to be 40.
"""

SYSTEM_CALLS = {
    "_accept": 2,  # The second finds that nobody else waits.
    "setsockopt": 5,
    "connect_ex": 1,
    "register": 2,
    "recv_into": 3,  # The answer and the end of the backend's stream are one read.
    "send": 2,
    "ioctl": 2,
    "shutdown": 1,
    "close": 2,
}
"""
And the methods of sockets, and the like, that it calls.  Each is one system call.  Two
more make the sockets.
"""


class Balanced:
    """A balancer on its own sockets, one client and one backend."""

    def __init__(self) -> None:
        self.reactor = EPollReactor()
        self.backend = socket.create_server(("127.0.0.1", 0))
        self.backend.settimeout(10)
        host, port = self.backend.getsockname()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.where = free.getsockname()
        self.balancer = LoadBalancer.fromEndpoints(
            SocketReactor(self.reactor),
            [f"tcp:{self.where[1]}:interface=127.0.0.1"],
            [f"tcp:{host}:{port}"],
        )
        self.balancer.startService()
        # Nothing is made or unmade for the first or the last connection.
        self.other = socket.create_connection(self.where)
        self.accepted = self._accept()

    def _accept(self) -> socket.socket:
        self.backend.setblocking(False)
        for _ in range(1000):
            self.turn()
            with contextlib.suppress(BlockingIOError):
                accepted, _ = self.backend.accept()
                accepted.settimeout(10)
                return accepted
        raise AssertionError("it was never dialled")

    def turn(self) -> None:
        """What a reactor does in one go."""
        self.reactor.runUntilCurrent()
        self.reactor.doIteration(0.01)

    def request(self) -> None:
        """A connection with one request, closed by the backend after its answer."""
        with socket.create_connection(self.where, 10) as client:
            client.sendall(b"request")
            with self._accept() as backend:
                self._until(backend, b"request")
                backend.sendall(b"answer")
            self._until(client, b"answer")
            self._until(client, b"")
        for _ in range(5):
            self.turn()

    def _until(self, connected: socket.socket, said: bytes) -> None:
        connected.setblocking(False)
        for _ in range(1000):
            self.turn()
            with contextlib.suppress(BlockingIOError):
                assert connected.recv(100) == said
                return
        raise AssertionError(f"{said!r} never came")

    def close(self) -> None:
        self.balancer.stopService()
        for each in (self.other, self.accepted, self.backend):
            each.close()
        for _ in range(3):
            self.turn()
        for reader in self.reactor.removeAll():
            reader.connectionLost(None)


@pytest.fixture
def balanced() -> Iterator[Balanced]:
    """A balancer that has served some already."""
    balanced = Balanced()
    for _ in range(3):
        balanced.request()
    yield balanced
    balanced.close()


def counted(work: Callable[[], object]) -> tuple[Counter[str], Counter[str]]:
    """Which functions of lbproxy are called, and which builtins by these."""
    own: Counter[str] = Counter()
    builtins: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return
        if event == "call":
            room = code.co_filename.removeprefix(PACKAGE + "/")
            own[f"{room} {code.co_qualname}"] += 1
        elif event == "c_call":
            builtins[getattr(argument, "__name__", "")] += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return own, builtins


def test_calls(balanced: Balanced) -> None:
    """A connection with one request stays within its budget of calls, room by room."""
    own, _ = counted(balanced.request)
    calls: Counter[str] = Counter()
    for name, count in own.items():
        calls[ROOMS.get(name.split()[0], "above the sockets")] += count
    dearest = "\n".join(f"{count:4} {name}" for name, count in own.most_common())
    calls.pop("the loop")
    assert {n: c for n, c in calls.items() if c > MOST_CALLS[n]} == {}, dearest


def test_systemCalls(balanced: Balanced) -> None:
    """A connection with one request makes no more system calls than it needs."""
    _, builtins = counted(balanced.request)
    made = {name: builtins[name] for name in SYSTEM_CALLS}
    assert made == SYSTEM_CALLS, builtins
