"""Asking plugins that answer at once, later, twice, or never."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock

from lbproxy.proxy.question import ask
from lbproxy.streams.deadlines import Deadlines


class Heard:
    def __init__(self) -> None:
        self.clock = Clock()
        self.answers: list[object] = []
        self.failures: list[str] = []

    def ask(self, question):
        return ask(
            question,
            Deadlines(self.clock),
            10,
            self.answers.append,
            lambda failure: self.failures.append(type(failure.value).__name__),
        )


class Eventually:
    """An awaitable that is neither a coroutine nor a Deferred."""

    def __await__(self):
        return (yield from succeed("at last").__await__())


@pytest.mark.parametrize(
    "question", [lambda: "x", lambda: succeed("x")], ids=["plain", "deferred"]
)
def test_atOnce(question) -> None:
    """What is answered at once is heard at once, and leaves nothing behind."""
    heard = Heard()
    pending = heard.ask(question)
    assert heard.answers == ["x"]
    assert pending is None or not pending.active
    assert not heard.clock.getDelayedCalls()


def test_awaitable() -> None:
    """Anything that can be awaited will do."""
    heard = Heard()
    heard.ask(Eventually)
    assert heard.answers == ["at last"]


@pytest.mark.parametrize(
    "question",
    [lambda: 1 / 0, lambda: fail(ZeroDivisionError())],
    ids=["plain", "deferred"],
)
def test_failing(question) -> None:
    """What is raised is heard."""
    heard = Heard()
    heard.ask(question)
    assert heard.failures == ["ZeroDivisionError"]
    assert not heard.clock.getDelayedCalls()


def test_tooLate() -> None:
    """What comes after the deadline is discarded."""
    heard = Heard()
    deferred: Deferred = Deferred(lambda it: None)
    pending = heard.ask(lambda: deferred)
    assert pending.active
    heard.clock.advance(10)
    assert heard.failures == ["Unanswered"]
    assert not pending.active
    deferred.addErrback(lambda failure: failure.trap(CancelledError))
    assert heard.answers == []


@pytest.mark.parametrize("late", ["callback", "errback"])
def test_cancelled(late: str) -> None:
    """Once cancelled, nothing is heard any more."""
    heard = Heard()
    deferred: Deferred = Deferred(lambda it: getattr(it, late)(ValueError()))
    pending = heard.ask(lambda: deferred)
    pending.cancel()
    pending.cancel()
    assert (heard.answers, heard.failures) == ([], [])
    assert not heard.clock.getDelayedCalls()
