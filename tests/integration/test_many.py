"""Many connections at a time, and many one after the other."""

from __future__ import annotations

import ctypes
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


def shape(daemon: Daemon, chance: random.Random) -> bool:
    """
    One connection of any shape; what comes back is checked.

    @return: Whether it has come to its own end.
    """
    said = chance.randbytes(int(2 ** chance.uniform(0, 16)))
    ending = chance.choice(["end", "end", "end", "leave", "reset", "read little"])
    with daemon.connect() as client:
        client.sendall(said)
        if ending == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return False
        if ending == "leave":
            return False
        if ending == "read little":
            data = client.recv(chance.randint(1, len(said)))
            assert said.startswith(data)
            return False
        client.shutdown(socket.SHUT_WR)
        got = bytearray()
        while data := client.recv(1 << 16):
            got += data
    assert got == said
    return True


@pytest.mark.long
def test_churn(start: Start, echo: Echo) -> None:
    """
    Thousands of connections of any shape: not a byte is wrong, and nothing is left.
    """
    daemon = start(over=[echo.connect])
    before = heldAtRest(daemon)
    faults: list[BaseException] = []

    def clients(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(2500):
                shape(daemon, chance)
        except BaseException as error:
            faults.append(error)

    threads = [Thread(target=clients, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    eventually(lambda: held(daemon) <= before, "descriptors are left")
