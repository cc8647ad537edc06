"""
Ask a plugin something, and be sure of hearing the end of it.

A picker or router may answer at once or with an awaitable; it may raise, take
for ever, or answer when nobody is waiting any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..streams.deadlines import Deadlines


class Unanswered(Exception):
    """The answer did not come in time."""


class Question:
    """
    An answer that is awaited.

    Exactly one of C{answered} and C{failed} is called, unless it is cancelled
    first.
    """

    __slots__ = ("_answered", "_deadline", "_deferred", "_failed")

    def __init__(
        self,
        awaitable: Awaitable[object],
        deadlines: Deadlines,
        timeout: float,
        answered: Callable[[object], object],
        failed: Callable[[Failure], object],
    ) -> None:
        self._answered: Callable[[object], object] | None = answered
        self._failed = failed
        self._deadline = deadlines.after(timeout, self._late)
        self._deferred = (
            awaitable
            if isinstance(awaitable, Deferred)
            else Deferred.fromCoroutine(_await(awaitable))
        )
        self._deferred.addCallbacks(self._answer, self._fail)

    @property
    def active(self) -> bool:
        """Whether the answer is still to come."""
        return self._answered is not None

    def cancel(self) -> None:
        """Nobody wants to know any more; whoever is working on it is cancelled."""
        if self._answered is not None:
            self._answered = None
            self._deadline.cancel()
            self._deferred.cancel()

    def _answer(self, answer: object) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            self._deadline.cancel()
            answered(answer)

    def _fail(self, failure: Failure) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            self._deadline.cancel()
            self._failed(failure)

    def _late(self) -> None:
        failed = self._failed
        self.cancel()
        failed(Failure(Unanswered("no answer in time")))


def ask(
    question: Callable[[], object],
    deadlines: Deadlines,
    timeout: float,
    answered: Callable[[object], object],
    failed: Callable[[Failure], object],
) -> Question | None:
    """
    Ask, and hear the answer through one of two callbacks: at once, before this
    returns, when it is no awaitable.

    @param question: What to call; neither a Deferred nor a deadline is made
        when its answer is no awaitable.
    @param timeout: Seconds that an awaitable may take.
    @param failed: Told of what the question raised, or of L{Unanswered}.
    @return: What can be cancelled, if there is something to wait for.
    """
    try:
        answer = question()
    except Exception:
        failed(Failure())
        return None
    if not isinstance(answer, Awaitable):
        answered(answer)
        return None
    return Question(answer, deadlines, timeout, answered, failed)


async def _await(awaitable: Awaitable[object]) -> object:
    return await awaitable
