"""How ends of streams, and resets, get from one side to the other."""

from __future__ import annotations

import socket
from collections.abc import Callable
from queue import Queue
from threading import Event, Thread

import pytest

from .conftest import Start, StartWith
from .daemon import PATIENCE, eventually
from .peers import (
    Backend,
    Pages,
    Web,
    asks,
    drain,
    echo,
    outcome,
    readAll,
    readExactly,
    readHead,
    reset,
)

ANSWER = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n" + b"no, thanks\n" * 800


def test_halfClose(start: Start, serve: Callable[..., Backend]) -> None:
    """A client that ends its stream after the request gets the whole answer."""

    def answer(connected: socket.socket) -> None:
        request = readAll(connected)
        for _ in range(64):
            connected.sendall(request)

    daemon = start(over=[serve(answer)])
    with daemon.connect() as client:
        client.sendall(b"q" * 50000)
        client.shutdown(socket.SHUT_WR)
        assert outcome(client) == (b"q" * 50000 * 64, "FIN")


def test_backendHalfCloses(start: Start, serve: Callable[..., Backend]) -> None:
    """A backend that has said all may still listen to the end."""
    heard: Queue[int] = Queue()

    def listen(connected: socket.socket) -> None:
        connected.sendall(b"speak")
        connected.shutdown(socket.SHUT_WR)
        heard.put(drain(connected))

    daemon = start(over=[serve(listen)])
    with daemon.connect() as client:
        assert outcome(client) == (b"speak", "FIN")
        client.sendall(bytes(3 << 20))
        client.shutdown(socket.SHUT_WR)
        assert heard.get(timeout=PATIENCE) == 3 << 20


def test_halfCloseOff(startWith: StartWith, serve: Callable[..., Backend]) -> None:
    """C{half-close = false}: either end of stream ends the connection."""
    daemon = startWith(serve(echo), listener="half-close = false")
    with daemon.connect() as client:
        assert asks(client, b"hello") == b"hello"
        client.shutdown(socket.SHUT_WR)
        assert outcome(client) == (b"", "FIN")


def test_backendResets(start: Start, serve: Callable[..., Backend]) -> None:
    """A cut-off answer never looks complete: after what came, the client is reset."""
    received = Event()
    part = bytes(range(256)) * 400

    def cut(connected: socket.socket) -> None:
        connected.sendall(part)
        assert received.wait(PATIENCE)
        reset(connected)

    daemon = start(over=[serve(cut)])
    with daemon.connect() as client:
        assert readExactly(client, len(part)) == part
        received.set()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    daemon.says("backend-reset")


def test_backendResetsAtOnce(start: Start, serve: Callable[..., Backend]) -> None:
    """What arrives before a reset is a prefix, and is followed by a reset."""
    part = bytes(range(256)) * 2000

    def cut(connected: socket.socket) -> None:
        connected.recv(1)
        connected.sendall(part)
        reset(connected)

    daemon = start(over=[serve(cut)])
    for _ in range(10):
        with daemon.connect() as client:
            client.sendall(b"!")
            data, end = outcome(client)
        assert part.startswith(data)
        assert end == "RST"


def test_clientResets(start: Start, serve: Callable[..., Backend]) -> None:
    """A backend is told that its client did not simply finish."""
    ends: Queue[tuple[bytes, str]] = Queue()
    daemon = start(over=[serve(lambda connected: ends.put(outcome(connected)))])
    for _ in range(5):
        client = daemon.connect()
        client.sendall(b"some of it")
        eventually(lambda: daemon.connections() >= 2)
        reset(client)
        data, end = ends.get(timeout=PATIENCE)
        assert b"some of it".startswith(data)
        assert end == "RST"


def test_resetsInTheMiddle(start: Start, web: Callable[..., Web]) -> None:
    """Twenty clients that reset in the middle of an answer disturb no other."""

    class Endless(Pages):
        def do_GET(self) -> None:
            """A page that is far too long."""
            self.answer(bytes(20 << 20))

    daemon = start(over=[web("large", Endless), web("large", Endless)])
    with daemon.connect() as other:
        other.sendall(b"GET / HTTP/1.1\r\n\r\n")
        readHead(other)
        for _ in range(20):
            client = daemon.connect()
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert readExactly(client, 100000)
            reset(client)
            assert len(readExactly(other, 1 << 20)) == 1 << 20
        other.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"200 OK" in readHead(other)
    eventually(lambda: daemon.connections() == 0)


def test_earlyErrorAnswer(start: Start, serve: Callable[..., Backend]) -> None:
    """
    A backend that answers 413 to the first bytes of an upload and closes is
    heard: each of twenty clients gets the answer, whole.
    """

    def refuse(connected: socket.socket) -> None:
        readHead(connected)
        connected.sendall(ANSWER)

    daemon = start(over=[serve(refuse)])
    for _ in range(20):
        with daemon.connect() as client:
            uploading = Thread(target=upload, args=(client,))
            uploading.start()
            data, _ = outcome(client)
            uploading.join(PATIENCE)
        assert data == ANSWER


def upload(client: socket.socket) -> None:
    """Send 50 MiB, or as much of them as anybody takes."""
    try:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 52428800\r\n\r\n")
        for _ in range(50):
            client.sendall(bytes(1 << 20))
    except OSError:
        return


def test_portScan(start: Start, serve: Callable[..., Backend]) -> None:
    """Clients that leave at once, in either way, leave nothing behind."""
    daemon = start(over=[serve(echo)])
    for number in range(100):
        client = daemon.connect()
        if number % 2:
            reset(client)
        else:
            client.close()
    with daemon.connect() as client:
        assert asks(client, b"hello") == b"hello"
    eventually(lambda: daemon.connections() == 0)
