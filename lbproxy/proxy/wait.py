"""
Wait for something that may never come: a plugin's answer.

A picker or router may answer at once or with an awaitable; it may raise, take
for ever, or answer when that is of no use any more.  How long it may take is
the watch's to know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Unanswered(Exception):
    """The answer did not come in time."""


class Wait:
    """
    An answer that is awaited.

    Exactly one of C{answered} and C{failed} is called, perhaps at once, unless
    it is cancelled first.  The awaitable may be somebody else's as well: its
    result is passed on as it is.
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
        @param troubled: Told of what cancelling raised.
        """
        self._answered: Callable[[object], object] | None = answered
        self._failed: Callable[[Failure], object] | None = failed
        self._troubled = troubled
        self._deferred: Deferred[Any] | None = _deferred(awaitable)
        self._deferred.addCallbacks(self._answer, self._fail)

    def cancel(self) -> None:
        """Wait no more; what works on the answer is cancelled.  Never raises."""
        deferred, self._deferred = self._deferred, None
        if self._answered is not None and deferred is not None:
            self._answered = self._failed = None
            try:
                deferred.cancel()
            except BaseException:
                self._troubled(Failure())
            # Behind whoever else waits for it, so that nothing is reported as
            # unhandled that is of no interest any more.
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


def _deferred(awaitable: Awaitable[object]) -> Deferred[Any]:
    if isinstance(awaitable, Deferred):
        return awaitable
    return Deferred.fromCoroutine(_await(awaitable))


async def _await(awaitable: Awaitable[object]) -> object:
    return await awaitable


def _heard(failure: Failure) -> None:
    """The end of a failure."""
