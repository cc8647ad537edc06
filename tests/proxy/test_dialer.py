"""Connecting to a backend: in time, once, or not at all."""

from __future__ import annotations

import errno

import pytest
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionRefusedError,
)
from twisted.python.failure import Failure

from lbproxy import Backend
from lbproxy.proxy.dialer import Dialer, shortage
from lbproxy.streams.deadlines import Deadlines
from lbproxy.testing import MemoryNetwork

BACKEND = Backend("tcp:10.0.0.1:80")


class Dialled:
    """One dial, and what came of it."""

    def __init__(
        self,
        answer: str,
        backend: Backend = BACKEND,
        network: MemoryNetwork | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.network = network or MemoryNetwork()
        self.script = self.network.backend("10.0.0.1", 80)
        self.script.answer = answer
        self.sides: list = []
        self.failures: list[str] = []
        self.dial = Dialer(self.network, deadlines or Deadlines(self.network)).dial(
            backend,
            5,
            60,
            self.sides.append,
            lambda failure: self.failures.append(type(failure.value).__name__),
        )

    def outcome(self) -> tuple[int, list[str]]:
        self.network.settle()
        return len(self.sides), self.failures


def test_connected() -> None:
    """A backend that accepts becomes a side, and no deadline is left."""
    dialled = Dialled("accept")
    assert dialled.dial.active
    assert dialled.outcome() == (1, [])
    dialled.dial.cancel()
    assert not dialled.network.getDelayedCalls()


@pytest.mark.parametrize(
    ("answer", "seconds", "failure"),
    [("refuse", 0, "ConnectionRefusedError"), ("hang", 5, "DialTimeout")],
)
def test_failed(answer: str, seconds: float, failure: str) -> None:
    """One that refuses, or does not answer in time, is one failure."""
    dialled = Dialled(answer)
    dialled.network.settle(seconds)
    assert dialled.outcome() == (0, [failure])
    assert not dialled.network.getDelayedCalls()


@pytest.mark.parametrize("answer", ["accept", "refuse", "hang"])
def test_cancelled(answer: str) -> None:
    """Of a dial that was cancelled nothing more is heard."""
    dialled = Dialled(answer)
    dialled.dial.cancel()
    dialled.network.settle(10)
    assert dialled.outcome() == (0, [])
    assert not dialled.network.getDelayedCalls()


def test_noSuchEndpoint() -> None:
    """A description that makes no endpoint is a failed dial."""
    dialled = Dialled("accept", Backend("bogus:1"))
    assert dialled.dial is None
    assert dialled.outcome() == (0, ["ValueError"])


class LocalNetwork(MemoryNetwork):
    """A network whose UNIX sockets lead to the one backend there is."""

    def connectUNIX(self, path, factory, timeout=30, checkPID=0):
        return self.connectTCP("10.0.0.1", 80, factory, timeout)


LOCAL = Backend("unix:/run/backend.sock")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("accept", (1, [])),
        ("refuse", (0, ["ConnectionRefusedError"])),
        ("hang", (0, ["BacklogFull"])),
    ],
)
def test_localAtOnce(answer: str, outcome: tuple[int, list[str]]) -> None:
    """
    A UNIX socket answers at once; one that does not has a full backlog, and is
    not waited for.
    """
    dialled = Dialled(answer, LOCAL, LocalNetwork())
    assert dialled.outcome() == outcome
    if dialled.sides:
        dialled.sides[0].abort()
        dialled.network.settle()
    assert not dialled.network.getDelayedCalls()


def test_localCancelled() -> None:
    """Of a dial that was cancelled nothing more is heard, at once or not."""
    dialled = Dialled("hang", LOCAL, LocalNetwork())
    dialled.dial.cancel()
    assert dialled.outcome() == (0, [])


def test_localUnderWay() -> None:
    """That other deadlines are due at the same moment changes nothing."""
    network = LocalNetwork()
    deadlines = Deadlines(network)
    deadlines.after(0, lambda: None)
    dialled = Dialled("accept", LOCAL, network, deadlines)
    assert dialled.outcome() == (1, [])


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (ConnectBindError(errno.EMFILE, "..."), "Too many open files"),
        (OSError(errno.ENFILE, "..."), "Too many open files in system"),
        (ConnectError(errno.ENOBUFS, "..."), "No buffer space available"),
        (OSError(errno.ENOMEM, "..."), "Cannot allocate memory"),
        (ConnectBindError(errno.EADDRNOTAVAIL, "no such address here"), None),
        (ConnectBindError(errno.EADDRINUSE, "taken"), None),
        (ConnectBindError(errno.EAFNOSUPPORT, "no IPv6"), None),
        (ConnectError(errno.EADDRNOTAVAIL, "no local port"), None),
        (ConnectError(errno.EAGAIN, "full"), None),
        (ConnectBindError(), None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), None),
        (ValueError("else"), None),
    ],
)
def test_shortage(error: Exception, lacking: str | None) -> None:
    """No backend is blamed for what this process lacks; for all else it is."""
    assert shortage(Failure(error)) == lacking
