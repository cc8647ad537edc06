"""TLS in front and behind, with certificates that are really verified."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from .conftest import Start, StartWith
from .daemon import PATIENCE, Daemon, secureListener
from .peers import Backend, asks, drain, echo, readExactly


def connect(daemon: Daemon, trusting: ssl.SSLContext) -> ssl.SSLSocket:
    """A client that has verified the balancer's certificate."""
    return trusting.wrap_socket(daemon.connect(), server_hostname="localhost")


@pytest.mark.parametrize("kind", ["ssl", "tls"])
def test_inFront(
    start: Start,
    serve: Callable[..., Backend],
    certificate: Path,
    trusting: ssl.SSLContext,
    kind: str,
) -> None:
    """Clients speak TLS to the balancer, backends need not know of it."""
    daemon = start(over=[serve(echo)], listen=[secureListener(kind, certificate)])
    large = bytes(range(256)) * 8192
    with connect(daemon, trusting) as client:
        assert client.version() in ("TLSv1.2", "TLSv1.3")
        assert asks(client, b"hello") == b"hello"
        assert asks(client, large[:60000]) == large[:60000]


def test_closeNotify(
    start: Start,
    serve: Callable[..., Backend],
    certificate: Path,
    trusting: ssl.SSLContext,
) -> None:
    """An answer's end is a proper end, which a client can tell from a cut."""
    daemon = start(
        over=[serve(lambda connected: connected.sendall(b"all of it"))],
        listen=[secureListener("tls", certificate)],
    )
    # Without suppress_ragged_eofs a missing close_notify raises SSLEOFError.
    with trusting.wrap_socket(
        daemon.connect(), server_hostname="localhost", suppress_ragged_eofs=False
    ) as client:
        assert readExactly(client, 100) == b"all of it"


def test_cutIsNoEnd(
    start: Start,
    serve: Callable[..., Backend],
    certificate: Path,
    trusting: ssl.SSLContext,
) -> None:
    """An answer that was cut off does not look complete to a TLS client."""

    def cut(connected: socket.socket) -> None:
        connected.sendall(b"half of it")
        connected.recv(1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    daemon = start(over=[serve(cut)], listen=[secureListener("tls", certificate)])
    with trusting.wrap_socket(
        daemon.connect(), server_hostname="localhost", suppress_ragged_eofs=False
    ) as client:
        assert readExactly(client, 10) == b"half of it"
        client.sendall(b"!")
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            client.recv(1)
    daemon.says("backend-reset")


def test_plainClient(
    start: Start,
    serve: Callable[..., Backend],
    certificate: Path,
    trusting: ssl.SSLContext,
) -> None:
    """One that speaks no TLS is sent away; those who do are served on."""
    daemon = start(over=[serve(echo)], listen=[secureListener("tls", certificate)])
    with daemon.connect() as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with suppress(ConnectionResetError):
            drain(plain)
    daemon.says("tls-failed")
    with connect(daemon, trusting) as client:
        assert asks(client, b"hello") == b"hello"


def test_behind(
    start: Start,
    secure: Callable[..., Backend],
    authority: trustme.CA,
    roots: Path,
) -> None:
    """The balancer speaks TLS to a backend, after verifying it."""
    backend = secure(authority, echo)
    daemon = start(over=[f"tls:localhost:{backend.port}:trustRoots={roots}"])
    with daemon.connect() as client:
        assert asks(client, b"hello") == b"hello"


@pytest.mark.parametrize("kind", ["ssl", "tls"])
def test_bothSides(
    start: Start,
    secure: Callable[..., Backend],
    authority: trustme.CA,
    certificate: Path,
    roots: Path,
    trusting: ssl.SSLContext,
    kind: str,
) -> None:
    """TLS to the balancer and TLS onwards, two megabytes each way."""
    backend = secure(authority, echo)
    daemon = start(
        over=[f"tls:localhost:{backend.port}:trustRoots={roots}"],
        listen=[secureListener(kind, certificate)],
    )
    part = bytes(range(256)) * 200
    with connect(daemon, trusting) as client:
        for _ in range(40):
            assert asks(client, part) == part


@pytest.mark.parametrize(
    ("issuer", "name"),
    [("a stranger", "localhost"), ("the authority", "elsewhere.example")],
)
def test_unverifiedIsPassedOver(
    start: Start,
    secure: Callable[..., Backend],
    serve: Callable[..., Backend],
    authority: trustme.CA,
    roots: Path,
    issuer: str,
    name: str,
) -> None:
    """
    A backend whose certificate comes from somebody else, or is somebody else's,
    gets no client's bytes; another backend does.
    """
    heard: list[bytes] = []
    impostor = secure(
        trustme.CA() if issuer == "a stranger" else authority,
        lambda connected: heard.append(connected.recv(100)),
        name,
    )
    wrong = f"tls:localhost:{impostor.port}:trustRoots={roots}"
    daemon = start("--access-log=access", over=[wrong, serve(echo)])
    daemon.says("@127.0.0.1")  # Its address is known.
    for _ in range(3):  # It may have another one, of IPv6, which refuses.
        with daemon.connect() as client:
            assert asks(client, b"secret") == b"secret"
    assert impostor.accepted >= 1
    assert not any(heard)


@pytest.mark.parametrize(
    ("issuer", "name", "reason"),
    [
        ("a stranger", "localhost", "unknown ca"),
        ("the authority", "elsewhere.example", "its certificate is not for localhost"),
    ],
)
@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_nobodyVerifies(
    startWith: StartWith,
    secure: Callable[..., Backend],
    authority: trustme.CA,
    roots: Path,
    issuer: str,
    name: str,
    reason: str,
    kind: str,
) -> None:
    """
    With no other backend the client is closed, and the log says why; so it does of a
    health check.
    """
    by = trustme.CA() if issuer == "a stranger" else authority
    port = secure(by, echo, name).port
    inner = rf"tcp\:127.0.0.1\:{port}"
    impostor = f"tls:localhost:{port}:trustRoots={roots}:endpoint={inner}"
    check = f'health-check = {{ kind = "{kind}", interval = "1s", fall = 1 }}'
    daemon = startWith(pool=f"backends = ['{impostor}']\n{check}")
    with daemon.connect() as client:
        client.settimeout(PATIENCE)
        assert client.recv(1) == b""
    assert daemon.record().detail.endswith(f": {reason}")
    daemon.says(f"is down: {reason}")
