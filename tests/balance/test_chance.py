"""The picker by chance: how likely each member is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picking import (
    CRITICAL,
    Told,
    aConnection,
    chiSquared,
    membersOf,
    names,
    viewOf,
    without,
)
from zope.interface.verify import verifyObject

from lbproxy.balance.candidates import LiveCandidates
from lbproxy.balance.chance import RandomChoice, WeightTree
from lbproxy.interfaces import IBackendPicker, ICapacityObserver, IMembershipObserver
from lbproxy.words.backend import Backend, Member

SHARES = [[1, 1], [1, 1, 1], [5, 1, 1], list(range(1, 11)), [100, 1, 100]]


class CountedView(LiveCandidates):
    """A view that knows how often somebody went through all of it."""

    walks = 0

    def __iter__(self) -> Iterator[Member]:
        self.walks += 1
        return super().__iter__()


class TestRandomChoice:
    @pytest.mark.parametrize(
        "interface", [IBackendPicker, IMembershipObserver, ICapacityObserver]
    )
    def test_interfaces(self, interface: type) -> None:
        """It picks, and is told of members and of which of them are full."""
        assert verifyObject(interface, RandomChoice(Random(1)))

    @pytest.mark.parametrize("weights", SHARES)
    @pytest.mark.parametrize("told", [True, False])
    def test_shares(self, weights: list[int], told: bool) -> None:
        """In the long run each member gets what its weight says."""
        members = membersOf(weights)
        picker = RandomChoice(Random(2))
        pool = Told(picker, members if told else [])
        view = pool.view if told else viewOf(members)
        drawn = Counter(names(picker, view, 20_000))
        assert chiSquared(drawn, members) < CRITICAL[len(weights) - 1]

    def test_sharesOfTheOthers(self) -> None:
        """
        When members are tried, full or slow, the others have their shares of the rest,
        however much of the weight was theirs.
        """
        members = membersOf([60000, 3, 500, 2, 1, 5])
        pool = Told(RandomChoice(Random(8)), members)
        pool.fill(members[2])
        pool.ramp(members[1], 1 / 3)
        open_ = [members[1], members[3], members[4], members[5]]
        assert chiSquared(pool.drawn(20_000, members[0]), open_) < CRITICAL[3]
        pool.free(members[2])
        drawn = pool.drawn(20_000, members[0], *open_[:-1])
        assert chiSquared(drawn, [members[2], members[5]]) < CRITICAL[1]
        assert chiSquared(pool.drawn(20_000), members) < CRITICAL[5]

    def test_chanceIsAnArgument(self) -> None:
        """The same seed makes the same choices."""
        members = membersOf([1, 2, 3])
        first = Told(RandomChoice(Random(3)), members).names(100)
        assert Told(RandomChoice(Random(3)), members).names(100) == first

    @pytest.mark.parametrize("told", [True, False])
    def test_comingsAndGoings(self, told: bool) -> None:
        """Whoever leaves is not drawn any more, and whoever comes back is."""
        members = membersOf([1, 1, 1])
        view = viewOf(members)
        picker = RandomChoice(Random(4))
        if told:
            pool = Told(picker, members)
            pool.remove(members[1])
            assert set(pool.names(100)) == set("ac")
            pool.add(members[1])
            assert set(pool.names(100)) == set("abc")
            return
        assert set(names(picker, view, 100)) == set("abc")
        view.remove(members[1])
        assert set(names(picker, view, 100)) == set("ac")
        view.add(members[1])
        assert set(names(picker, view, 100)) == set("abc")

    def test_retry(self) -> None:
        """A retry goes elsewhere; the next connection can go anywhere again."""
        members = membersOf([1, 1, 1])
        a, b, c = members
        view = viewOf(members)
        picker = RandomChoice(Random(5))
        for _ in range(100):
            assert picker.pick(without(view, a), aConnection(a)) in {b, c}
            assert picker.pick(view, aConnection()) in {a, b, c}
        assert picker.pick(without(view, a, b), aConnection(a, b)) is c

    def test_retriesCostOthersNothing(self) -> None:
        """Without a pool, however many retries come between, first tries stay cheap."""
        members = membersOf([1, 2, 3])
        view = CountedView({member: at for at, member in enumerate(members)}, members)
        picker = RandomChoice(Random(6))
        for _ in range(10):
            picker.pick(view, aConnection())
            picker.pick(without(view, members[0]), aConnection(members[0]))
        assert view.walks == 1 + 10

    def test_toldNeverWalks(self) -> None:
        """With a pool, no pick goes through all members, whatever was tried."""
        members = membersOf([65535, 1, 1, 1])
        view = CountedView({member: at for at, member in enumerate(members)}, members)
        pool = Told(RandomChoice(Random(7)), members)
        pool.view = view
        for _ in range(10):
            pool.pick()
            pool.pick(members[0], members[1])
        assert view.walks == 0


class TestWeightTree:
    @given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1000)), max_size=60))
    def test_eachPlaceIsAsLongAsItsWeight(self, sets: list[tuple[int, int]]) -> None:
        """Each number falls on the place that a walk over all weights comes to."""
        tree, weights = WeightTree(), [0] * 41
        for place, weight in sets:
            tree.set(place, weight)
            weights[place] = weight
        assert tree.total == sum(weights)
        before = 0
        for place, weight in enumerate(weights):
            if weight:
                assert tree.find(before) == tree.find(before + weight - 1) == place
            before += weight


def test_unequalBackends() -> None:
    """Slow start leaves every member a share, if a small one."""
    light = Member(Backend("tcp:127.0.0.1:1", "light"))
    light.ramp = 1e-9
    heavy = Member(Backend("tcp:127.0.0.1:2", "heavy", 65535))
    pool = Told(RandomChoice(Random(9)), [light, heavy])
    assert pool.pick(heavy) is light
