"""A name is looked up once at a time, for whoever asks, and again when it is due."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock

from lbproxy.discovery.answers import Answer, Family, Service
from lbproxy.discovery.names import (
    FAILED_AGAIN,
    LATE,
    LONGEST,
    SHORTEST,
    UNKNOWN_AGAIN,
    Asking,
    Names,
)
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import Wheel

NONE: Answer[str] = Answer((), reason="no such name")
DEFAULTS = Asking()
FAILED: Answer[str] = Answer(None, reason="the server failed")


class Scripted:
    """A resolver that answers when the test says so."""

    def __init__(self) -> None:
        self.asked: dict[str, Callable] = {}
        self.closed = False

    def addresses(
        self, name: str, family: Family, heard: Callable[[Answer[str]], object]
    ) -> None:
        assert family not in self.asked or self.closed
        self.asked[family] = heard

    def services(self, name: str, heard: Callable[[Answer[Service]], object]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True

    def answer(
        self, v4: Answer[str] | None = NONE, v6: Answer[str] | None = NONE
    ) -> None:
        """Answer the lookups that are under way, or one of them."""
        answers = {Family.IPV4: v4, Family.IPV6: v6}
        for family, answer in answers.items():
            if answer is not None and family in self.asked:
                self.asked.pop(family)(answer)


class Story:
    def __init__(self, asking: Asking = DEFAULTS) -> None:
        self.clock = Clock()
        self.resolver = Scripted()
        wheel = Wheel(ClockAlarm(self.clock))
        self.names = Names(wheel, lambda servers: self.resolver)
        self.told = 0
        self.watched = self.names.watch("a", asking, self.tell)

    def tell(self) -> None:
        self.told += 1

    def asksAfter(self, seconds: float, family: Family = Family.IPV4) -> bool:
        """Whether the next lookup begins then, and not before."""
        self.clock.advance(seconds - 0.05)
        early = family in self.resolver.asked
        self.clock.advance(0.1)
        return family in self.resolver.asked and not early


def good(*addresses: str, ttl: float | None = None) -> Answer[str]:
    return Answer(addresses, ttl=ttl)


def test_oneLookupForAll() -> None:
    """However many are interested, one lookup is under way, and all are told."""
    story = Story()
    other = story.names.watch("a", Asking(), story.tell)
    assert set(story.resolver.asked) == set(Family)
    story.resolver.answer(good("10.0.0.2", "10.0.0.1"), good("::1"))
    assert story.told == 4
    assert other.addresses == ("10.0.0.1", "10.0.0.2", "::1")
    assert (other.isNew, other.trouble) == (False, "")


def test_interval() -> None:
    """An answer without a TTL holds for the interval; the same again is not told."""
    story = Story(Asking(interval=7.0))
    story.resolver.answer(good("10.0.0.1"))
    assert story.asksAfter(7.0)
    story.resolver.answer(good("10.0.0.1"))
    assert story.told == 1


def test_ttl() -> None:
    """It counts within limits, for addresses of IPv4 and of IPv6 each by itself."""
    for ttl, seconds in ((0.0, SHORTEST), (5.0, 5.0), (86400.0, LONGEST)):
        story = Story()
        story.resolver.answer(good("10.0.0.1", ttl=ttl), good("::1", ttl=90000.0))
        assert story.asksAfter(seconds)
        assert (Family.IPV6 in story.resolver.asked) == (ttl > LONGEST)


def test_neverThere() -> None:
    """A name without an address is looked up each second, and said once to lack one."""
    story = Story()
    for answer in (FAILED, FAILED, FAILED):
        story.resolver.answer(answer, answer)
        assert story.asksAfter(UNKNOWN_AGAIN)
    assert story.told == 1
    assert story.watched.trouble == "the server failed"
    assert not story.watched.isNew
    story.resolver.answer(good("10.0.0.1"))
    assert (story.told, story.watched.trouble) == (2, "")


def test_failsForAWhile() -> None:
    """What was known stays, the trouble is told, and it is looked up again soon."""
    story = Story()
    story.resolver.answer(good("10.0.0.1"))
    assert story.asksAfter(10.0)
    story.resolver.answer(FAILED, FAILED)
    assert story.watched.addresses == ("10.0.0.1",)
    assert (story.told, story.watched.trouble) == (2, "the server failed")
    assert story.asksAfter(FAILED_AGAIN)


def test_oneFamilyFails() -> None:
    """The addresses of the other are news all the same."""
    story = Story()
    story.resolver.answer(good("10.0.0.1"), good("::1"))
    story.clock.advance(10.1)
    story.resolver.answer(FAILED, good("::2"))
    assert story.watched.addresses == ("10.0.0.1", "::2")


def test_silence() -> None:
    """A lookup that goes on is told of, and no second one is begun beside it."""
    story = Story()
    story.clock.advance(LATE + 1)
    assert story.watched.trouble == "no answer in 10s"
    story.clock.advance(1000.0)
    story.resolver.answer(good("10.0.0.1"))
    assert story.watched.addresses == ("10.0.0.1",)


def test_nobodyIsInterested() -> None:
    """A name is forgotten when its answer no longer holds; nothing is left behind."""
    story = Story()
    story.resolver.answer(good("10.0.0.1"))
    story.watched.cancel()
    again = story.names.watch("a", Asking(), story.tell)
    assert again.addresses == ("10.0.0.1",)
    again.cancel()
    story.clock.advance(11.0)
    assert not story.resolver.asked
    assert not story.clock.calls
    assert story.told == 1


def test_close() -> None:
    """Closing ends all lookups, and names may be watched again."""
    story = Story()
    story.names.close()
    assert story.resolver.closed
    assert not story.clock.calls
    story.names.watch("a", Asking(), story.tell)
    assert set(story.resolver.asked) == set(Family)
    story.names.close()


def test_slowFamily() -> None:
    """A server that drops questions about one family delays nothing of the other."""
    story = Story()
    story.resolver.answer(good("10.0.0.1", ttl=2.0), None)
    assert (story.watched.addresses, story.watched.isNew) == (("10.0.0.1",), False)
    assert story.asksAfter(2.0)
    story.resolver.answer(good("10.0.0.2", ttl=2.0), None)
    assert set(story.watched.addresses) == {"10.0.0.2"}
    story.clock.advance(LATE)
    assert story.watched.trouble == ""
    story.resolver.answer(None, good("::1"))
    assert set(story.watched.addresses) == {"10.0.0.2", "::1"}


def test_firstFamilyHasNothing() -> None:
    """While the other family is looked up, nothing is decided."""
    story = Story()
    story.resolver.answer(NONE, None)
    assert (story.watched.isNew, story.watched.trouble) == (True, "")
    story.resolver.answer(None, FAILED)
    assert (story.watched.isNew, story.watched.trouble) == (False, "no such name")


def test_cancelledWhileSlow() -> None:
    """Who comes and goes while a lookup is slow begins no other one."""
    story = Story()
    story.resolver.answer(good("10.0.0.1", ttl=2.0), None)
    story.watched.cancel()
    story.clock.advance(5.0)
    again = story.names.watch("a", Asking(), story.tell)
    assert set(story.resolver.asked) == set(Family)
    story.resolver.answer(good("10.0.0.3"), good("::3"))
    assert again.addresses == ("10.0.0.3", "::3")
