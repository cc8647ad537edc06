"""The compact balancer of the bench relays as a balancer must."""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import Any, NamedTuple

import psutil
import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent
from zope.interface import implementer

from bench.compact.balancer import HOST, Balancer
from bench.compact.session import CONNECT_TIMEOUT, IDLE_TIMEOUT, Session
from bench.contenders.processes import Running, started
from lbproxy import Backend as Place
from lbproxy import Connection, IBackendPicker, ICandidates, IConnectionObserver, Member
from lbproxy.balance.pickers import RoundRobin
from lbproxy.balance.pool import Pool
from lbproxy.streams.alarm import alarmFor
from lbproxy.streams.kernel import undeliveredTo
from lbproxy.streams.limits import LINGER
from lbproxy.streams.wheel import Wheel
from lbproxy.words.connection import End

from .daemon import PATIENCE, eventually, freePort
from .peers import (
    Backend,
    Conversation,
    asks,
    drain,
    echo,
    outcome,
    readAll,
    readExactly,
    readHead,
    reset,
)
from .test_ends import ANSWER, upload

Serve = Callable[[Conversation], Backend]
"""Makes a backend of the process's, for one kind of conversation."""


class Process(NamedTuple):
    """
    C{python -m bench.compact}.

    @ivar backend: The port where its only backend is to listen.
    """

    running: Running
    backend: int

    def client(self) -> socket.socket:
        """A client of it."""
        return socket.create_connection((HOST, self.running.port), timeout=PATIENCE)


@pytest.fixture(scope="module")
def compact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The process, which logs nothing but ends."""
    log = tmp_path_factory.mktemp("compact") / "log"
    port, backend = freePort(), freePort()
    command = [sys.executable, "-m", "bench.compact", str(port), str(backend)]
    with started("compact", command, port, log) as running:
        process = Process(running, backend)
        # Whoever asked whether it listens was accepted before.
        with process.client() as unserved:
            assert outcome(unserved) == (b"", "FIN")
        yield process
    assert "Traceback" not in log.read_text()


@pytest.fixture
def behind(compact: Process, serve: Callable[..., Backend]) -> Serve:
    """Start the process's backend."""
    return lambda conversation: serve(conversation, HOST, compact.backend)


def sockets(running: Running) -> int:
    """How many descriptors it has open that are connected sockets."""
    assert running.process is not None
    there = running.process.net_connections("tcp")
    return sum(each.status != psutil.CONN_LISTEN for each in there)


def test_relays(compact: Process, behind: Serve) -> None:
    """
    What either side sends arrives whole, however slowly it is read, and all descriptors
    come back.
    """
    behind(echo)
    said = bytes(range(256)) * 40_000
    with compact.client() as idle, compact.client() as busy:
        sending = Thread(target=busy.sendall, args=(said,))
        sending.start()
        assert asks(idle, b"hello") == b"hello"
        assert readExactly(busy, len(said)) == said
        sending.join()
        assert sockets(compact.running) == 4
        for each in (idle, busy):
            each.shutdown(socket.SHUT_WR)
            assert outcome(each) == (b"", "FIN")
    eventually(lambda: sockets(compact.running) == 0)


def test_clientHalfCloses(compact: Process, behind: Serve) -> None:
    """A client that ends its stream after the request gets the whole answer."""

    def answer(connected: socket.socket) -> None:
        request = readAll(connected)
        for _ in range(64):
            connected.sendall(request)

    behind(answer)
    with compact.client() as asking:
        asking.sendall(b"q" * 50_000)
        asking.shutdown(socket.SHUT_WR)
        assert outcome(asking) == (b"q" * 50_000 * 64, "FIN")


def test_backendHalfCloses(compact: Process, behind: Serve) -> None:
    """A backend that has said all may still listen to the end."""
    heard: Queue[int] = Queue()

    def listen(connected: socket.socket) -> None:
        connected.sendall(b"speak")
        connected.shutdown(socket.SHUT_WR)
        heard.put(drain(connected))

    behind(listen)
    with compact.client() as telling:
        assert outcome(telling) == (b"speak", "FIN")
        telling.sendall(bytes(3 << 20))
        telling.shutdown(socket.SHUT_WR)
        assert heard.get(timeout=PATIENCE) == 3 << 20


def test_resets(compact: Process, behind: Serve) -> None:
    """Either side's reset is a reset to the other one, and no end."""
    arrived = Event()
    ends: Queue[tuple[bytes, str]] = Queue()

    def converse(connected: socket.socket) -> None:
        if readExactly(connected, 3) == b"cut":
            connected.sendall(b"half an answer")
            assert arrived.wait(PATIENCE)
            reset(connected)
        else:
            connected.sendall(b"!")
            ends.put(outcome(connected))

    behind(converse)
    with compact.client() as asking:
        asking.sendall(b"cut")
        assert readExactly(asking, 14) == b"half an answer"
        arrived.set()
        assert outcome(asking) == (b"", "RST")
    asking = compact.client()
    asking.sendall(b"end")
    assert readExactly(asking, 1) == b"!"
    reset(asking)
    assert ends.get(timeout=PATIENCE) == (b"", "RST")


def test_earlyAnswer(compact: Process, behind: Serve) -> None:
    """A backend that refuses an upload at its first bytes, and closes, is heard."""

    def refuse(connected: socket.socket) -> None:
        readHead(connected)
        connected.sendall(ANSWER)

    behind(refuse)
    for _ in range(5):
        with compact.client() as asking:
            uploading = Thread(target=upload, args=(asking,))
            uploading.start()
            data, _ = outcome(asking)
            uploading.join(PATIENCE)
        assert data == ANSWER


@implementer(IConnectionObserver)
class Records:
    """
    Keeps what it is told.

    @ivar open: The records of the sessions that are open.
    @ivar over: Those of the others.
    """

    def __init__(self) -> None:
        self.open: list[Connection] = []
        self.over: list[Connection] = []

    def opened(self, connection: Connection) -> None:
        """One more is open."""
        self.open.append(connection)

    def closed(self, connection: Connection) -> None:
        """One is over."""
        self.open.remove(connection)
        self.over.append(connection)


class Driven:
    """
    A balancer whose events and whose time are the test's.

    @ivar time: Its clock.
    @ivar records: What its observer was told.
    @ivar balancer: It.
    """

    def __init__(
        self, *ports: int, limit: int = 9, picker: IBackendPicker | None = None
    ) -> None:
        """
        @param ports: Of its backends.
        """
        self.time = MemoryReactorClock()
        self.records = Records()
        places = [Place(f"tcp:{HOST}:{each}") for each in ports]
        pool = Pool("test", places, picker or RoundRobin())
        wheel = Wheel(alarmFor(self.time))
        self.balancer = Balancer(self.time, wheel, pool, self.records, limit, 0)

    def client(self) -> socket.socket:
        """A client that is connected, and perhaps not accepted yet."""
        address = self.balancer.address
        where = address.host, address.port
        return socket.create_connection(where, timeout=PATIENCE)

    def until(self, question: Callable[[], object]) -> None:
        """Handle events until the answer is true."""
        while not question():
            assert select.select([self.balancer], [], [], PATIENCE)[0]
            self.balancer.doRead()

    def outcome(self, opened: socket.socket) -> tuple[bytes, str]:
        """Handle events until one side has heard all, as L{outcome} does."""
        heard = bytearray()
        while True:
            both: list[Any] = [self.balancer, opened]
            ready = select.select(both, [], [], PATIENCE)[0]
            assert ready
            if self.balancer in ready:
                self.balancer.doRead()
            if opened in ready:
                try:
                    part = opened.recv(20_000)
                except ConnectionResetError:
                    return bytes(heard), "RST"
                if not part:
                    return bytes(heard), "FIN"
                heard += part

    def isDeaf(self) -> bool:
        """Whether one side is known to take nothing more."""
        return any(each.deaf for each in self.balancer.sides.values())

    def isStalled(self) -> bool:
        """Whether something is kept for one side."""
        return any(each.unsent for each in self.balancer.sides.values())

    def ended(self, count: int = 1) -> list[Connection]:
        """Handle events until so many sessions are over; their records."""
        self.until(lambda: len(self.records.over) >= count)
        return self.records.over

    def joined(self, backend: socket.socket) -> socket.socket:
        """
        Handle events until a client is joined to a backend.

        @return: The backend's connection.
        """
        self.until(lambda: isReadable(backend))
        self.until(lambda: any(each.backend for each in self.records.open))
        return backend.accept()[0]


def held() -> int:
    """How many sockets and epolls this process has."""
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # It is the one that lists them.
            count += os.readlink(each).startswith(("socket:", "anon_inode:"))
    return count


@pytest.fixture
def drive() -> Iterator[Callable[..., Driven]]:
    """Make a balancer; when it is closed nothing is left of it."""
    made: list[Driven] = []

    def drive(*ports: int, **how: object) -> Driven:
        made.append(Driven(*ports, **how))  # type: ignore[arg-type]
        return made[-1]

    before = held()
    yield drive
    for each in made:
        each.balancer.close()
        assert each.records.open == []
        assert not each.time.getReaders()
        assert not each.time.getDelayedCalls()
        assert not any(member.active for member in each.balancer.pool.members)
    assert held() == before


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A backend that accepts when the test does."""
    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(PATIENCE)
        yield listening


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a backend that does not answer, as one that is switched off."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server((HOST, 0), backlog=0))
        while True:
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.1)
            try:
                filler.connect(full.getsockname())
            except TimeoutError:
                break
        yield full.getsockname()[1]


def isReadable(opened: socket.socket | Balancer) -> bool:
    """Whether there is something to read, an end, or somebody to accept."""
    return bool(select.select([opened], [], [], 0)[0])


def portOf(listening: socket.socket) -> int:
    """Where it listens."""
    port: int = listening.getsockname()[1]
    return port


def test_anotherMember(drive: Callable[..., Driven], listening: socket.socket) -> None:
    """Where nobody listens, the next member is tried, and the record tells of both."""
    dead = freePort()
    driven = drive(dead, portOf(listening))
    with driven.client() as asking:
        asking.sendall(b"hello")
        with driven.joined(listening) as accepted:
            driven.until(lambda: isReadable(accepted))
            assert accepted.recv(9) == b"hello"
            accepted.sendall(b"hi")
    (record,) = driven.ended()
    assert [each.failures for each in driven.balancer.pool.members] == [1, 0]
    assert [each.connect for each in record.tried] == [f"tcp:{HOST}:{dead}"]
    assert record.backend == Place(f"tcp:{HOST}:{portOf(listening)}")
    assert (record.bytesFromClient, record.bytesFromBackend) == (5, 2)
    assert record.end is not None
    assert record.end.normal


def test_nobody(drive: Callable[..., Driven]) -> None:
    """After three retries the client is closed, though there are further members."""
    driven = drive(*(freePort() for _ in range(6)))
    with driven.client() as asking:
        (record,) = driven.ended()
        assert outcome(asking) == (b"", "FIN")
    assert record.end is End.CONNECT_FAILED
    assert len(record.tried) == 4
    assert "connection refused" in record.detail


def test_silentMember(
    drive: Callable[..., Driven], silent: int, listening: socket.socket
) -> None:
    """A member that does not answer in time is given up for another one."""
    driven = drive(silent, portOf(listening))
    with driven.client():
        driven.until(lambda: driven.records.open)
        driven.time.advance(CONNECT_TIMEOUT - 1)
        assert not isReadable(listening)
        driven.time.advance(1)
        listening.accept()[0].close()
    (record,) = driven.ended()
    assert [each.connect for each in record.tried] == [f"tcp:{HOST}:{silent}"]


def test_clientLeavesMeanwhile(drive: Callable[..., Driven], silent: int) -> None:
    """A client that is reset while a member is dialled is noticed at once."""
    driven = drive(silent)
    asking = driven.client()
    driven.until(lambda: driven.records.open)
    reset(asking)
    (record,) = driven.ended()
    assert record.end is End.CLIENT_RESET
    assert record.tried == []


def test_clientEndsMeanwhile(
    drive: Callable[..., Driven], listening: socket.socket
) -> None:
    """What a client said and that it ended are passed on once a member is found."""
    driven = drive(freePort(), portOf(listening))
    with driven.client() as asking:
        asking.sendall(b"all")
        asking.shutdown(socket.SHUT_WR)
        with driven.joined(listening) as accepted:
            driven.until(lambda: isReadable(accepted))
            assert readAll(accepted) == b"all"
        (record,) = driven.ended()
        assert record.end is End.CLIENT_CLOSED
        assert outcome(asking) == (b"", "FIN")


def test_idle(drive: Callable[..., Driven], listening: socket.socket) -> None:
    """A connection without a byte is cut off in its time, which each byte renews."""
    driven = drive(portOf(listening))
    with driven.client() as asking, ExitStack() as stack:
        stack.enter_context(accepted := driven.joined(listening))
        driven.time.advance(IDLE_TIMEOUT - 1)
        asking.sendall(b".")
        driven.until(lambda: isReadable(accepted))
        driven.time.advance(1)
        driven.time.advance(IDLE_TIMEOUT - 1)
        assert driven.records.open
        driven.time.advance(1)
        (record,) = driven.records.over
        assert record.end is End.IDLE_TIMEOUT
        assert outcome(asking) == (b"", "RST")


def test_limit(drive: Callable[..., Driven], listening: socket.socket) -> None:
    """A client too many waits until another one is gone."""
    driven = drive(portOf(listening), limit=1)
    with driven.client() as one, driven.client():
        first = driven.joined(listening)
        driven.time.advance(1)
        driven.balancer.doRead()
        assert not isReadable(listening)
        with first:
            one.close()
            driven.until(lambda: isReadable(first))
        driven.joined(listening).close()
    assert len(driven.ended(2)) == 2


@implementer(IBackendPicker)
class LateStarter:
    """Raises at its first pick, and picks the first candidate at all others."""

    asked = False

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        """Pick, or raise."""
        if self.asked:
            return candidates[0]
        self.asked = True
        raise ValueError("not yet")


def test_exception(
    drive: Callable[..., Driven], listening: socket.socket, logged: list[LogEvent]
) -> None:
    """What is raised for one session ends that one alone."""
    driven = drive(portOf(listening), picker=LateStarter())
    with driven.client() as one, driven.client():
        driven.joined(listening).close()
        assert outcome(one) == (b"", "RST")
    ends = [each.end for each in driven.ended(2)]
    assert ends == [End.INTERNAL_ERROR, End.BACKEND_CLOSED]
    assert [str(each["log_failure"].value) for each in logged] == ["not yet"]


def test_urgent(drive: Callable[..., Driven], listening: socket.socket) -> None:
    """What comes after urgent data is passed on too, though it splits a read."""
    driven = drive(portOf(listening))
    with driven.client() as asking, ExitStack() as stack:
        stack.enter_context(accepted := driven.joined(listening))
        asking.sendall(b"before")
        asking.send(b"!", socket.MSG_OOB)
        asking.sendall(b"after")
        asking.shutdown(socket.SHUT_WR)
        driven.until(lambda: driven.records.open[0].end is not None)
        assert readAll(accepted) == b"beforeafter"


def test_fairness(drive: Callable[..., Driven], listening: socket.socket) -> None:
    """A client that has more to say than one turn's share goes on in the next turns."""
    driven = drive(portOf(listening))
    with driven.client() as asking, ExitStack() as stack:
        stack.enter_context(accepted := driven.joined(listening))
        for each in (asking, accepted):
            each.setblocking(False)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        said = asking.send(bytes(8 << 20))
        assert said > 1 << 20
        asking.shutdown(socket.SHUT_WR)
        heard = 0

        def isThrough() -> bool:
            nonlocal heard
            while isReadable(accepted) and (data := accepted.recv(1 << 20)):
                heard += len(data)
            return heard == said

        driven.until(isThrough)


def test_backPressure(drive: Callable[..., Driven], listening: socket.socket) -> None:
    """A client that reads a little at a time gets all, and holds its backend back."""
    driven = drive(portOf(listening))
    said = bytes(range(251)) * 60_000
    with driven.client() as asking:
        with driven.joined(listening) as accepted:
            accepted.setblocking(False)
            for each in driven.balancer.sides.values():
                # So little that what is kept is not taken all at once.
                each.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            begun = 0
            while not driven.isStalled():
                with suppress(BlockingIOError):
                    begun += accepted.send(said[begun : begun + 50_000])
                driven.until(lambda: not isReadable(driven.balancer))
            with suppress(BlockingIOError):
                while begun < len(said):
                    begun += accepted.send(said[begun:])
            assert begun < len(said)
        assert driven.outcome(asking) == (said[:begun], "FIN")


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_deaf(drive: Callable[..., Driven], listening: socket.socket, end: str) -> None:
    """
    A backend answers, perhaps ends its stream, and goes with a reset.  The answer
    arrives, though something is sent to it first, and ends in the same way.
    """
    driven = drive(portOf(listening))
    with driven.client() as asking:
        with driven.joined(listening) as accepted:
            asking.sendall(b"unread")
            driven.until(lambda: isReadable(accepted))
            asking.sendall(b"too late")
            accepted.sendall(ANSWER)
            if end == "FIN":
                accepted.shutdown(socket.SHUT_WR)
        assert driven.outcome(asking) == (ANSWER, end)
        if end == "FIN":
            driven.until(driven.isDeaf)
            asking.sendall(b"whatever")
            driven.time.advance(LINGER)
        (record,) = driven.records.over
    closed, lost = End.BACKEND_CLOSED, End.BACKEND_RESET
    assert record.end is (closed if end == "FIN" else lost)


def test_deafWhileStalled(
    drive: Callable[..., Driven], listening: socket.socket
) -> None:
    """
    A client that reads slowly gets the whole answer of a backend that takes no more,
    and its end; then it has a while to end as well.
    """
    driven = drive(portOf(listening))
    with driven.client() as asking:
        with driven.joined(listening) as accepted:
            asking.sendall(b"unread")
            driven.until(lambda: isReadable(accepted))
            said = 0
            while not driven.isStalled():
                accepted.sendall(bytes(65536))
                said += 65536
                driven.until(lambda: not isReadable(driven.balancer))
            accepted.shutdown(socket.SHUT_WR)
            # Or its close, with something unread, would drop it.
            eventually(lambda: not undeliveredTo(accepted.fileno()))
        asking.sendall(b"too late")
        assert driven.outcome(asking) == (bytes(said), "FIN")
        driven.until(driven.isDeaf)
        driven.time.advance(LINGER - 1)
        assert driven.records.open
        driven.time.advance(1)
    assert driven.records.over[0].end is End.BACKEND_CLOSED


def test_resetAfterItsEnd(
    drive: Callable[..., Driven], listening: socket.socket
) -> None:
    """
    A backend that has answered and ended, and takes no more, does not cost its client
    the answer; a client that did so and leaves is gone for its backend.
    """
    driven = drive(portOf(listening))
    with driven.client() as asking:
        with driven.joined(listening) as accepted:
            accepted.sendall(ANSWER)
        driven.until(lambda: driven.records.open[0].end)
        asking.sendall(b"more")
        driven.until(driven.isDeaf)
        assert driven.outcome(asking) == (ANSWER, "FIN")
        driven.time.advance(LINGER - 1)
        assert driven.records.open
        driven.time.advance(1)
        assert driven.records.over[0].end is End.BACKEND_CLOSED
    asking = driven.client()
    with driven.joined(listening) as accepted:
        asking.shutdown(socket.SHUT_WR)
        driven.until(lambda: isReadable(accepted))
        reset(asking)
        driven.ended(2)
        accepted.settimeout(PATIENCE)
        assert accepted.recv(1) == b""
        with pytest.raises(BrokenPipeError):
            accepted.sendall(b"?")
    assert driven.records.over[1].end is End.CLIENT_RESET


def sessions() -> int:
    """How many there are, open or not."""
    return sum(isinstance(each, Session) for each in gc.get_objects())


def test_noCycles(drive: Callable[..., Driven], listening: socket.socket) -> None:
    """What a session leaves is gone at once; nothing waits for the collector."""
    driven = drive(portOf(listening))
    gc.collect()
    # A failure that a test has kept keeps its frames.
    before = sessions()
    gc.disable()
    try:
        for count in range(1, 4):
            with driven.client():
                driven.joined(listening).close()
            driven.ended(count)
        assert sessions() == before
    finally:
        gc.enable()
