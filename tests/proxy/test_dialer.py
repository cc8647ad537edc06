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
from lbproxy.proxy.dialer import Dialer, isOurs
from lbproxy.streams.deadlines import Deadlines
from lbproxy.testing import MemoryNetwork

BACKEND = Backend("tcp:10.0.0.1:80")


class Dialled:
    """One dial, and what came of it."""

    def __init__(self, answer: str, backend: Backend = BACKEND) -> None:
        self.network = MemoryNetwork()
        self.script = self.network.backend("10.0.0.1", 80)
        self.script.answer = answer
        self.sides: list = []
        self.failures: list[str] = []
        self.dial = Dialer(self.network, Deadlines(self.network)).dial(
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


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (ConnectBindError(errno.EMFILE, "Too many open files"), True),
        (ConnectError(errno.EADDRNOTAVAIL, "no local port"), True),
        (OSError(errno.ENFILE, "Too many open files in system"), True),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), False),
        (ValueError("else"), False),
    ],
)
def test_isOurs(error: Exception, ours: bool) -> None:
    """No backend is blamed for what this machine lacks."""
    assert isOurs(Failure(error)) is ours
