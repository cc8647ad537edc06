"""Waiting for plugins that answer at once, later, twice, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import CORO_CLOSED, getcoroutinestate
from typing import Any

import pytest
from stories import A, B, Picks, Routes, Story
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock, deferLater

from lbproxy import End
from lbproxy.proxy.wait import Wait


class Heard:
    """What whoever waits has heard."""

    def __init__(self) -> None:
        self.answers: list[object] = []
        self.failures: list[str] = []
        self.troubles: list[str] = []
        self.heard = asyncio.Event()

    def wait(self, awaitable) -> Wait:
        def answered(answer) -> None:
            self.answers.append(answer)
            self.heard.set()

        def failed(failure) -> None:
            self.failures.append(failure.type.__name__)
            self.heard.set()

        return Wait(
            awaitable,
            answered,
            failed,
            lambda failure: self.troubles.append(type(failure.value).__name__),
        )


class Eventually:
    """An awaitable that is neither a coroutine nor a Deferred."""

    def __await__(self):
        return (yield from succeed("at last").__await__())


async def raises(error: BaseException) -> None:
    await succeed(None)
    raise error


@pytest.mark.parametrize(
    ("awaitable", "answer"), [(lambda: succeed("x"), "x"), (Eventually, "at last")]
)
def test_atOnce(awaitable, answer: str) -> None:
    """What is there is heard at once."""
    heard = Heard()
    heard.wait(awaitable()).cancel()
    assert (heard.answers, heard.failures) == ([answer], [])


@pytest.mark.parametrize(
    ("awaitable", "name"),
    [
        (lambda: fail(ZeroDivisionError()), "ZeroDivisionError"),
        (lambda: raises(ZeroDivisionError()), "ZeroDivisionError"),
        (lambda: raises(asyncio.CancelledError()), "CancelledError"),
        (lambda: raises(SystemExit()), "SystemExit"),
    ],
)
def test_failing(awaitable, name: str) -> None:
    """What is raised is heard, whatever it is."""
    heard = Heard()
    heard.wait(awaitable()).cancel()
    assert (heard.answers, heard.failures) == ([], [name])


def test_failureThatIsHandled() -> None:
    """A coroutine may try one thing, and when that fails another."""

    async def tries() -> str:
        try:
            await deferLater(clock, 1, lambda: 1 / 0)
        except ZeroDivisionError:
            return await deferLater(clock, 1, lambda: "the other")
        return "the one"

    clock, heard = Clock(), Heard()
    heard.wait(tries())
    clock.pump([1, 1])
    assert heard.answers == ["the other"]


@pytest.mark.parametrize("late", ["callback", "errback"])
def test_cancelled(late: str) -> None:
    """Once cancelled, nothing is heard any more, and cancelling again is nothing."""
    heard = Heard()
    deferred: Deferred = Deferred(lambda it: getattr(it, late)(ValueError()))
    waiting = heard.wait(deferred)
    waiting.cancel()
    waiting.cancel()
    assert (heard.answers, heard.failures, heard.troubles) == ([], [], [])


def test_cancelledCoroutine() -> None:
    """A coroutine that is cancelled may clean up after itself."""
    events: list[str] = []

    async def cleans() -> None:
        try:
            await Deferred()
        except CancelledError:
            events.append("cancelled")
            raise

    heard = Heard()
    heard.wait(cleans()).cancel()
    assert events == ["cancelled"]
    assert (heard.answers, heard.failures, heard.troubles) == ([], [], [])


def test_cannotBeCancelled() -> None:
    """What cancelling raises is told, and cancels all the same."""

    def refuses(deferred: Deferred) -> None:
        raise LookupError

    heard = Heard()
    deferred: Deferred = Deferred(refuses)
    heard.wait(deferred).cancel()
    deferred.callback("too late")
    assert (heard.answers, heard.failures, heard.troubles) == ([], [], ["LookupError"])


# Under asyncio's reactor, all this runs in asyncio's event loop.


def inLoop(scenario: Callable) -> Callable:
    """Run a test in an event loop, as the asyncio reactor runs everything."""

    def test() -> None:
        asyncio.run(asyncio.wait_for(scenario(), 10))

    test.__doc__ = scenario.__doc__
    return test


def fires(seconds: float, result: object) -> Deferred:
    """A Deferred that fires later."""
    deferred: Deferred = Deferred()
    asyncio.get_running_loop().call_later(seconds, deferred.callback, result)
    return deferred


async def answer(awaitable) -> Heard:
    heard = Heard()
    heard.wait(awaitable)
    await heard.heard.wait()
    return heard


@inLoop
async def test_asyncioInALoop() -> None:
    """An async plugin may await what is asyncio's and what is Twisted's by turns."""

    async def mixed() -> list[object]:
        found: list[object] = []
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
            found.append(await fires(0.01, "Deferred"))
            await asyncio.sleep(0.01)
            found.append(await asyncio.gather(asyncio.sleep(0, "a"), one()))
            found.append(await succeed("at once"))
        return found

    async def one() -> str:
        return "b"

    heard = await answer(mixed())
    assert heard.answers == [["Deferred", ["a", "b"], "at once"]]


@inLoop
async def test_futureInALoop() -> None:
    """A plugin may answer with a future or a task."""
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, future.set_result, "x")
    assert (await answer(future)).answers == ["x"]
    assert (await answer(asyncio.ensure_future(asyncio.sleep(0, "y")))).answers == ["y"]
    assert (await answer(Eventually())).answers == ["at last"]


@pytest.mark.parametrize(
    "error", [ZeroDivisionError, asyncio.CancelledError, SystemExit, KeyboardInterrupt]
)
def test_failingInALoop(error: type[BaseException]) -> None:
    """What is raised is heard and ends nothing else, whatever it is."""

    async def scenario() -> None:
        heard = await answer(raises(error()))
        assert heard.failures == [error.__name__]

    asyncio.run(scenario())


@inLoop
async def test_failureThatIsHandledInALoop() -> None:
    """A coroutine may try one thing, and when that fails another."""

    async def tries() -> object:
        try:
            return await fires(0.01, None).addCallback(lambda _: 1 / 0)
        except ZeroDivisionError:
            return await fires(0.01, "the other")

    assert (await answer(tries())).answers == ["the other"]


@inLoop
async def test_cancelledInALoop() -> None:
    """
    What is cancelled stops what it awaits, may clean up after itself, and is heard
    of no more; so is what was cancelled before it began.
    """
    events: list[str] = []

    async def cleans(awaitable) -> None:
        try:
            await awaitable
        finally:
            events.append("over")

    heard = Heard()
    deferred: Deferred = Deferred(lambda _: events.append("cancelled"))
    waiting = [heard.wait(cleans(deferred)), heard.wait(cleans(asyncio.sleep(60)))]
    await asyncio.sleep(0.01)
    unbegun = heard.wait(one := cleans(succeed(None)))
    for each in (*waiting, unbegun):
        each.cancel()
    await asyncio.sleep(0.01)
    assert sorted(events) == ["cancelled", "over", "over"]
    assert getcoroutinestate(one) == CORO_CLOSED
    assert (heard.answers, heard.failures, heard.troubles) == ([], [], [])
    assert len(asyncio.all_tasks()) <= 2


# Under any other reactor.


async def sleeps(*_) -> None:
    await asyncio.sleep(0.01)


async def awaitsAFuture(*_) -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    await asyncio.Future(loop=loop)


def makesATask(*_) -> object:
    coroutine = sleeps()
    try:
        return asyncio.create_task(coroutine)
    finally:
        coroutine.close()


@pytest.mark.parametrize("plugin", [sleeps, awaitsAFuture, makesATask])
@pytest.mark.parametrize("what", ["picker", "router"])
def test_asyncioElsewhere(what: str, plugin, logged: list) -> None:
    """
    A plugin that awaits what is asyncio's under another reactor is told so in one
    line; its connection ends, and a second one has no line of its own.
    """
    plugins: dict[str, dict[str, Any]] = {
        "picker": {"pickers": {"web": Picks(plugin)}},
        "router": {"routers": {"front": Routes(plugin)}},
    }
    story = Story(A, B, **plugins[what])
    for _ in range(2):
        story.client(b"x").end()
        story.settle()
    ends = {record.end for record in story.records.closes}
    assert ends <= {End.PICK_FAILED, End.ROUTE_FAILED}
    assert not [event for event in logged if "log_failure" in event]
    (line,) = (
        event["error"] for event in logged if "plugin" in event and "more" not in event
    )
    assert "twistd --reactor=asyncio" in line
    story.stop()
