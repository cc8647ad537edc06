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

from lbproxy import Backend, Member
from lbproxy.proxy.dialer import Dialer, shortage
from lbproxy.proxy.pluginerrors import PluginErrors
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import Wheel
from lbproxy.testing import MemoryNetwork
from lbproxy.testing.backends import Answer

TCP = "tcp:10.0.0.1:80"
NAMED = "tcp:backend.internal:80"


class Dialled:
    """One dial, and what came of it: its owner."""

    def __init__(
        self,
        answer: Answer,
        connect: str = TCP,
        network: MemoryNetwork | None = None,
    ) -> None:
        self.network = network or MemoryNetwork()
        self.script = self.network.backend("10.0.0.1", 80)
        self.script.answer = answer
        self.streams: list = []
        self.failures: list[str] = []
        errors = PluginErrors(Wheel(ClockAlarm(self.network)))
        dialer = Dialer(self.network, errors)
        self.dial = dialer.dial(Member(Backend(connect)), 5, 60, self)

    def dialled(self, backend) -> None:
        self.streams.append(backend)

    def dialFailed(self, reason: Failure) -> None:
        self.failures.append(type(reason.value).__name__)

    def outcome(self) -> tuple[int, list[str]]:
        self.network.settle()
        return len(self.streams), self.failures


WAYS = [TCP, "tcp:host=10.0.0.1:port=80", "tcp:10.0.0.1:80:timeout=9", NAMED]
"""The first three are connected to directly, the last by an endpoint of Twisted's."""


@pytest.mark.parametrize("connect", WAYS)
def test_connected(connect: str) -> None:
    """A backend that accepts becomes a stream, and nothing is left to come."""
    network = MemoryNetwork()
    network.alias("backend.internal", "10.0.0.1")
    dialled = Dialled("accept", connect, network)
    assert dialled.outcome() == (1, [])
    dialled.dial.cancel()
    assert dialled.outcome() == (1, [])
    assert not dialled.network.getDelayedCalls()


def test_refused() -> None:
    """One that refuses is one failure."""
    dialled = Dialled("refuse")
    assert dialled.outcome() == (0, ["ConnectionRefusedError"])
    assert not dialled.network.getDelayedCalls()


@pytest.mark.parametrize("connect", WAYS)
@pytest.mark.parametrize("answer", ["accept", "refuse", "hang"])
def test_cancelled(answer: Answer, connect: str) -> None:
    """Of a dial that was cancelled nothing more is heard."""
    network = MemoryNetwork()
    network.alias("backend.internal", "10.0.0.1")
    dialled = Dialled(answer, connect, network)
    dialled.dial.cancel()
    dialled.network.settle(10)
    assert dialled.outcome() == (0, [])
    assert not dialled.network.getDelayedCalls()


def test_noSuchEndpoint() -> None:
    """A description that makes no endpoint is a failed dial."""
    assert Dialled("accept", "bogus:1").outcome() == (0, ["ValueError"])


class LocalNetwork(MemoryNetwork):
    """A network whose UNIX sockets lead to the one backend there is."""

    def connectUNIX(self, path, factory, timeout=30, checkPID=0):
        return self.connectTCP("10.0.0.1", 80, factory, timeout)


LOCAL = "unix:/run/backend.sock"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("accept", (1, [])),
        ("refuse", (0, ["ConnectionRefusedError"])),
        ("hang", (0, ["BacklogFull"])),
    ],
)
def test_localAtOnce(answer: Answer, outcome: tuple[int, list[str]]) -> None:
    """
    A UNIX socket answers at once; one that does not has a full backlog, and is
    not waited for.
    """
    dialled = Dialled(answer, LOCAL, LocalNetwork())
    assert dialled.outcome() == outcome
    if dialled.streams:
        dialled.streams[0].abort()
        dialled.network.settle()
    assert not dialled.network.getDelayedCalls()


def test_localCancelled() -> None:
    """Of a dial that was cancelled nothing more is heard, at once or not."""
    dialled = Dialled("hang", LOCAL, LocalNetwork())
    dialled.dial.cancel()
    assert dialled.outcome() == (0, [])


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
