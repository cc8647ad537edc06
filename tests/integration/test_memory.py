"""However slow a side is, what waits for it does not pile up in the balancer."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import pytest
import trustme

from .conftest import Start
from .daemon import LOOPBACK, PATIENCE, Daemon, eventually, steady
from .peers import Backend, readExactly

TRANSFERS = 8
SIZE = 300 << 20
ALLOWED = 16 << 20

CHUNK = bytes(range(256)) * 256
"""What all streams consist of, over and over."""


class Stream:
    """
    Three hundred megabytes that are made as they are sent.

    @ivar sent: How many bytes have been.
    """

    def __init__(self) -> None:
        self.sent = 0

    def send(self, connected: socket.socket) -> None:
        """Send them all, as fast as they are taken, or until the peer is gone."""
        try:
            while self.sent < SIZE:
                connected.sendall(CHUNK)
                self.sent += len(CHUNK)
        except OSError:
            return


def takes(connected: socket.socket, position: int, count: int) -> int:
    """
    Read some more of a stream and see that it is the right part of it.

    @param position: Where in the stream, a multiple of 256.
    @return: The position after it.
    """
    data = readExactly(connected, count)
    assert len(data) == count
    expected = CHUNK * (count // len(CHUNK) + 2)
    start = position % len(CHUNK)
    assert data == expected[start : start + count]
    return position + count


@pytest.fixture
def addresses(authority: trustme.CA) -> Iterator[dict[str, str]]:
    """A server endpoint of each kind of transport."""
    with TemporaryDirectory(prefix="lb") as directory:
        pem = Path(directory, "localhost.pem")
        certificate = authority.issue_cert("localhost")
        certificate.private_key_and_cert_chain_pem.write_to_path(pem)
        yield {
            "tcp": LOOPBACK,
            "unix": f"unix:{directory}/front",
            "tls": f"tls:{directory}:0:interface=127.0.0.1",
        }


def connect(daemon: Daemon, kind: str, authority: trustme.CA) -> socket.socket:
    """A client over one kind of transport."""
    plain = daemon.connect()
    if kind != "tls":
        return plain
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context.wrap_socket(plain, server_hostname="localhost")


def warmUp(daemon: Daemon, kind: str, authority: trustme.CA) -> int:
    """
    Let some megabytes pass, so that what is needed once has been taken.

    @return: The memory that is used then.
    """
    with connect(daemon, kind, authority) as client:
        client.sendall(b"w")
        takes(client, 0, 8 << 20)
    return daemon.memory()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])
def test_slowReaders(
    start: Start,
    serve: Callable[..., Backend],
    authority: trustme.CA,
    addresses: dict[str, str],
    kind: str,
) -> None:
    """
    Eight clients ask for 300 MiB each and stop reading: the backend is stopped,
    the balancer keeps next to nothing; and they can go on where they stopped.
    """
    streams: list[Stream] = []

    def download(connected: socket.socket) -> None:
        connected.recv(1)
        streams.append(Stream())
        streams[-1].send(connected)

    daemon = start(over=[serve(download)], listen=[addresses[kind]])
    before = warmUp(daemon, kind, authority)
    with ExitStack() as stack:
        clients = [
            stack.enter_context(connect(daemon, kind, authority))
            for _ in range(TRANSFERS)
        ]
        for client in clients:
            client.sendall(b"d")
        positions = [takes(client, 0, 1 << 20) for client in clients]
        eventually(lambda: len(streams) == TRANSFERS + 1)
        steady(lambda: [stream.sent for stream in streams])
        assert all(stream.sent < SIZE for stream in streams)
        assert daemon.memory() - before < ALLOWED
        for client, position in zip(clients, positions, strict=True):
            takes(client, position, 24 << 20)
        steady(lambda: [stream.sent for stream in streams])
        assert daemon.memory() - before < ALLOWED


@pytest.mark.long
@pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])
def test_slowBackends(
    start: Start,
    serve: Callable[..., Backend],
    authority: trustme.CA,
    addresses: dict[str, str],
    kind: str,
) -> None:
    """
    Eight clients send 300 MiB each to backends that stop reading: the clients
    are stopped, and go on when the backends do.
    """
    goOn = Event()
    taken: list[bool] = []

    def upload(connected: socket.socket) -> None:
        if connected.recv(1) == b"w":
            Stream().send(connected)
            return
        position = takes(connected, 0, 1 << 20)
        assert goOn.wait(2 * PATIENCE)
        takes(connected, position, 24 << 20)
        taken.append(True)

    daemon = start(over=[serve(upload)], listen=[addresses[kind]])
    before = warmUp(daemon, kind, authority)
    streams = [Stream() for _ in range(TRANSFERS)]
    with ExitStack() as stack:
        threads = []
        for stream in streams:
            client = stack.enter_context(connect(daemon, kind, authority))
            client.settimeout(3 * PATIENCE)
            client.sendall(b"u")
            threads.append(Thread(target=stream.send, args=(client,)))
            threads[-1].start()
        eventually(lambda: all(stream.sent > 1 << 20 for stream in streams))
        steady(lambda: [stream.sent for stream in streams])
        grown = daemon.memory() - before
        goOn.set()
        eventually(lambda: len(taken) == TRANSFERS)
        daemon.stop(signal.SIGQUIT)
        for thread in threads:
            thread.join(PATIENCE)
    assert all(stream.sent < SIZE for stream in streams)
    assert grown < ALLOWED
