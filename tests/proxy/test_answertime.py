"""What a picker that goes by latency is told of each connection."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from stories import A, B, Story
from twisted.logger import LogEvent
from zope.interface import implementer

from lbproxy import IBackendPicker, ICandidates, ILatencyObserver
from lbproxy.testing import Far
from lbproxy.words.backend import Member
from lbproxy.words.connection import Connection

MILLISECOND = 0.001


@implementer(IBackendPicker, ILatencyObserver)
class Timekeeper:
    """Picks the first, and remembers what it is told."""

    def __init__(self, broken: bool = False) -> None:
        self.told: list[tuple[str, str, float]] = []
        self.times: list[float] = []
        self.now = 0.0
        self._broken = broken

    def picking(self, now: float) -> None:
        self.times.append(now)
        self.now = now

    def answered(self, member: Member, seconds: float, now: float) -> None:
        self._tell("answered", member, seconds, now)

    def failed(self, member: Member, seconds: float, now: float) -> None:
        self._tell("failed", member, seconds, now)

    def waited(self, member: Member, seconds: float, now: float) -> None:
        self._tell("waited", member, seconds, now)

    def _tell(self, what: str, member: Member, seconds: float, now: float) -> None:
        assert now >= self.now
        self.now = now
        host = member.backend.connect.split(":")[1]
        self.told.append((what, host[-1], round(seconds, 2)))
        if self._broken:
            raise LookupError("it has lost its watch")

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        return candidates[0]


class Timed(Story):
    """
    A story whose picker keeps the time, with members that accept after a tenth of
    a second.
    """

    def __init__(self, *backends: str, broken: bool = False, pool: str = "") -> None:
        self.keeper = Timekeeper(broken)
        super().__init__(
            *backends,
            pickers={"web": self.keeper},
            pool=pool,
            listener='idle-timeout = "9h"',
        )
        for each in self.backends:
            each.accepts(after=0.1)

    def comes(self, said: bytes = b"") -> Far:
        """A client comes, and is connected."""
        client = self.client(said)
        self.settle(0.1)
        return client

    def heard(self) -> Sequence[tuple[str, str, float]]:
        """What the picker was told since the last look."""
        told, self.keeper.told = self.keeper.told, []
        return told


def test_answered() -> None:
    """An answer counts from the client's first byte, and the connect counts too."""
    story = Timed(A)
    story.comes(b"GET /")
    assert story.heard() == []
    story.settle(0.25)
    (far,) = story.backends[0].accepted
    far.send(b"200")
    story.settle()
    assert story.heard() == [("answered", "1", 0.35)]
    story.settle(5)
    far.send(b" OK")
    far.end()
    story.settle()
    story.stop()
    assert story.heard() == []


def test_aSilentClient() -> None:
    """A client that is silent for an hour does not make its member slow."""
    story = Timed(A)
    client = story.comes()
    story.settle(3600)
    client.send(b"GET /")
    story.settle(0.2)
    story.backends[0].accepted[0].send(b"200")
    story.settle()
    assert story.heard() == [("answered", "1", 0.3)]


def test_aMemberThatSpeaksFirst() -> None:
    """What is said unasked counts as soon as the connect, whenever it is said."""
    story = Timed(A)
    client = story.comes()
    story.settle(600)
    story.backends[0].accepted[0].send(b"220 ready")
    story.settle()
    assert story.heard() == [("answered", "1", 0.1)]
    client.send(b"EHLO")
    story.settle(3)
    story.stop()
    assert story.heard() == []


def test_refused() -> None:
    """A refused dial has failed, and the next member is asked afresh."""
    story = Timed(A, B)
    story.backends[0].refuses(after=0.05)
    story.client(b"GET /")
    story.settle(0.05)
    assert story.heard() == [("failed", "1", 0.05)]
    story.settle(0.1)
    story.backends[1].accepted[0].send(b"200")
    story.settle()
    assert story.heard() == [("answered", "2", 0.1)]
    assert len(story.keeper.times) == 2
    assert story.keeper.times[1] - story.keeper.times[0] == pytest.approx(0.05)


def test_noAnswerToTheDial() -> None:
    """A dial that is given up has taken as long as its timeout."""
    story = Timed(A, pool='connect-timeout = "2s"\nretries = 0')
    story.backends[0].hangs()
    story.client(b"GET /")
    story.settle(2.1)
    assert [each[:2] for each in story.heard()] == [("failed", "1")]


def test_dialDeadline() -> None:
    """A dial that is cut short, since others took the time, is no failure."""
    story = Timed(A, B, pool='connect-timeout = "2s"\ndial-deadline = "1s"')
    story.backends[0].refuses(after=0.7)
    story.backends[1].hangs()
    story.client(b"GET /")
    story.settle(1.1)
    first, second = story.heard()
    assert first == ("failed", "1", 0.7)
    assert second[:2] == ("waited", "2")
    assert second[2] == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("timeout", ["1s", "2s"])
def test_dialDeadlineOfOne(timeout: str) -> None:
    """One that has had all the time there is has failed."""
    story = Timed(A, pool=f'connect-timeout = "2s"\ndial-deadline = "{timeout}"')
    story.backends[0].hangs()
    story.client(b"GET /")
    story.settle(2.1)
    assert [each[:2] for each in story.heard()] == [("failed", "1")]


@pytest.mark.parametrize("how", ["end", "reset"])
def test_endedEmpty(how: str) -> None:
    """A member that accepts, and ends without a byte, has failed."""
    story = Timed(A)
    story.comes(b"GET /")
    story.settle(0.3)
    getattr(story.backends[0].accepted[0], how)()
    story.settle(30)
    assert story.heard() == [("failed", "1", 0.4)]


def test_aClientThatLeaves() -> None:
    """Who leaves before an answer has waited so long, and the member no less."""
    story = Timed(A)
    client = story.comes(b"GET /")
    story.settle(7)
    client.reset()
    story.settle()
    assert story.heard() == [("waited", "1", 7.1)]


def test_aClientThatLeavesDuringTheDial() -> None:
    """Who leaves during the dial has waited since it began."""
    story = Timed(A)
    story.backends[0].hangs()
    client = story.client(b"GET /")
    story.settle(0.5)
    client.reset()
    story.settle()
    assert story.heard() == [("waited", "1", 0.5)]


def test_aClientThatSaysNothing() -> None:
    """If neither has said anything, only the connect counts."""
    story = Timed(A)
    client = story.comes()
    story.settle(50)
    client.end()
    story.backends[0].accepted[0].end()
    story.settle(1)
    assert story.heard() == [("waited", "1", 0.1)]


def test_itRaises(logged: list[LogEvent]) -> None:
    """A picker that cannot bear what it is told ends no connection."""
    story = Timed(A, broken=True)
    client = story.comes(b"GET /")
    story.backends[0].accepted[0].send(b"200")
    story.settle()
    assert client.received == b"200"
    (failed,) = (event for event in logged if "log_failure" in event)
    assert failed["plugin"].endswith("Timekeeper.answered")
