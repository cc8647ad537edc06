"""Names are looked up in threads, and each lookup is answered, whatever happens."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Event, Lock, active_count

import pytest

from lbproxy.discovery.answers import Answer, Family
from lbproxy.discovery.system import THREADS, SystemResolver

PATIENCE = 10.0
"""The seconds after which a test fails that waits for a thread."""


class Turns:
    """A reactor whose turns the test makes: threads hand over what it is to call."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[tuple[Callable, tuple]] = SimpleQueue()

    def callFromThread(self, function: Callable, *args: object) -> None:
        self.calls.put((function, args))

    def turn(self) -> None:
        """Call what a thread has handed over, or will."""
        function, args = self.calls.get(timeout=PATIENCE)
        function(*args)


class Asked:
    """A resolver, and what it has answered."""

    def __init__(self, lookUp: Callable, inThread: Callable | None = None) -> None:
        self.reactor = Turns()
        self.heard: dict[str, Answer[str]] = {}
        self.resolver = SystemResolver(self.reactor, lookUp, inThread)

    def ask(self, *names: str, family: Family = Family.IPV4) -> None:
        for name in names:
            self.resolver.addresses(name, family, partial(self.hear, name))

    def hear(self, name: str, found: Answer[str]) -> None:
        assert name not in self.heard
        self.heard[name] = found

    def until(self, *names: str) -> None:
        """Make turns until these names are answered."""
        while not self.heard.keys() >= set(names):
            self.reactor.turn()

    def reason(self, name: str) -> tuple[bool, str]:
        """Whether there was an answer at all, and why nothing was found."""
        answer = self.heard[name]
        assert not answer.found
        return answer.found is not None, answer.reason


class Held:
    """Looks names up when the test says so, and counts the lookups at a time."""

    def __init__(self) -> None:
        self.go = Event()
        self.lock = Lock()
        self.running = self.most = 0
        self.names: list[str] = []
        self.full = Event()

    def __call__(self, name: str, family: int) -> list[str]:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.names.append(name)
            if self.running == THREADS:
                self.full.set()
        assert name == "quick" or self.go.wait(PATIENCE)
        with self.lock:
            self.running -= 1
        return ["10.0.0.1"] if family == socket.AF_INET else []


def test_families() -> None:
    """The addresses of one family are looked up, and heard in the reactor's thread."""
    found = {socket.AF_INET: ["10.0.0.1"], socket.AF_INET6: ["::1"]}
    asked = Asked(lambda name, family: found[family])
    asked.ask("a")
    asked.ask("b", family=Family.IPV6)
    assert not asked.heard
    asked.until("a", "b")
    assert asked.heard["a"].found == ("10.0.0.1",)
    assert asked.heard["b"].found == ("::1",)


def test_realLookup() -> None:
    """By default it is the system that is asked."""
    reactor = Turns()
    asked = Asked(lambda *_: [])
    asked.resolver = SystemResolver(reactor)
    asked.reactor = reactor
    asked.ask("127.0.0.1", "a" * 64)
    asked.until("127.0.0.1", "a" * 64)
    assert asked.heard["127.0.0.1"].found == ("127.0.0.1",)
    assert asked.reason("a" * 64)[1]


@pytest.mark.parametrize(
    ("raised", "isAnswer", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "No name"), True, "no name"),
        (socket.gaierror(socket.EAI_AGAIN, "Try again"), False, "try again"),
        (socket.gaierror(socket.EAI_FAIL, "It failed"), False, "it failed"),
        (OSError(24, "Too many open files"), False, "too many open files"),
        (UnicodeError("label too long"), False, "label too long"),
        (ValueError("embedded null"), False, "embedded null"),
        (MemoryError(), False, "memoryError"),
        (RuntimeError("Whatever"), False, "whatever"),
    ],
)
def test_errors(raised: Exception, isAnswer: bool, reason: str) -> None:
    """Only an answer that there is nothing says so; whatever else is raised failed."""

    def fail(name: str, family: int) -> list[str]:
        raise raised

    asked = Asked(fail)
    # More than there are threads: none may be lost.
    names = [f"name{at}" for at in range(THREADS + 1)]
    asked.ask(*names)
    asked.until(*names)
    assert {asked.reason(name) for name in names} == {(isAnswer, reason)}


def test_oneThatHangs() -> None:
    """A name that is not answered holds up no other one."""
    held = Held()
    asked = Asked(held)
    asked.ask("slow")
    asked.ask("quick")
    asked.until("quick")
    assert "slow" not in asked.heard
    held.go.set()
    asked.until("slow")


def test_manyThatHang() -> None:
    """However many names are asked for, the threads are few; all are answered."""
    held = Held()
    asked = Asked(held)
    names = [f"name{at}" for at in range(5 * THREADS)]
    asked.ask(*names)
    assert held.full.wait(PATIENCE)
    held.go.set()
    asked.until(*names)
    assert held.most == THREADS


def test_askedWhileAThreadEnds() -> None:
    """A name that is asked for as the threads end is looked up all the same."""
    started: list[Callable] = []
    asked = Asked(lambda *_: [], started.append)
    asked.ask("first")
    started.pop()()
    # The thread has ended, and the reactor does not know yet.
    for at in range(THREADS - 1):
        asked.ask(f"name{at}")
    asked.ask("last")
    assert len(started) == THREADS - 1
    for work in started:
        work()
    asked.until("first", "last")
    while not asked.reactor.calls.empty():
        asked.reactor.turn()
    asked.ask("again")
    assert len(started) == THREADS


def test_noThread() -> None:
    """Without a thread there is an answer that says why, and another try later."""
    allowed = False

    def begin(work: Callable[[], object]) -> None:
        if not allowed:
            raise RuntimeError("can't start new thread")
        work()

    asked = Asked(lambda *_: ["10.0.0.1"], begin)
    names = [f"name{at}" for at in range(THREADS + 1)]
    asked.ask(*names)
    assert not asked.heard
    asked.until(*names)
    assert {asked.reason(name) for name in names} == {(False, "can't start new thread")}
    allowed = True
    asked.ask("later")
    asked.until("later")
    assert asked.heard["later"].found == ("10.0.0.1",)


def test_noSecondThread() -> None:
    """While there is one thread, it looks up what no other one can."""
    started: list[Callable] = []

    def begin(work: Callable[[], object]) -> None:
        if started:
            raise MemoryError
        started.append(work)

    asked = Asked(lambda *_: ["10.0.0.1"], begin)
    asked.ask("first", "second", "third")
    started[0]()
    asked.until("first", "second", "third")
    assert all(each.found for each in asked.heard.values())


def test_close() -> None:
    """A stop waits for no lookup, tells of none, and begins none any more."""
    held = Held()
    asked = Asked(held)
    asked.ask(*(f"name{at}" for at in range(2 * THREADS)))
    assert held.full.wait(PATIENCE)
    before = active_count()
    asked.resolver.close()
    assert active_count() == before
    held.go.set()
    # Each thread hands over the lookup that it was in, and nothing after.
    for _ in range(THREADS):
        asked.reactor.turn()
    assert asked.reactor.calls.empty()
    assert not asked.heard
    assert len(set(held.names)) == THREADS


def test_services() -> None:
    """Services are not looked up by the system's resolver."""
    asked = Asked(lambda *_: [])
    with pytest.raises(NotImplementedError):
        asked.resolver.services("_web._tcp.internal", print)
