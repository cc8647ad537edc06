"""More clients than there are file descriptors for."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

import pytest
from configured import configured

from .conftest import Start, StartTwistd, StartWith
from .daemon import Daemon, eventually, steady
from .peers import Backend, asks, echo, readExactly

FEW = ("sh", "-c", 'ulimit -n 100; exec "$@"', "sh")
"""A process that may have only a hundred descriptors."""


@pytest.fixture
def crowd() -> Iterator[Callable[[Daemon, int], list[socket.socket]]]:
    """Connect so many clients, each of which says who it is."""
    with ExitStack() as stack:

        def crowd(daemon: Daemon, count: int) -> list[socket.socket]:
            clients = [stack.enter_context(daemon.connect()) for _ in range(count)]
            for number, client in enumerate(clients):
                client.sendall(b"%04d" % number)
            return clients

        yield crowd


def endless(connected: socket.socket) -> None:
    """Send until the other side is gone."""
    with suppress(OSError):
        while True:
            connected.sendall(bytes(1 << 20))


def answered(clients: list[socket.socket]) -> list[socket.socket]:
    """Those for which there is something to read."""
    return select.select(clients, [], [], 0)[0]


def room(clients: list[socket.socket]) -> int:
    """How many of them are served, once that is some and no more are."""
    eventually(lambda: answered(clients), "those who wait are not served")
    steady(lambda: len(answered(clients)), seconds=0.2)
    return len(answered(clients))


def quiet(daemon: Daemon) -> float:
    """The share of a processor that it uses while nothing happens."""
    before = daemon.cpu()
    Event().wait(0.5)
    return 2 * (daemon.cpu() - before)


def test_clientsWait(
    start: Start,
    serve: Callable[..., Backend],
    crowd: Callable[[Daemon, int], list[socket.socket]],
) -> None:
    """
    Those for whom there is no room wait in the backlog.  Meanwhile the balancer
    does not spin, and goes on with those it has; when they leave, the others
    are served, and nobody has lost a byte.
    """
    daemon = start(over=[serve(echo)], prefix=FEW)
    clients = crowd(daemon, 120)
    first = room(clients)
    assert 5 <= first < len(clients) / 2
    assert quiet(daemon) < 0.5
    assert "ulimit -n" in daemon.log
    while clients:
        room(clients)
        lucky = answered(clients)
        for client in lucky:
            assert readExactly(client, 4).isdigit()
            assert asks(client, b"still there") == b"still there"
        for client in lucky:
            clients.remove(client)
            client.close()


def test_reloaded(
    startTwistd: StartTwistd,
    serve: Callable[..., Backend],
    crowd: Callable[[Daemon, int], list[socket.socket]],
    tmp_path: Path,
) -> None:
    """A reload lets in no fewer clients, however many there are when it comes."""
    config = tmp_path / "lbproxy.toml"
    where = "tcp:0:interface=127.0.0.1"
    config.write_text(configured(serve(echo).connect, listen=where))
    daemon = startTwistd("lbproxy", f"--config={config}", prefix=FEW)
    clients = crowd(daemon, 60)
    first = room(clients)
    assert first < len(clients) - 3
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.says("The configuration was loaded again")
    for client in answered(clients)[:10]:
        clients.remove(client)
        client.close()
    # A descriptor or two of the process itself may have come since the start.
    eventually(lambda: len(answered(clients)) >= first - 2, "their places stay free")


def test_slowDownloads(
    start: Start,
    serve: Callable[..., Backend],
    crowd: Callable[[Daemon, int], list[socket.socket]],
) -> None:
    """
    Clients that take nothing of a large answer need no descriptors that new clients
    are let in for.
    """
    daemon = start(over=[serve(endless)], prefix=FEW)
    opened = Path(f"/proc/{daemon.pid}/fd")
    for count in (20, 60):
        room(crowd(daemon, count))
        steady(lambda: len(list(opened.iterdir())), seconds=0.5)
    assert "Too many open files" not in daemon.log


def test_suddenly(
    start: Start,
    serve: Callable[..., Backend],
    crowd: Callable[[Daemon, int], list[socket.socket]],
) -> None:
    """
    When descriptors run out before anybody expects it, connections that are
    there go on, nothing spins, and clients are served again when some are free.
    """
    daemon = start(over=[serve(echo)])
    established = crowd(daemon, 10)
    eventually(lambda: len(answered(established)) == 10)
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (used + 5, limits[1]))
    crowd(daemon, 50)
    assert quiet(daemon) < 0.5
    assert quiet(daemon) < 0.5
    for client in established:
        assert readExactly(client, 4).isdigit()
        assert asks(client, b"still there") == b"still there"
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)

    def servedAgain() -> bool:
        with daemon.connect() as client:
            try:
                return asks(client, b"hello") == b"hello"
            except ConnectionResetError:
                return False

    eventually(servedAgain, "it never recovers")


def test_maxConnections(
    startWith: StartWith,
    serve: Callable[..., Backend],
    crowd: Callable[[Daemon, int], list[socket.socket]],
) -> None:
    """C{max-connections} holds: further clients wait until one has left."""
    backend = serve(echo)
    daemon = startWith(backend, process="max-connections = 3")
    first = crowd(daemon, 3)
    eventually(lambda: len(answered(first)) == 3)
    (fourth,) = crowd(daemon, 1)
    steady(lambda: backend.accepted, seconds=0.3)
    assert backend.accepted == 3
    first[0].close()
    assert readExactly(fourth, 4) == b"0000"
