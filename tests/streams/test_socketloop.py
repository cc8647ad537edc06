"""Each event of a socket reaches its own target, and no other."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from lbproxy.streams.socketloop import IN, SocketLoop


class Call:
    """A call that the reactor makes in its next turn."""

    def __init__(self, reactor: Reactor, function: Callable[[], object]) -> None:
        self.reactor, self.function = reactor, function

    def cancel(self) -> None:
        self.reactor.calls.remove(self)


class Reactor:
    """A reactor that a test turns by hand."""

    def __init__(self) -> None:
        self.readers: list[Any] = []
        self.calls: list[Call] = []

    def callLater(self, seconds: float, function: Callable[[], object]) -> Call:
        assert seconds == 0
        self.calls.append(Call(self, function))
        return self.calls[-1]

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)

    def turn(self) -> None:
        """What a reactor does in one go."""
        calls, self.calls = self.calls, []
        for call in calls:
            call.function()
        for reader in tuple(self.readers):
            if select.select([reader], [], [], 0)[0]:
                reader.doRead()


class Told:
    """A target that takes notes, and does what the test says."""

    def __init__(self, story: Story) -> None:
        self.near, self.far = socket.socketpair()
        self.events: list[int] = []
        self.reasons: list[Failure] = []
        self.does: Callable[[], object] = lambda: None
        self.loop = story.loop
        story.told.append(self)
        self.loop.add(self.near.fileno(), self)

    def socketEvent(self, events: int) -> None:
        self.events.append(events)
        self.does()

    def socketTurn(self) -> None:
        self.events.append(0)
        self.does()

    def socketBroke(self, reason: Failure) -> None:
        self.reasons.append(reason)
        self.close()

    def close(self) -> None:
        self.loop.close(self.near, self)


class Story:
    def __init__(self) -> None:
        self.reactor = Reactor()
        self.now = 0.0
        self.told: list[Told] = []
        self.loop = SocketLoop(self.reactor, lambda: self.now)

    def target(self) -> Told:
        told = Told(self)
        self.reactor.turn()
        told.events.clear()  # That it may be written to.
        return told


@pytest.fixture
def story() -> Iterator[Story]:
    """A loop whose reactor is turned by hand; nothing is left of it at the end."""
    story = Story()
    yield story
    for each in story.told:
        each.close()
        each.far.close()
        assert each.near.fileno() == -1
    assert not story.reactor.readers
    assert not story.reactor.calls


def test_onceForAnEdge(story: Story) -> None:
    """What happens is told once, whether or not anything is read."""
    told = story.target()
    told.far.send(b"x")
    story.reactor.turn()
    story.reactor.turn()
    assert [each & IN for each in told.events] == [IN]
    told.far.send(b"y")
    story.reactor.turn()
    assert len(told.events) == 2


def test_numbersAreNotConfused(story: Story) -> None:
    """
    A socket that is opened while one of the same batch is closed gets another number,
    and no event of that.
    """
    both, opened = [story.target(), story.target()], []

    def replaceTheOther() -> None:
        (other,) = (each for each in both if not each.events)
        number = other.near.fileno()
        other.close()
        opened.append(Told(story))
        assert opened[0].near.fileno() != number

    for each in both:
        each.does = replaceTheOther
        each.far.send(b"x")
    story.reactor.turn()
    (new,) = opened
    assert sorted(len(each.events) for each in both) == [0, 1]
    assert [each.near.fileno() == -1 for each in both].count(True) == 1
    assert new.events == []


def test_oneThatRaises(story: Story, logged: list) -> None:
    """An exception ends that connection alone; the others of the batch go on."""

    def fail() -> None:
        raise LookupError("no such thing")

    before, raises, after = story.target(), story.target(), story.target()
    raises.does = fail
    for each in (before, raises, after):
        each.far.send(b"x")
    story.reactor.turn()
    assert [len(each.events) for each in (before, raises, after)] == [1, 1, 1]
    (reason,) = raises.reasons
    assert reason.check(LookupError)
    assert raises.near.fileno() == -1
    assert [each["log_failure"] for each in logged if "log_failure" in each] == [reason]
    logged.clear()
    before.far.send(b"y")
    story.reactor.turn()
    assert len(before.events) == 2


def test_theReactorHasItsTurn(story: Story) -> None:
    """After 2 ms what is left of a batch waits for the next turn, and is not lost."""

    def takeLong() -> None:
        story.now += 0.003

    targets = [story.target() for _ in range(5)]
    for each in targets:
        each.does = takeLong
        each.far.send(b"x")
    for turn in range(1, 6):
        story.reactor.turn()
        assert sum(len(each.events) for each in targets) == turn
    assert all(len(each.events) == 1 for each in targets)


def test_closedBeforeItsTurn(story: Story) -> None:
    """Events that wait for the next turn are not those of sockets that are closed."""
    targets = [story.target() for _ in range(3)]

    def takeLong() -> None:
        story.now += 0.003

    for each in targets:
        each.does = takeLong
        each.far.send(b"x")
    story.reactor.turn()
    waiting = [each for each in targets if not each.events]
    number = waiting[0].near.fileno()
    waiting[0].close()
    new = Told(story)
    assert new.near.fileno() != number
    for _ in range(4):
        story.reactor.turn()
    assert [len(each.events) for each in waiting] == [0, 1]
    assert waiting[0].near.fileno() == -1


def test_goingOn(story: Story) -> None:
    """A target may ask for another turn, and no more after it is closed."""
    told = story.target()
    rounds = 3

    def more() -> None:
        if len(told.events) < rounds:
            story.loop.goOn(told)

    told.does = more
    told.far.send(b"x")
    for _ in range(5):
        story.reactor.turn()
    assert told.events[1:] == [0, 0]
    story.loop.goOn(told)
    told.close()
    story.reactor.turn()
    assert len(told.events) == rounds


def test_behindAllOthers(story: Story) -> None:
    """
    Whoever has done much goes on after those to whom something has happened, and is
    told then what has happened to itself.
    """
    much, other = story.target(), story.target()
    order: list[Told] = []
    much.does = lambda: order.append(much)
    other.does = lambda: order.append(other)
    story.loop.goOn(much)
    for each in (much, other):
        each.far.send(b"x")
    story.reactor.turn()
    assert order == [other, much]
    assert [each & IN for each in much.events] == [IN]


def test_takenOverBehind(story: Story) -> None:
    """Who takes a socket over is told what has happened to it, when it goes on."""
    many = [story.target() for _ in range(2)]
    first, second = many

    def takeLong() -> None:
        story.now += 0.003

    for each in many:
        each.does = takeLong
        story.loop.goOn(each)
        each.far.send(b"x")
    story.reactor.turn()
    assert [len(each.events) for each in many] == [1, 0]
    heir = Told(story)
    story.loop.replace(second.near.fileno(), heir)
    for _ in range(3):
        story.reactor.turn()
    assert second.events == []
    assert IN in [each & IN for each in heir.events]
    story.loop.replace(second.near.fileno(), second)
    assert len(first.events) == 1


def test_theReactorStops(story: Story) -> None:
    """All that is open is closed."""
    told = [story.target() for _ in range(2)]
    story.loop.connectionLost(Failure(ConnectionLost()))
    assert all(each.reasons and each.near.fileno() == -1 for each in told)
    assert not story.reactor.readers
