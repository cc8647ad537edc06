"""
Many connections at a time, and many one after the other: 10,000 of any shape, or as
many as LBPROXY_TEST_CHURN says.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from threading import Thread

import psutil
import pytest
from configured import configured

from .conftest import Start, StartTwistd
from .daemon import LOOPBACK, PATIENCE, Daemon, eventually, steady

DESCRIPTORS = 20_000
LIMITED = ["sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh"]
"""A command that runs the rest of its line with so many descriptors."""


class Echo:
    """A backend of one thread, which sends back whatever comes on any connection."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listening.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._goes = True
        self.connect = f"tcp:127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._goes = False
        self._thread.join(PATIENCE)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _serve(self) -> None:
        while self._goes:
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listening:
                    self._accept()
                else:
                    self._answer(key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                connected, _ = self._listening.accept()
                connected.settimeout(PATIENCE)
                self._selector.register(connected, selectors.EVENT_READ)

    def _answer(self, connected: socket.socket) -> None:
        try:
            data = connected.recv(1 << 20)
            connected.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(connected)
            connected.close()


@contextmanager
def allowed(descriptors: int) -> Iterator[None]:
    """Let this process have so many descriptors for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < descriptors:
        pytest.skip(f"this user may have {hard} descriptors only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, descriptors), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def echo() -> Iterator[Echo]:
    """What clients say comes back."""
    echo = Echo()
    yield echo
    echo.close()


def held(daemon: Daemon) -> int:
    """How many descriptors it has open."""
    return psutil.Process(daemon.pid).num_fds()


def heldAtRest(daemon: Daemon) -> int:
    """The same, once it has served one connection, whose end is over."""
    round_(daemon, 1)
    steady(lambda: held(daemon))
    return held(daemon)


def round_(daemon: Daemon, count: int) -> int:
    """
    So many clients connect, each says 1 KiB and gets it back, and all leave.

    @return: The memory that is used before they leave.
    """
    clients = [daemon.connect() for _ in range(count)]
    said = [blake2b(str(n).encode()).digest() * 16 for n in range(count)]
    for client, each in zip(clients, said, strict=True):
        client.sendall(each)
    for client, each in zip(clients, said, strict=True):
        got = b""
        while len(got) < len(each) and (data := client.recv(2048)):
            got += data
        assert got == each
    memory = daemon.memory()
    for client in clients:
        client.close()
    return memory


@pytest.mark.long
def test_nineThousandAtATime(start: Start, echo: Echo) -> None:
    """
    9,000 connections are served at a time.  Once they are over, no descriptor is left,
    and further crowds take no more memory than the first one.
    """
    with allowed(DESCRIPTORS):
        daemon = start(over=[echo.connect], prefix=LIMITED)
        before = heldAtRest(daemon)
        memory = []
        for _ in range(5):
            memory.append(round_(daemon, 9000))
            eventually(lambda: held(daemon) <= before, "descriptors are left")
        assert max(memory) <= 1.05 * memory[0]


GIVING_BACK = """\
import ctypes, gc, os

def route(connection):
    if os.path.exists("give-back"):
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
    return "web"
"""
"""
A router that gives the system back what is free, in the directory of its daemon, where
there is a file of that name.
"""


@pytest.mark.long
@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs the GNU C library"
)
def test_nothingIsKept(startTwistd: StartTwistd, echo: Echo, tmp_path: Path) -> None:
    """
    Nothing is kept of 9,000 connections: when the system is given back what is free,
    about as much memory is used as before.

    Python's own allocator gives back whole mebibytes only.  The C library's, which is
    used here, can give back each page.
    """
    (tmp_path / "giving.py").write_text(GIVING_BACK)
    config = tmp_path / "giving.toml"
    router = 'router = "python:giving.route"'
    config.write_text(configured(echo.connect, listen=LOOPBACK, listener=router))
    surroundings = {"PYTHONMALLOC": "malloc", "PYTHONPATH": str(tmp_path)}
    with allowed(DESCRIPTORS):
        daemon = startTwistd("lbproxy", f"--config={config}", environment=surroundings)

        def used() -> int:
            eventually(lambda: held(daemon) <= atRest, "descriptors are left")
            steady(daemon.memory)
            flag.touch()
            round_(daemon, 1)
            flag.unlink()
            return daemon.memory()

        flag = daemon.directory / "give-back"
        atRest = heldAtRest(daemon)
        before = used()
        for _ in range(2):
            assert round_(daemon, 9000) > 1.3 * before
            assert used() <= 1.1 * before


CHURN = int(os.environ.get("LBPROXY_TEST_CHURN", "10000"))
CHUNK = random.Random(0).randbytes(1 << 20)


def sendsUntilFull(client: socket.socket, data: bytes) -> bytes:
    """
    Send as much as is taken while nothing is read.

    @return: What was.
    """
    client.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        while sent < len(data):
            sent += client.send(data[sent:])
    client.settimeout(PATIENCE)
    return data[:sent]


def shape(daemon: Daemon, chance: random.Random) -> None:
    """One connection of any shape; what comes back is checked."""
    start = chance.randrange(1 << 16)
    said = CHUNK[start : start + int(2 ** chance.uniform(0, 16))]
    manner = chance.choice(["end", "end", "stall", "leave", "reset", "read little"])
    with daemon.connect() as client:
        client.sendall(said)
        if manner == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return
        if manner == "leave":
            return
        if manner == "read little":
            data = client.recv(chance.randint(1, len(said)))
            assert said.startswith(data)
            return
        if manner == "stall":
            said += sendsUntilFull(client, CHUNK[: chance.randrange(1 << 19)])
        client.shutdown(socket.SHUT_WR)
        got = bytearray()
        while data := client.recv(1 << 16):
            got += data
    assert got == said


def churn(daemon: Daemon, count: int, seed: int) -> None:
    """So many connections, from clients of which there are four at a time."""
    faults: list[BaseException] = []

    def clients(which: int) -> None:
        chance = random.Random(f"{seed} {which}")
        try:
            for _ in range(count // 4):
                shape(daemon, chance)
        except BaseException as error:
            faults.append(error)

    threads = [Thread(target=clients, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


@pytest.mark.long
def test_churn(start: Start, echo: Echo) -> None:
    """
    Thousands of connections of any shape: not a byte is wrong, no descriptor is left of
    them, and the last ones take no more memory than the first ones.
    """
    daemon = start(over=[echo.connect])
    before = heldAtRest(daemon)
    memory = []
    for seed in range(5):
        churn(daemon, CHURN // 5, seed)
        # Four pipes at most are kept for the next ones.
        eventually(lambda: held(daemon) <= before + 8, "descriptors are left")
        memory.append(daemon.memory())
    print(f"{CHURN} connections; memory after each fifth of them: {memory}")
    assert max(memory) <= 1.1 * memory[0]
