"""The picker by latency: who is slow gets little, and is back when it is fast again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picking import Told, backends, membersOf, viewOf
from zope.interface.verify import verifyObject

from lbproxy.balance.latency import PeakEwma
from lbproxy.interfaces import IBackendPicker, IConfigurationObserver, ILatencyObserver
from lbproxy.plugins.choice import PickerChoice
from lbproxy.plugins.making import buildPicker
from lbproxy.words.backend import Member
from lbproxy.words.place import ConfigurationError

REFUSES, HANGS = -1.0, -2.0
PATIENCE = 20.0
"""Seconds that a client waits for an answer."""


class Traffic:
    """
    Connections that come at random, and members that take some time for each.

    @ivar pool: The picker, and its members.
    @ivar takes: Seconds that each member takes for an answer; or L{REFUSES}, L{HANGS}.
    """

    def __init__(
        self, number: int = 10, rate: float = 200.0, decay: float = 10
    ) -> None:
        self.members = backends(number)
        self.pool = Told(PeakEwma(Random(1), decay), self.members)
        self.takes = {each.name: 0.005 for each in self.members}
        self.now = 100.0
        self._rate = rate
        self._rng = Random(2)
        self._calls: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()

    def run(self, seconds: float) -> dict[str, float]:
        """Let connections come, and return which share of all dials each member got."""
        dials: Counter[str] = Counter()
        until = self.now + seconds
        while True:
            coming = self.now + self._rng.expovariate(self._rate)
            while self._calls and self._calls[0][0] <= min(coming, until):
                self.now, _, call = heappop(self._calls)
                call()
            if coming > until:
                self.now = until
                return {name: dials[name] / dials.total() for name in self.takes}
            self.now = coming
            self._connect(dials)

    def _connect(self, dials: Counter[str]) -> None:
        tried: list[Member] = []
        while len(tried) < 3:
            member = self._pick(*tried)
            dials[member.name] += 1
            self.pool.load(member, 1)
            if self.takes[member.name] != REFUSES:
                self._serve(member, self.takes[member.name])
                return
            self.pool.informed.failed(member, 0.0001, self.now)
            self.pool.load(member, -1)
            tried.append(member)

    def _pick(self, *tried: Member) -> Member:
        self.pool.now = self.now
        return self.pool.pick(*tried)

    def _serve(self, member: Member, seconds: float) -> None:
        informed = self.pool.informed
        if seconds == HANGS:
            seconds, tell = PATIENCE, informed.waited
        else:
            seconds, tell = seconds * self._rng.uniform(0.5, 1.5), informed.answered

        def over() -> None:
            self.pool.load(member, -1)
            tell(member, seconds, self.now)

        heappush(self._calls, (self.now + seconds, next(self._order), over))


@pytest.mark.parametrize(
    "interface", [IBackendPicker, IConfigurationObserver, ILatencyObserver]
)
def test_interfaces(interface: type) -> None:
    """It picks, and is told of the configuration and of answers."""
    assert verifyObject(interface, PeakEwma(Random(1)))


class TestTraffic:
    def test_alike(self) -> None:
        """Members that are alike have about the same share."""
        shares = Traffic().run(60).values()
        assert min(shares) > 0.05
        assert max(shares) < 0.2

    @pytest.mark.parametrize("slow", [0.05, 0.5, 5.0])
    def test_slow(self, slow: float) -> None:
        """A slow member has a hundredth of its share; fast again, it is back."""
        traffic = Traffic()
        traffic.run(10)
        traffic.takes["m3"] = slow
        traffic.run(20)
        assert 0 < traffic.run(300)["m3"] < 0.001
        traffic.takes["m3"] = 0.005
        traffic.run(100)
        assert traffic.run(30)["m3"] > 0.05

    def test_slowFromTheBeginning(self) -> None:
        """A member that is slow when all are new is found out at its first answer."""
        traffic = Traffic()
        traffic.takes["m3"] = 0.5
        assert traffic.run(3)["m3"] < 0.02
        assert traffic.run(60)["m3"] < 0.001

    @pytest.mark.parametrize("fast", [0.005, 5.0])
    def test_refuses(self, fast: float) -> None:
        """
        A member that refuses at once is not the fastest, even where others are slow;
        accepting again, it is back.
        """
        traffic = Traffic(rate=20)
        traffic.takes = dict.fromkeys(traffic.takes, fast)
        traffic.run(60)
        traffic.takes["m3"] = REFUSES
        traffic.run(20)
        assert traffic.run(300)["m3"] < 0.01
        traffic.takes["m3"] = fast
        traffic.run(120)
        assert traffic.run(60)["m3"] > 0.05

    def test_hangs(self) -> None:
        """
        A member that accepts and says nothing is found out when clients lose patience,
        and tried by one of them at a time.
        """
        traffic = Traffic()
        traffic.run(10)
        traffic.takes["m3"] = HANGS
        traffic.run(60)
        assert traffic.run(300)["m3"] < 0.001
        assert traffic.members[3].active <= 3

    def test_fast(self) -> None:
        """A member that is faster than others has more connections than they have."""
        traffic = Traffic(rate=400)
        traffic.takes = dict.fromkeys(traffic.takes, 0.05)
        traffic.takes["m3"] = 0.005
        shares = traffic.run(60)
        assert shares["m3"] == max(shares.values())
        assert shares["m3"] > 0.15

    def test_newMember(self) -> None:
        """A member that is added gets its share at once, and no more."""
        traffic = Traffic()
        traffic.run(30)
        traffic.members = [*traffic.members, *backends(1, 1, backup=True)]
        traffic.takes["b0"] = 0.005
        traffic.pool.reconfigure(traffic.members)
        assert 0.02 < traffic.run(5)["b0"] < 0.25

    def test_newMemberThatIsSlow(self) -> None:
        """One that has not answered yet does not draw all that come meanwhile."""
        traffic = Traffic()
        traffic.run(30)
        traffic.members = [*traffic.members, *backends(1, 1, backup=True)]
        traffic.takes["b0"] = HANGS
        traffic.pool.reconfigure(traffic.members)
        assert traffic.run(15)["b0"] < 0.02

    def test_triedByOne(self) -> None:
        """
        When a slow member is tried again, one connection tries it, however many come
        until it answers.
        """
        traffic = Traffic(rate=1000)
        traffic.run(5)
        traffic.takes["m3"] = 1.0
        traffic.run(20)
        most = 0
        for _ in range(500):
            traffic.run(0.1)
            most = max(most, traffic.members[3].active)
        assert 1 <= most <= 2

    def test_twoMembers(self) -> None:
        """Of two members, both of which are always drawn, the slow one gets little."""
        traffic = Traffic(2)
        traffic.takes["m1"] = 0.5
        traffic.run(20)
        assert traffic.run(100)["m1"] < 0.01


def pool(weights: list[int], decay: float = 10.0) -> Told:
    return Told(PeakEwma(Random(1), decay), membersOf(weights))


class TestAverage:
    """By two members, both of which are always drawn."""

    def better(self, told: Told) -> str:
        """Who is picked, whichever is drawn first."""
        found = {told.pick().name for _ in range(4)}
        assert len(found) == 1
        return found.pop()

    def test_peak(self) -> None:
        """One long answer counts at once; short ones after it only in time."""
        told = pool([1, 1])
        a, b = told.members
        told.now = 1.0
        for member, seconds in ((a, 1.0), (b, 2.0), (a, 3.0), (a, 0.1)):
            told.informed.answered(member, seconds, 1.0)
        assert self.better(told) == "b"
        for at in range(1, 12):
            told.now = 1.0 + at
            told.informed.answered(a, 0.1, told.now)
            told.informed.answered(b, 2.0, told.now)
        assert self.better(told) == "a"

    @pytest.mark.parametrize(("weights", "best"), [([1, 3], "b"), ([3, 1], "a")])
    def test_weight(self, weights: list[int], best: str) -> None:
        """With three times the weight, twice as long is better."""
        told = pool(weights)
        for member, weight in zip(told.members, weights, strict=True):
            told.informed.answered(member, 1.0 if weight == 1 else 2.0, 0.0)
        assert self.better(told) == best

    def test_slowStart(self) -> None:
        """A member that starts slowly looks as busy as its weight is small."""
        told = pool([1, 1])
        a, b = told.members
        told.informed.answered(a, 1.0, 0.0)
        told.informed.answered(b, 2.0, 0.0)
        told.ramp(a, 0.1)
        assert self.better(told) == "b"

    def test_connections(self) -> None:
        """A member that takes half as long may have twice as many connections."""
        told = pool([1, 1])
        a, b = told.members
        told.informed.answered(a, 1.0, 0.0)
        told.informed.answered(b, 2.1, 0.0)
        told.load(a, 1)
        assert self.better(told) == "a"
        told.load(a, 1)
        assert self.better(told) == "b"

    @pytest.mark.parametrize("decay", [1.0, 60.0])
    def test_decay(self, decay: float) -> None:
        """An average that is not renewed falls to a third in C{decay}."""
        told = pool([1, 1], decay)
        a, b = told.members
        told.informed.answered(a, 1.0, 0.0)
        for part, best in ((0.97, "b"), (1.03, "a")):
            told.now = part * decay
            told.informed.answered(b, 0.3679, told.now)
            assert told.pick().name == best

    def test_afterANight(self) -> None:
        """When nobody has come for long, the connections decide."""
        told = pool([1] * 10)
        for member in told.members:
            told.informed.answered(member, 1.0 + 9 * (member.name == "a"), 0.0)
        told.now = 30_000.0
        for _ in range(100):
            told.load(told.pick(), 1)
        assert 5 < told.members[0].active < 15

    def test_failure(self) -> None:
        """A failure counts as a second at least, or as long as it took."""
        told = pool([1, 1])
        a, b = told.members
        told.informed.failed(a, 0.0, 0.0)
        for seconds, best in ((0.9, "b"), (1.1, "a")):
            told.informed.waited(b, seconds, 0.0)
            assert self.better(told) == best
        told.informed.failed(a, 5.0, 0.0)
        assert self.better(told) == "b"

    def test_waited(self) -> None:
        """Who was waited for in vain is as slow as that at least, and no faster."""
        told = pool([1, 1])
        a, b = told.members
        told.informed.answered(a, 1.0, 0.0)
        told.informed.answered(b, 1.1, 0.0)
        told.informed.waited(b, 0.001, 5.0)
        assert self.better(told) == "a"
        told.informed.waited(a, 1.2, 5.0)
        assert self.better(told) == "b"

    def test_leftAtOnce(self) -> None:
        """
        When the client that tries a slow member again leaves at once, nothing is known
        of it: the others do not all follow.
        """
        told = pool([1, 1])
        a, b = told.members
        told.informed.answered(a, 1000.0, 0.0)
        told.now = 200.0
        told.informed.answered(b, 1.0, told.now)
        assert told.pick() is a
        told.informed.waited(a, 0.0001, told.now)
        told.load(a, 1)
        assert self.better(told) == "b"

    def test_anotherThatIsGone(self) -> None:
        """What is told of a member that is gone is no memory of it."""
        told = pool([1, 1, 1])
        a, b, c = told.members
        told.reconfigure([a, b])
        told.informed.failed(c, 1.0, 0.0)
        told.informed.answered(a, 1.0, 0.0)
        told.informed.answered(b, 2.0, 0.0)
        told.reconfigure([a, b, c])
        assert told.pick(b) in (a, c)
        told.load(a, 1)
        assert told.pick(b) is c

    def test_ejected(self) -> None:
        """A member that is ejected and returns is as slow as it was."""
        told = pool([1, 1])
        a, b = told.members
        told.informed.answered(b, 0.5, 0.0)
        told.informed.failed(a, 1.0, 0.0)
        told.remove(a)
        told.add(a)
        assert self.better(told) == "b"


def test_withoutAPool() -> None:
    """Whose candidates were never configured, it keeps no more of than it needs."""
    picker = PeakEwma(Random(1))
    for _ in range(30):
        view = viewOf(backends(10))
        assert picker.pick(view, None) in view  # type: ignore[arg-type]
    assert len(picker._latencies) < 50


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["answered", "failed", "waited", "lease", "release"]),
            st.integers(0, 2),
            st.floats(0, 1e6),
            st.floats(0, 1e7),
        ),
        max_size=30,
    )
)
def test_anyTimes(events: list[tuple[str, int, float, float]]) -> None:
    """Whatever it was told, the one that is faster and has less to do is picked."""
    told = pool([1, 1, 1])
    for event, at, seconds, later in events:
        member = told.members[at]
        told.now += later
        if event in ("lease", "release"):
            told.happen(event, member)
        else:
            getattr(told.informed, event)(member, seconds, told.now)
        assert told.pick() in told.view
    # All have been slower than this one, and just now.
    best = told.members[0]
    for each in told.members[1:]:
        told.informed.waited(each, 1e9, told.now)
        each.active = best.active + 1
    assert {told.pick(told.members[1]) for _ in range(3)} == {best}


class TestOption:
    @pytest.mark.parametrize("written", ["1s", 0.5, "5m", "30"])
    def test_decay(self, written: object) -> None:
        """The decay is a duration."""
        assert buildPicker(PickerChoice("peak-ewma", {"decay": written}))

    @pytest.mark.parametrize("written", [0, "0s", -1, "soon", True])
    def test_noDecay(self, written: object) -> None:
        """Anything else is refused in one line that names the option."""
        with pytest.raises(ConfigurationError, match='option "decay": '):
            buildPicker(PickerChoice("peak-ewma", {"decay": written}))
