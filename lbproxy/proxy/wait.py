"""
Wait for a plugin's answer, which may never come.

A picker or router may answer at once or with an awaitable.  It may raise, never
answer, or answer when the answer is of no use any more.  The watch limits how
long it may take.

A coroutine may await Deferreds with every reactor.  Under asyncio's it runs as a
task, so that it may await asyncio's futures as well, or both by turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Unanswered(Exception):
    """The answer did not come in time."""


class NeedsAsyncio(Exception):
    """A plugin needs asyncio's event loop, which does not run."""

    def __init__(self) -> None:
        super().__init__(
            "it awaits what is asyncio's, which only the asyncio reactor can do "
            "(twistd --reactor=asyncio)"
        )


def lacksLoop(error: BaseException | None) -> bool:
    """Whether asyncio raised an error because its event loop does not run."""
    return isinstance(error, RuntimeError) and str(error) == "no running event loop"


class Wait:
    """
    An answer that is awaited.

    Exactly one of C{answered} and C{failed} is called, perhaps at once, unless it
    is cancelled first.  Other code may await the same awaitable: its result is
    passed on unchanged.
    """

    __slots__ = ("_answered", "_deferred", "_failed", "_troubled")

    def __init__(
        self,
        awaitable: Awaitable[object],
        answered: Callable[[object], object],
        failed: Callable[[Failure], object],
        troubled: Callable[[Failure], object],
    ) -> None:
        """
        @param troubled: Called with what cancelling raised.
        """
        self._answered: Callable[[object], object] | None = answered
        self._failed: Callable[[Failure], object] | None = failed
        self._troubled = troubled
        self._deferred: Deferred[Any] | None = awaited(awaitable)
        self._deferred.addCallbacks(self._answer, self._fail)

    def cancel(self) -> None:
        """Stop waiting, and cancel the awaitable.  Never raises."""
        deferred, self._deferred = self._deferred, None
        if self._answered is not None and deferred is not None:
            self._answered = self._failed = None
            try:
                deferred.cancel()
            except BaseException:
                self._troubled(Failure())
            # Added after the callbacks of other code that waits for it, so that a
            # failure that is not needed any more is not reported as unhandled.
            deferred.addErrback(_heard)

    def _answer(self, answer: object) -> object:
        answered = self._answered
        if answered is not None:
            self._answered = self._failed = self._deferred = None
            answered(answer)
        return answer

    def _fail(self, failure: Failure) -> Failure:
        failed, deferred = self._failed, self._deferred
        if failed is not None and deferred is not None:
            self._answered = self._failed = self._deferred = None
            deferred.addErrback(_heard)
            failed(failure)
        return failure


def awaited(awaitable: Awaitable[object]) -> Deferred[Any]:
    """
    Return a Deferred for an awaitable that waits for Twisted, or for asyncio if
    it runs.
    """
    if isinstance(awaitable, Deferred):
        return awaitable
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return Deferred.fromCoroutine(_await(awaitable))
    task = loop.create_task(_awaitInTask(awaitable, loop))
    if asyncio.iscoroutine(awaitable):
        # If the task is cancelled before its first step, Python would warn that
        # the coroutine was never awaited.
        task.add_done_callback(lambda _: awaitable.close())
    return Deferred.fromFuture(task)


async def _await(awaitable: Awaitable[object]) -> object:
    try:
        return await _passOn(awaitable, _refuse)
    except RuntimeError as error:
        if lacksLoop(error):
            raise NeedsAsyncio from error
        raise


async def _awaitInTask(
    awaitable: Awaitable[object], loop: asyncio.AbstractEventLoop
) -> object:
    def adapt(pending: object) -> object:
        return _future(pending, loop) if isinstance(pending, Deferred) else pending

    try:
        return await _passOn(awaitable, adapt)
    except (SystemExit, KeyboardInterrupt):
        # In a task these would end the event loop, and the process with it.
        return Failure()


@coroutine
def _passOn(
    awaitable: Awaitable[object], adapt: Callable[[object], object]
) -> Generator[object, object, object]:
    """
    Await something, and adapt each object that it is suspended for.

    @param adapt: Called with each such object; returns one that the loop or
        Deferred that runs this can wait for.
    """
    steps = awaitable.__await__()
    step: Callable[[Any], object] = steps.send
    argument: object = None
    while True:
        try:
            pending = step(argument)
        except StopIteration as stop:
            return stop.value
        try:
            adapted = adapt(pending)
            if isinstance(adapted, asyncio.Future) and adapted is not pending:
                argument = yield from adapted
            else:
                argument = yield adapted
            step = steps.send
        except BaseException as error:
            step, argument = steps.throw, error


def _refuse(pending: object) -> object:
    """Refuse a future of asyncio's, and return anything else."""
    if hasattr(pending, "_asyncio_future_blocking"):
        raise NeedsAsyncio
    return pending


def _future(
    deferred: Deferred[Any], loop: asyncio.AbstractEventLoop
) -> asyncio.Future[None]:
    """
    Return a future that is done when a Deferred has fired.  If the future is
    cancelled, it cancels the Deferred.  The Deferred keeps its result for the
    code that awaits it.
    """
    future: asyncio.Future[None] = loop.create_future()

    def fired(result: object) -> object:
        if future.done():
            return None  # It was cancelled: the result is not awaited any more.
        future.set_result(None)
        return result

    def done(future: asyncio.Future[None]) -> None:
        if future.cancelled():
            deferred.cancel()

    deferred.addBoth(fired)
    future.add_done_callback(done)
    return future


def _heard(failure: Failure) -> None:
    """Drop a failure, so that it is not reported as unhandled."""
