"""What a client that sends for ever costs, and how it is brought to an end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from http.client import HTTPConnection
from threading import Event
from time import monotonic

import pytest

from .conftest import StartWith
from .daemon import PATIENCE, Daemon, eventually, freePort
from .peers import Backend, readExactly, readHead, reset

MIB = 1 << 20

SIDE = 64 * MIB
"""Bytes a second that are discarded of what one side sends, at most."""

PROCESS = 256 * MIB
"""Bytes a second that are discarded of what all sides send, at most."""

KERNEL = 12 * MIB
"""What the kernel may hold of a connection on its way, and more."""

BODY = bytes(100 * MIB)

REFUSAL = b"no, thanks\n" * 800


def sendsForEver(connected: socket.socket) -> tuple[int, float]:
    """
    Send until the balancer has had enough.

    @return: How many bytes were sent, in how many seconds.
    """
    sent, began, chunk = 0, monotonic(), bytes(MIB)
    with connected, suppress(ConnectionError):
        while True:
            sent += connected.send(chunk)
    return sent, monotonic() - began


@pytest.mark.parametrize(("clients", "pace"), [(1, SIDE), (8, PROCESS)])
def test_endlessSenders(startWith: StartWith, clients: int, pace: int) -> None:
    """
    Clients whose only backend is down, and that send for ever, are read at a
    bounded pace, at hardly any cost, until C{max-lifetime}.
    """
    down = f"tcp:127.0.0.1:{freePort()}"
    daemon = startWith(down, listener='max-lifetime = "2s"', pool="retries = 0")
    before = daemon.cpu()
    with ThreadPoolExecutor(clients) as pool:
        sent = list(pool.map(lambda _: sendsForEver(daemon.connect()), range(clients)))
    longest = max(seconds for _, seconds in sent)
    # A slice of time begins with the first byte.
    most = pace * (longest + 0.25) + KERNEL * clients
    assert sum(count for count, _ in sent) < most
    assert daemon.cpu() - before < longest / 2
    for record in daemon.records(clients):
        assert record.end == "connect-failed"
        assert record.total >= 2


class Refuses:
    """
    A backend that answers 413 to the head of a request.

    @ivar unread: Whether it closes with some of the body unread; else it ends
        its stream and listens to the end.
    """

    def __init__(self, unread: bool) -> None:
        self.unread = unread

    def __call__(self, connected: socket.socket) -> None:
        """Converse."""
        readHead(connected)
        head = b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n" % len(REFUSAL)
        connected.sendall(head + REFUSAL)
        if self.unread:
            connected.recv(1, socket.MSG_PEEK)
        else:
            connected.shutdown(socket.SHUT_WR)
            connected.recv(MIB)


def uploads(daemon: Daemon, cutOff: bool) -> bytes:
    """
    Send a hundred megabytes and only then read the answer.

    @param cutOff: Whether it goes without saying that not all can be sent.
    """
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
    with suppress(ConnectionError) if cutOff else nullcontext():
        connection.request("POST", "/", BODY)
    answer = connection.getresponse()
    assert answer.status == 413
    body = answer.read()
    connection.close()
    return body


@pytest.mark.parametrize(
    ("unread", "end"), [(False, "backend-closed"), (True, "backend-reset")]
)
def test_earlyAnswerToALargeUpload(
    startWith: StartWith, serve: Callable[..., Backend], unread: bool, end: str
) -> None:
    """
    A client that sends all of its 100 MB before it reads, or as much as is
    taken if the backend resets, gets the whole of the 413 that came early.  A
    reset behind the end of the answer says only that no more is wanted.
    """
    daemon = startWith(serve(Refuses(unread)))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: uploads(daemon, unread), range(6)))
    assert answers == [REFUSAL] * 6
    assert {record.end for record in daemon.records(6)} == {end}


def test_resetSideIsNotRead(
    startWith: StartWith, serve: Callable[..., Backend]
) -> None:
    """
    After its backend's reset a client gets the rest of what came before, however
    slowly; what it sends meanwhile, without end, is not read.
    """

    def cut(connected: socket.socket) -> None:
        connected.sendall(bytes(200_000))
        readExactly(connected, 1)
        reset(connected)

    daemon = startWith(serve(cut), listener='max-lifetime = "3s"')
    chunk, read, sent, ended = bytes(MIB), 0, 0, False
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", daemon.port))
        client.sendall(b"!")
        eventually(lambda: daemon.connections() == 1)
        before, never = daemon.cpu(), Event()
        client.setblocking(False)
        while not ended:
            try:
                read += len(client.recv(1024))
                with suppress(BlockingIOError):
                    while True:
                        sent += client.send(chunk)
            except BlockingIOError:
                pass
            except ConnectionError:
                ended = True
            never.wait(0.3)
    assert 0 < read < 200_000
    assert sent > MIB
    record = daemon.record()
    assert (record.end, record.received) == ("backend-reset", 1)
    assert record.total >= 3
    assert daemon.cpu() - before < record.total / 4
