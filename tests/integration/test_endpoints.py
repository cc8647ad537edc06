"""Every kind of endpoint that Twisted has, in front and behind."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Start, StartWith
from .daemon import LOOPBACK, PATIENCE, run
from .peers import Backend, asks, echo, readAll

_INHERITS = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What systemd does for a socket-activated service: one descriptor, as 3."""


def passesAlong(client: socket.socket) -> None:
    """Bytes go both ways, and so does the end of the stream."""
    with client:
        assert asks(client, b"Who is there?\n") == b"Who is there?\n"
        client.sendall(b"Nobody.\n")
        client.shutdown(socket.SHUT_WR)
        assert readAll(client) == b"Nobody.\n"


def test_ipv6(start: Start, serve: Callable[..., Backend]) -> None:
    """A client comes by IPv6, and so does its backend's connection."""
    backend = serve(echo, "::1")
    daemon = start(over=[backend], listen=[r"tcp6:0:interface=\:\:1"])
    assert daemon.addresses[0].startswith("[::1]:")
    passesAlong(daemon.connect())


def test_abstractClient(
    startWith: StartWith, serve: Callable[..., Backend], short: str
) -> None:
    """A client that has bound an abstract address is served like any other."""
    daemon = startWith(serve(echo), listen=f"unix:{short}/front")
    with socket.socket(socket.AF_UNIX) as client:
        client.bind(f"\0lbproxy-{os.getpid()}")
        client.settimeout(PATIENCE)
        client.connect(f"{short}/front")
        passesAlong(client)
    assert daemon.record().end == "client-closed"
    log = (daemon.directory / "access.log").read_text()
    assert f"unix:@lbproxy-{os.getpid()} " in log


def test_unix(start: Start, serve: Callable[..., Backend], short: str) -> None:
    """Sockets of the file system, in front and behind."""
    backend = serve(echo, f"{short}/back")
    daemon = start(over=[backend], listen=[f"unix:{short}/front"])
    assert daemon.addresses == [f"unix:{short}/front"]
    passesAlong(daemon.connect())
    daemon.stop()
    assert not os.path.lexists(f"{short}/front")


def test_mixture(start: Start, serve: Callable[..., Backend], short: str) -> None:
    """One balancer listens, and dials, in three ways at a time."""
    backends = [serve(echo), serve(echo, "::1"), serve(echo, f"{short}/back")]
    listen = [LOOPBACK, r"tcp6:0:interface=\:\:1", f"unix:{short}/front:mode=600"]
    daemon = start(over=backends, listen=listen)
    assert os.stat(f"{short}/front").st_mode & 0o777 == 0o600
    for listener in range(3):
        for _ in range(3):
            passesAlong(daemon.connect(listener))
    assert [backend.accepted for backend in backends] == [3, 3, 3]


def test_staleSocket(start: Start, serve: Callable[..., Backend], short: str) -> None:
    """A socket that a killed server left behind is replaced."""
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(f"{short}/front")
    daemon = start(over=[serve(echo)], listen=[f"unix:{short}/front"])
    passesAlong(daemon.connect())


def test_staleSocketOfItsOwn(
    start: Start, serve: Callable[..., Backend], short: str
) -> None:
    """After C{kill -9} it starts again where it was."""
    backend = serve(echo)
    killed = start(over=[backend], listen=[f"unix:{short}/front"])
    killed.process.kill()
    killed.process.wait()
    assert os.path.lexists(f"{short}/front")
    daemon = start(over=[backend], listen=[f"unix:{short}/front"])
    passesAlong(daemon.connect())


def test_liveSocket(
    serve: Callable[..., Backend], start: Start, short: str, tmp_path: Path
) -> None:
    """A socket on which somebody listens is left to them."""
    backend = serve(echo, f"{short}/taken")
    listen = f"unix:{short}/taken"
    ended = run("-n", "--pidfile=", "lbproxy", "-l", listen, directory=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert listen in line
    assert "listens there" in line
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{short}/taken")
        assert asks(client, b"still here") == b"still here"
    assert backend.accepted >= 1


def test_notASocket(short: str, tmp_path: Path) -> None:
    """A file that is no socket is never removed."""
    precious = Path(short, "precious")
    precious.write_text("data")
    listen = f"unix:{precious}"
    ended = run("-n", "--pidfile=", "lbproxy", "-l", listen, directory=tmp_path)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert precious.read_text() == "data"


@pytest.mark.parametrize(
    ("family", "host", "listen"),
    [
        (socket.AF_INET, "127.0.0.1", "systemd:domain=INET:index=0"),
        (socket.AF_INET6, "::1", "systemd:domain=INET6:name=web"),
    ],
)
def test_systemd(
    start: Start,
    serve: Callable[..., Backend],
    family: socket.AddressFamily,
    host: str,
    listen: str,
) -> None:
    """It serves the socket that systemd has opened for it."""
    with socket.create_server((host, 0), family=family) as listening:
        prefix = [sys.executable, "-c", _INHERITS, str(listening.fileno())]
        daemon = start(
            over=[serve(echo)],
            listen=[listen],
            prefix=prefix,
            descriptors=[listening.fileno()],
        )
        assert daemon.port == listening.getsockname()[1]
        passesAlong(daemon.connect())


def test_systemdWithoutASocket(tmp_path: Path) -> None:
    """Started by hand, it says that there is no such descriptor."""
    listen = "systemd:domain=INET:index=0"
    ended = run("-n", "--pidfile=", "lbproxy", "-l", listen, directory=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert listen in line
    assert "systemd" in line
