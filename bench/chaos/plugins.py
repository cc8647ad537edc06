"""Pickers, routers and observers that do whatever a plugin can do wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import deferLater
from zope.interface import implementer

from lbproxy import (
    Backend,
    Connection,
    IBackendPicker,
    IConnectionObserver,
    IMembershipObserver,
    IRouter,
    Member,
)


class Mischief(Exception):
    """What our plugins raise."""


class Hostile:
    """An answer that can neither be compared nor hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise Mischief("compared")

    def __repr__(self) -> str:
        raise Mischief("shown")


class Broken(Awaitable[object]):
    """Something to await that raises when it is."""

    def __await__(self) -> Generator[Any, Any, object]:
        raise Mischief("awaited")


def _raises(_: object) -> None:
    raise Mischief("cancelled")


class Whims:
    """
    Answers one question, well or badly.

    @ivar told: What was answered for each connection, by its number.
    """

    def __init__(self, reactor: Any, rng: Random, badly: float) -> None:
        """
        @param badly: How often, 0 to 1, an answer is no plain one.
        """
        self.told: dict[int, list[str]] = {}
        self._reactor = reactor
        self._rng = rng
        self._badly = badly
        self.interrupt: Callable[[], object] = lambda: None
        self._ways: dict[str, Callable[[object], object]] = {
            "later": self._later,
            "coroutine": self._coroutine,
            "fired": succeed,
            "raise": self._raise,
            "cancelled": self._raiseCancelled,
            "failed": lambda _: fail(Mischief("failed")),
            "coroutineRaises": lambda _: self._coroutineRaises(),
            "coroutineCancelled": lambda _: self._coroutineCancelled(),
            "hang": lambda _: Deferred(),
            "cancellerRaises": lambda _: Deferred(_raises),
            "cancellerAnswers": lambda answer: Deferred(
                lambda waiting: waiting.callback(answer)
            ),
            "stubborn": self._stubborn,
            "swallows": self._swallows,
            "broken": lambda _: Broken(),
            "none": lambda _: None,
            "number": lambda _: 17,
            "text": lambda _: "nonsense",
            "hostile": lambda _: Hostile(),
            "laterNonsense": lambda _: self._later(Hostile()),
            "bytes": lambda _: b"\xff\0",
            "class": lambda _: Member,
            "interrupt": self._interrupt,
            "interruptAndRaise": lambda _: self._raise(self.interrupt()),
        }

    def answer(self, connection: Connection, good: object) -> Any:
        """
        Answer.

        @param good: What a plugin in its right mind would.
        """
        told = self.told.setdefault(connection.id, [])
        if self._rng.random() >= self._badly:
            told.append("good")
            return good
        way = self._rng.choice(list(self._ways))
        if way.startswith("interrupt") and self._rng.random() < 0.8:
            way = "later"
        told.append(way)
        return self._ways[way](good)

    def _later(self, answer: object) -> Deferred[object]:
        return deferLater(self._reactor, self._rng.uniform(0, 1.5), lambda: answer)

    async def _coroutine(self, answer: object) -> object:
        await deferLater(self._reactor, self._rng.uniform(0, 0.3), lambda: None)
        return await self._later(answer)

    def _raise(self, _: object) -> None:
        raise self._rng.choice((Mischief("asked"), KeyError(3), CancelledError()))

    def _raiseCancelled(self, _: object) -> None:
        raise asyncio.CancelledError

    async def _coroutineRaises(self) -> None:
        await deferLater(self._reactor, self._rng.choice((0, 0.2)), lambda: None)
        raise Mischief("in the end")

    async def _coroutineCancelled(self) -> None:
        await deferLater(self._reactor, self._rng.choice((0, 0.2)), lambda: None)
        raise asyncio.CancelledError

    async def _stubborn(self, answer: object) -> object:
        """Goes on after it was cancelled, and answers when nobody wants it."""
        try:
            await Deferred()
        except CancelledError:
            await deferLater(self._reactor, 0.3, lambda: None)
        return answer

    async def _swallows(self, answer: object) -> object:
        """Raises something else when it is cancelled."""
        try:
            return await Deferred()
        except CancelledError:
            raise Mischief("on being cancelled") from None

    def _interrupt(self, answer: object) -> object:
        """Have the service stopped while it asks."""
        self.interrupt()
        return answer


@implementer(IBackendPicker, IMembershipObserver)
class Picker(Whims):
    """
    A picker that also watches the membership, and raises at times.

    @ivar members: All it was ever told of.
    """

    def __init__(self, reactor: Any, rng: Random, badly: float) -> None:
        super().__init__(reactor, rng, badly)
        self.members: set[Member] = set()
        self._calm = True

    def agitate(self) -> None:
        """From now on it may raise when the membership changes."""
        self._calm = False

    def calm(self) -> None:
        """It does so no more."""
        self._calm = True

    def pick(self, candidates: Any, connection: Connection) -> Any:
        """Pick."""
        members = list(candidates)
        self.members.update(members)
        good = self._rng.choice(members)
        if self._rng.random() < self._badly / 10:
            # Of this pool or another, candidate or not.
            good = self._rng.choice(sorted(self.members, key=lambda each: each.name))
        return self.answer(connection, good)

    def added(self, member: Member) -> None:
        """A member came."""
        self.members.add(member)
        self._perhaps()

    def removed(self, member: Member) -> None:
        """A member left."""
        self._perhaps()

    changed = removed

    def _perhaps(self) -> None:
        if not self._calm and self._rng.random() < self._badly:
            raise Mischief("membership")


@implementer(IRouter)
class Router(Whims):
    """A router to pools, to single backends, and to nowhere."""

    def __init__(
        self, reactor: Any, rng: Random, badly: float, where: list[str | Backend]
    ) -> None:
        """
        @param where: The names of pools, and backends.
        """
        super().__init__(reactor, rng, badly)
        self._where = where

    def route(self, connection: Connection) -> Any:
        """Route."""
        return self.answer(connection, self._rng.choice(self._where))


@implementer(IConnectionObserver)
class Observer:
    """An observer that raises at times."""

    def __init__(self, rng: Random, badly: float) -> None:
        self._rng = rng
        self._badly = badly
        self.interrupt: Callable[[], object] = lambda: None

    def opened(self, connection: Connection) -> None:
        """A connection came."""
        self._perhaps()

    def closed(self, connection: Connection) -> None:
        """A connection is over."""
        self._perhaps()

    def _perhaps(self) -> None:
        if self._rng.random() < self._badly:
            raise self._rng.choice((Mischief("told"), KeyError(3)))
        if self._rng.random() < self._badly / 100:
            self.interrupt()
