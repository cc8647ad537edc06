"""Pickers by load: who gets a connection when others have more."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picking import CRITICAL, Told, chiSquared, membersOf, names, viewOf
from zope.interface.verify import verifyObject

from lbproxy.balance.load import LeastConnections, PowerOfTwo, loadOf
from lbproxy.interfaces import (
    IBackendPicker,
    ICapacityObserver,
    ILoadObserver,
    IMembershipObserver,
)


class TestLeastConnections:
    @pytest.mark.parametrize(
        "interface",
        [IBackendPicker, IMembershipObserver, ICapacityObserver, ILoadObserver],
    )
    def test_interfaces(self, interface: type) -> None:
        """It picks, and is told of members, of their capacity and of their load."""
        assert verifyObject(interface, LeastConnections())

    @pytest.mark.parametrize("told", [True, False])
    def test_idleMembersTakeTurns(self, told: bool) -> None:
        """Of members with equal load, it is the one that was picked longest ago."""
        members = membersOf([1, 1, 1])
        picker = LeastConnections()
        view = Told(picker, members).view if told else viewOf(members)
        assert names(picker, view, 7) == "abcabca"

    @pytest.mark.parametrize("weights", [[1, 1, 1], [5, 1, 2], [65535, 1, 1]])
    def test_connectionsAreAsTheWeights(self, weights: list[int]) -> None:
        """Connections that stay are spread as the weights say."""
        members = membersOf(weights)
        pool = Told(LeastConnections(), members)
        for _ in range(3 * sum(weights) if sum(weights) < 99 else 500):
            pool.load(pool.pick(), 1)
        total = sum(member.active for member in members)
        for member in members:
            assert abs(member.active - total * member.weight / sum(weights)) <= 1

    def test_theBusiestIsLeftAlone(self) -> None:
        """A member with long connections gets none until the others have as many."""
        members = membersOf([1, 1])
        pool = Told(LeastConnections(), members)
        for _ in range(3):
            pool.load(members[0], 1)
        for _ in range(3):
            assert pool.pick() is members[1]
            pool.load(members[1], 1)
        assert pool.pick() is members[0]
        pool.load(members[1], -1)
        assert pool.pick() is members[1]

    def test_slowStart(self) -> None:
        """A member that starts slowly looks as busy as its weight is small."""
        members = membersOf([1, 1])
        pool = Told(LeastConnections(), members)
        pool.ramp(members[0], 0.1)
        for _ in range(9):
            assert pool.pick() is members[1]
            pool.load(members[1], 1)
        pool.ramp(members[0], 1.0)
        assert pool.pick() is members[0]

    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(
                    ["add", "remove", "fill", "free", "lease", "release", "ramp"]
                ),
                st.integers(0, 5),
            ),
            max_size=60,
        ),
        st.sets(st.integers(0, 5), max_size=3),
    )
    def test_neverMoreThanTheLeast(
        self, events: list[tuple[str, int]], tried: set[int]
    ) -> None:
        """Whatever happens, nobody among the candidates has less for its weight."""
        members = membersOf([1, 2, 3, 1, 5, 1])
        pool = Told(LeastConnections(), members)
        for what, at in events:
            pool.happen(what, members[at])
            asked = [members[each] for each in tried]
            for passed in ([], asked):
                left = [each for each in pool.view if each not in passed]
                if left:
                    least = min(map(loadOf, left))
                    assert loadOf(pool.pick(*passed)) == least

    def test_withoutAPool(self) -> None:
        """Without a pool it reads the load of each candidate."""
        members = membersOf([1, 1, 4])
        picker = LeastConnections()
        members[0].active = 2
        assert names(picker, viewOf(members), 1) == "c"
        members[2].active = 8
        assert names(picker, viewOf(members), 3) == "bbb"

    def test_withoutAPoolItForgets(self) -> None:
        """Without a pool it takes turns among those that are left too."""
        members = membersOf([1] * 26)
        picker = LeastConnections()
        names(picker, viewOf(members), 26)
        view = viewOf(members[:3])
        assert names(picker, view, 7) == "abcabca"


class TestPowerOfTwo:
    def test_interface(self) -> None:
        """It picks, and needs to be told of nothing."""
        assert verifyObject(IBackendPicker, PowerOfTwo(Random(1)))

    def test_ofTwo(self) -> None:
        """Of two members it is always the less loaded one, for its weight."""
        members = membersOf([1, 3])
        b = members[1]
        pool = Told(PowerOfTwo(Random(1)), members)
        assert pool.names(50) == "b" * 50
        b.active = 3
        assert pool.names(50) == "a" * 50

    def test_ofOne(self) -> None:
        """The last candidate is picked."""
        a, b = members = membersOf([1, 1])
        assert Told(PowerOfTwo(Random(1)), members).pick(a) is b

    def test_theWorstIsNeverPicked(self) -> None:
        """Two different ones are drawn: the busiest member loses to any other."""
        members = membersOf([1] * 5)
        members[2].active = 1
        drawn = Told(PowerOfTwo(Random(2)), members).drawn(5000)
        others = [each for each in members if each.name != "c"]
        assert chiSquared(drawn, others) < CRITICAL[3]

    def test_uniform(self) -> None:
        """Each member is as likely as the others while loads are equal."""
        members = membersOf([1] * 5)
        drawn = Told(PowerOfTwo(Random(3)), members).drawn(10_000)
        assert chiSquared(drawn, members) < CRITICAL[4]

    def test_spread(self) -> None:
        """Connections that stay are nearly even, and as the weights say."""
        members = membersOf([1, 2] * 10)
        pool = Told(PowerOfTwo(Random(4)), members)
        for _ in range(3000):
            pool.load(pool.pick(), 1)
        held = Counter({each.name: each.active for each in members})
        for each in members:
            assert abs(held[each.name] - 100 * each.weight) <= 12
