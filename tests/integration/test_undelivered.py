"""What a side does not take, and what it costs to wait for it."""

from __future__ import annotations

import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from .conftest import StartWith
from .daemon import PATIENCE, client, eventually, freePort, secureListener
from .peers import Backend, readExactly

SMALL = 4096
"""Bytes of a receive buffer that is soon full."""


@contextmanager
def neverReads(kind: str, directory: str) -> Iterator[str]:
    """What accepts a connection, and nothing else; how it is connected to."""
    with ExitStack() as stack:
        if kind == "unix":
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(f"{directory}/back")
            connect = f"unix:{directory}/back"
        else:
            listening = stack.enter_context(socket.socket())
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            listening.bind(("127.0.0.1", 0))
            connect = f"tcp:127.0.0.1:{listening.getsockname()[1]}"
        listening.listen()
        yield connect


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("halfClose", ["true", "false"])
def test_heldByTheKernel(
    startWith: StartWith, short: str, kind: str, halfClose: str
) -> None:
    """
    A client says something and ends its stream, and is told that all is well; but
    when C{close-timeout}, or C{stall-timeout}, was over the kernel still had some
    of it: the record says so.
    """
    with neverReads(kind, short) as backend:
        daemon = startWith(
            backend,
            listener=f"half-close = {halfClose}\nstall-timeout = 1",
            process="close-timeout = 1",
        )
        with daemon.connect() as speaker:
            speaker.sendall(bytes(100_000))
            speaker.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                assert speaker.recv(1) == b""
            record = daemon.record()
    assert (record.end, record.received) == ("stall-timeout", 100_000)


def test_trickleToATLSClient(
    startWith: StartWith,
    serve: Callable[..., Backend],
    certificate: Path,
    trusting: ssl.SSLContext,
) -> None:
    """
    A client that reads nothing is found out in time, though a byte more is sent
    to it five times a second, which becomes ciphertext for its socket.
    """
    filled, never = Event(), Event()

    def trickle(connected: socket.socket) -> None:
        connected.sendall(bytes(100_000))
        filled.set()
        while True:
            connected.sendall(b".")
            never.wait(0.2)

    daemon = startWith(
        serve(trickle),
        listener="stall-timeout = 1",
        listen=secureListener("tls", certificate),
    )
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        plain.settimeout(PATIENCE)
        plain.connect(("127.0.0.1", daemon.port))
        with trusting.wrap_socket(plain, server_hostname="localhost"):
            assert filled.wait(PATIENCE)
            began = monotonic()
            record = daemon.record()
            lasted = monotonic() - began
    assert record.end == "stall-timeout"
    assert record.total >= 1
    # An eighth late at most; the rest is for a slow machine.
    assert lasted < 1.125 + 2


def test_lingeringCostsNothing(startWith: StartWith) -> None:
    """
    A thousand clients that were refused, and that do not close, are waited for
    without being looked at: it takes less than a tenth of a core.
    """
    clients = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * clients:
        pytest.skip("there are too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * clients), hard))
    daemon = startWith(f"tcp:127.0.0.1:{freePort()}")
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        lingering = [
            stack.enter_context(client(daemon.addresses[0])) for _ in range(clients)
        ]
        for each in lingering:
            assert readExactly(each, 1) == b""
        assert daemon.connections() == clients
        before, began = daemon.cpu(), monotonic()
        Event().wait(2)
        spent, passed = daemon.cpu() - before, monotonic() - began
        assert spent < passed / 10
        assert not daemon.ended()
    eventually(lambda: daemon.connections() == 0)
    assert {record.end for record in daemon.records(clients)} == {"connect-failed"}
