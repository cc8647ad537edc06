"""Backends that are down, come back, or never answer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic

import pytest

from .conftest import Start, StartTwistd, StartWith
from .daemon import eventually, freePort
from .peers import Backend, asks, drain, echo, names, readAll, readExactly


def test_oneIsDown(start: Start, serve: Callable[..., Backend]) -> None:
    """With one of two backends down every client is served by the other."""
    up = serve(echo)
    down = f"tcp:127.0.0.1:{freePort()}"
    daemon = start(over=[down, up])
    for _ in range(20):
        with daemon.connect() as client:
            assert asks(client, b"hello") == b"hello"
    assert up.accepted == 20
    assert "connect-failed" not in daemon.log


def test_whatWasSaidEarlyArrives(start: Start, serve: Callable[..., Backend]) -> None:
    """
    A client that says everything at once and ends its stream loses nothing of
    it, though two dials fail before one works.
    """
    down = [f"tcp:127.0.0.1:{freePort()}" for _ in range(2)]
    daemon = start(over=[*down, serve(echo)])
    said = bytes(range(256)) * 2000
    with daemon.connect() as client:
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        assert readAll(client) == said


def test_allAreDown(start: Start, serve: Callable[..., Backend]) -> None:
    """The client is closed and the log says why; a backend's return is noticed."""
    port = freePort()
    daemon = start(over=[f"tcp:127.0.0.1:{port}"])
    with ExitStack() as stack:
        # At once, since each is tried again after a second, three times.
        clients = [stack.enter_context(daemon.connect()) for _ in range(12)]
        assert [client.recv(1) for client in clients] == [b""] * 12
    log = daemon.says("connect-failed")
    assert f"tcp:127.0.0.1:{port}" in log
    assert "refused" in log
    serve(echo, "127.0.0.1", port)
    with daemon.connect() as client:
        assert asks(client, b"hello") == b"hello"


def test_twoAreDown(start: Start, serve: Callable[..., Backend]) -> None:
    """Even ejected members are tried before a client is refused."""
    ports = [freePort() for _ in range(2)]
    daemon = start(over=[f"tcp:127.0.0.1:{port}" for port in ports])
    with ExitStack() as stack:
        clients = [stack.enter_context(daemon.connect()) for _ in range(12)]
        assert [drain(client) for client in clients] == [0] * 12
    serve(echo, "127.0.0.1", ports[0])
    serve(echo, "127.0.0.1", ports[1])
    for _ in range(4):
        with daemon.connect() as client:
            assert asks(client, b"hello") == b"hello"


def test_itComesBack(start: Start, serve: Callable[..., Backend]) -> None:
    """A backend that was away for a few connections is used again at once."""
    stays, leaves = serve(names(b"s")), serve(names(b"l"))
    daemon = start(over=[stays, leaves])
    said = b""
    for _ in range(4):
        with daemon.connect() as client:
            said += readExactly(client, 1)
    assert said == b"slsl"
    leaves.close()
    for _ in range(4):
        with daemon.connect() as client:
            assert readExactly(client, 1) == b"s"
    serve(names(b"L"), "127.0.0.1", leaves.port)
    said = b""
    for _ in range(4):
        with daemon.connect() as client:
            said += readExactly(client, 1)
    assert sorted(said) == sorted(b"sLsL")


def test_itIsPassedOver(start: Start, serve: Callable[..., Backend]) -> None:
    """One that fails five times in a row is left alone for a while."""
    stays, port = serve(names(b"s")), freePort()
    daemon = start(over=[stays, f"tcp:127.0.0.1:{port}"])
    for _ in range(12):
        with daemon.connect() as client:
            assert readExactly(client, 1) == b"s"
    back = serve(names(b"b"), "127.0.0.1", port)
    for _ in range(10):
        with daemon.connect() as client:
            assert readExactly(client, 1) == b"s"
    assert back.accepted == 0


def test_itDiesInTheMiddle(start: Start, serve: Callable[..., Backend]) -> None:
    """A backend that goes away ends its connections, and not the balancer's life."""
    dies, stays = serve(echo), serve(echo)
    daemon = start(over=[dies, stays])
    clients = [daemon.connect() for _ in range(4)]
    for client in clients:
        assert asks(client, b"hello") == b"hello"
    dies.close()
    assert drain(clients[0]) == drain(clients[2]) == 0
    for client in (clients[1], clients[3]):
        assert asks(client, b"still there?") == b"still there?"
    for client in clients:
        client.close()
    eventually(lambda: daemon.connections() == 0)


def test_noAnswer(startWith: StartWith, serve: Callable[..., Backend]) -> None:
    """A backend that does not answer the dial is given up for another in time."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # With its backlog full, further SYNs are dropped.
        fillers = [socket.socket() for _ in range(3)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        daemon = startWith(
            f"tcp:127.0.0.1:{full.getsockname()[1]}",
            serve(echo),
            pool='connect-timeout = "500ms"',
        )
        with daemon.connect() as client:
            assert asks(client, b"hello") == b"hello"
        for each in fillers:
            each.close()


def test_badSourceAddress(
    start: Start, serve: Callable[..., Backend], tmp_path: Path
) -> None:
    """
    A backend that is to be dialled from an address this host lacks is passed
    over after five failures; nobody waits for it, at this listener or another.
    """
    backend = serve(echo)
    config = tmp_path / "lbproxy.toml"
    config.write_text(
        f"""
        log.access = "{tmp_path}/access.log"
        [[listener]]
        name = "one"
        listen = "tcp:0:interface=127.0.0.1"
        pool = "sick"
        [[listener]]
        name = "other"
        listen = "tcp:0:interface=127.0.0.2"
        pool = "well"
        [pool.sick]
        backends = ["{backend.connect}:bindAddress=192.0.2.1", "{backend.connect}"]
        [pool.well]
        backends = ["{backend.connect}"]
        """
    )
    daemon = start(f"--config={config}", listen=[]).untilListening(2)
    for _ in range(24):
        with daemon.connect(0) as one:
            assert asks(one, b"hello") == b"hello"
            began = monotonic()
            with daemon.connect(1) as other:
                assert asks(other, b"hello") == b"hello"
            assert monotonic() - began < 0.5
    access = tmp_path / "access.log"
    eventually(lambda: len(access.read_text().splitlines()) == 48)
    assert access.read_text().count("192.0.2.1") == 5
    assert "clients wait" not in daemon.log


@pytest.mark.parametrize("reactor", ["epoll", "poll", "select", "asyncio"])
def test_backlogFull(
    startTwistd: StartTwistd,
    serve: Callable[..., Backend],
    tmp_path: Path,
    reactor: str,
) -> None:
    """
    A UNIX socket that takes no more connections is a failed dial at once, in
    plain words and without trying on, with every reactor; the next one is tried.
    """
    with TemporaryDirectory(prefix="lb") as short, ExitStack() as stack:
        path = f"{short}/full"
        full = stack.enter_context(socket.socket(socket.AF_UNIX))
        full.bind(path)
        full.listen(0)
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(path)
        config = tmp_path / "lbproxy.toml"
        config.write_text(
            f"""
            [[listener]]
            listen = "tcp:0:interface=127.0.0.1"
            pool = "both"
            [[listener]]
            listen = "tcp:0:interface=127.0.0.2"
            pool = "alone"
            [pool.both]
            backends = ["unix:{path}", "{serve(echo).connect}"]
            [pool.alone]
            retries = 0
            backends = ["unix:{path}"]
            """
        )
        daemon = startTwistd(
            f"--reactor={reactor}", "lbproxy", f"--config={config}", listeners=2
        )
        began, before = monotonic(), daemon.cpu()
        with daemon.connect(0) as both, daemon.connect(1) as alone:
            assert asks(both, b"hello") == b"hello"
            assert drain(alone) == 0
            assert monotonic() - began < 2
            Event().wait(1)
            # What were left of the dial would be tried without a pause.
            assert daemon.cpu() - before < (monotonic() - began) / 4
        assert f"unix:{path}: its backlog is full" in daemon.says("connect-failed")
