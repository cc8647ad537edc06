"""Sides that can be sent nothing any more, and what they still had to say."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import Any, cast

import pytest
import trustme
from twisted.internet import reactor
from twisted.internet.main import CONNECTION_DONE

from lbproxy import End
from lbproxy.streams.socketstreams import SocketStream

from .conftest import StartWith
from .daemon import PATIENCE, eventually, steady
from .inside import Inside, besideReactor
from .peers import Backend, asks, outcome, reset

MIB = 1 << 20

PATTERN = struct.pack(f">{MIB}I", *range(MIB))
"""Four megabytes, no two stretches of which look alike."""


def sendsWhatIsTaken(connected: socket.socket) -> int:
    """Send without end until the connection is cut off; how many bytes."""
    sent = 0
    with connected, suppress(OSError):
        connected.settimeout(PATIENCE)
        while True:
            sent += connected.send(bytes(65536))
    return sent


@pytest.mark.parametrize("limit", ["half-close-timeout", "idle-timeout"])
def test_backendThatListensNoMore(
    startWith: StartWith, serve: Callable[..., Backend], short: str, limit: str
) -> None:
    """
    A UNIX backend that stops reading and stays is no bottomless sink: what is
    sent to it is not read from the client, and the usual limits end that.
    """
    stays = Event()

    def listensNoMore(connected: socket.socket) -> None:
        # In this order: behind a full buffer nobody would hear of it.
        connected.shutdown(socket.SHUT_RD)
        connected.sendall(b"enough")
        stays.wait(PATIENCE)

    other = {"half-close-timeout": "idle-timeout", "idle-timeout": "half-close-timeout"}
    daemon = startWith(
        serve(listensNoMore, f"{short}/back"),
        listener=f"{limit} = 1\n{other[limit]} = 0\nstall-timeout = 0",
    )
    before = daemon.cpu()
    with daemon.connect() as client:
        assert client.recv(100) == b"enough"
        sendsWhatIsTaken(client)
    record = daemon.record()
    stays.set()
    assert record.end == limit
    assert record.received < 2 * MIB
    assert record.total >= 1
    assert daemon.cpu() - before < record.total


class Lacking:
    """A socket that one send fails on, as when the kernel lacks memory."""

    def __init__(self, real: socket.socket, good: int) -> None:
        """
        @param good: How many sends work before.
        """
        self._real = real
        self._good = good
        self.after = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def send(self, data: bytes, flags: int = 0) -> int:
        """Send, if it is not the one that fails."""
        self._good -= 1
        if self._good == -1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        self.after += self._good < 0
        return self._real.send(data, flags)


@pytest.mark.parametrize("where", ["tcp", "unix"])
@besideReactor
def test_noHole(serve: Callable[..., Backend], short: str, where: str) -> None:
    """
    A send that fails for want of memory ends what is sent: the backend gets all
    that came before, nothing that comes after, and no end as if it were whole.
    """
    heard: Queue[tuple[bytes, str]] = Queue()

    def listen(connected: socket.socket) -> None:
        connected.sendall(connected.recv(1))
        heard.put(outcome(connected))

    at = (f"{short}/back",) if where == "unix" else ()
    limits = 'half-close-timeout = "1s"'
    with Inside(serve(listen, *at).connect, listener=limits) as inside:
        client = inside.connect()
        assert asks(client, b"!") == b"!"
        backend = cast(Any, inside.backend())
        holds, name = backend.descriptor, "socket"
        if isinstance(backend, SocketStream):
            holds, name = backend, "opened"
        lacking = Lacking(getattr(holds, name), 2)
        setattr(holds, name, lacking)
        # What moves bytes directly is bound to the socket that was there before.
        inside.call(cast(Any, inside.session().client).flow, backend.write)
        sending = Thread(target=sendsAll, args=(client,))
        sending.start()
        data, end = heard.get(timeout=PATIENCE)
        sending.join(PATIENCE)
        client.close()
        assert inside.over().end is End.HALF_CLOSE_TIMEOUT
    assert 0 < len(data) < len(PATTERN)
    assert PATTERN.startswith(data)
    assert lacking.after == 0
    # A UNIX socket knows no reset.
    assert end == ("FIN" if where == "unix" else "RST")


def sendsAll(connected: socket.socket) -> None:
    """Send the whole pattern and its end, as far as they are taken."""
    with suppress(OSError):
        connected.sendall(PATTERN)
        connected.shutdown(socket.SHUT_WR)


def undelivered(connected: socket.socket) -> int:
    """How many bytes the other side's kernel has not taken (SIOCOUTQ)."""
    answer = fcntl.ioctl(connected, termios.TIOCOUTQ, b"\0\0\0\0")
    return struct.unpack("i", answer)[0]


@pytest.mark.parametrize("kind", ["epoll", "poll", "select", "asyncio"])
def test_pausedSideIsReset(
    startWith: StartWith, serve: Callable[..., Backend], kind: str
) -> None:
    """
    A backend that is not read at the moment, since its client takes nothing, and
    to which something is still to be sent, resets: the client gets all that had
    come before, with every reactor.
    """
    spoken: Queue[int] = Queue()
    goes = Event()

    def speaksAndResets(connected: socket.socket) -> None:
        connected.setblocking(False)
        sent = 0

        def fills() -> int:
            nonlocal sent
            with suppress(BlockingIOError):
                while True:
                    start = sent % len(PATTERN)
                    sent += connected.send(PATTERN[start : start + 65536])
            return sent

        steady(fills)
        goes.wait(PATIENCE)
        spoken.put(sent - undelivered(connected))
        reset(connected)

    daemon = startWith(serve(speaksAndResets), reactor=kind)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.connect(("127.0.0.1", daemon.port))
        client.setblocking(False)
        steady(lambda: sends(client))
        client.settimeout(PATIENCE)
        goes.set()
        expected = spoken.get(timeout=PATIENCE)
        data, end = outcome(client)
    assert end == "RST"
    assert len(data) >= expected > 0
    assert (PATTERN * (len(data) // len(PATTERN) + 1)).startswith(data)
    assert daemon.record().end == "backend-reset"


@pytest.mark.parametrize("where", ["tcp", "unix", "tls"])
@besideReactor
def test_resetTakenForAnEnd(
    serve: Callable[..., Backend],
    secure: Callable[..., Backend],
    authority: trustme.CA,
    roots: Path,
    short: str,
    where: str,
) -> None:
    """
    Twisted takes a socket for one at its end that was reset while it was paused,
    if it has been resumed since the reactor looked: the client gets all that had
    come before, and no end as if that were the whole.
    """
    goes, gone = Event(), Event()

    def speaksAndResets(connected: socket.socket) -> None:
        connected.recv(1)
        goes.wait(PATIENCE)
        connected.sendall(PATTERN[:40_000])
        if where == "unix":
            # Which knows no other reset than a close with something unread.
            connected.recv(1, socket.MSG_PEEK)
        reset(connected)
        gone.set()

    def twistedErrs(stream: Any) -> None:
        stream.descriptor.socket.send(b"never read")
        goes.set()
        gone.wait(PATIENCE)
        disconnect = cast(Any, reactor)._disconnectSelectable
        disconnect(stream.descriptor, CONNECTION_DONE, True)

    if where == "tls":
        port = secure(authority, speaksAndResets).port
        connect = f"tls:localhost:{port}:trustRoots={roots}"
    else:
        at = (f"{short}/back",) if where == "unix" else ()
        connect = serve(speaksAndResets, *at).connect
    # Only of Twisted's own sockets is this asked.
    with Inside(connect, process='sockets = "reactor"') as inside:
        with inside.connect() as client:
            client.sendall(b"!")
            backend = inside.backend()
            eventually(lambda: backend.accepted)
            inside.call(twistedErrs, backend)
            assert outcome(client) == (PATTERN[:40_000], "RST")
        record = inside.over()
    assert (record.end, record.detail) == (End.BACKEND_RESET, "")


def sends(connected: socket.socket) -> int:
    """Send as much as is taken at the moment; how much the kernel holds then."""
    with suppress(BlockingIOError):
        while True:
            connected.send(bytes(65536))
    return undelivered(connected)
