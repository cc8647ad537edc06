"""Pickers by order: whose share is how large, and when each member is next."""

from __future__ import annotations

import gc
from collections import Counter
from itertools import groupby
from math import gcd

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picking import Told, aConnection, membersOf, names, viewOf, without
from zope.interface.verify import verifyObject

from lbproxy.balance.rotation import First, RoundRobin, Turn
from lbproxy.interfaces import (
    IBackendPicker,
    ICandidates,
    ICapacityObserver,
    IMembershipObserver,
)
from lbproxy.words.backend import Backend, Member

WEIGHTS = st.lists(st.integers(1, 256), min_size=1, max_size=8)


def toldOf(members: list[Member]) -> RoundRobin:
    """A picker as a pool has it, told of its members."""
    picker = RoundRobin()
    for member in members:
        picker.added(member)
    return picker


def longestRun(picks: str, name: str) -> int:
    return max(
        (len(list(run)) for key, run in groupby(picks) if key == name), default=0
    )


class TestRoundRobin:
    def test_interfaces(self) -> None:
        """It picks, and it wants to be told of members."""
        assert verifyObject(IBackendPicker, RoundRobin())
        assert verifyObject(IMembershipObserver, RoundRobin())
        assert verifyObject(ICapacityObserver, RoundRobin())

    @pytest.mark.parametrize(
        ("weights", "picks"),
        [
            ([1], "aaaa"),
            ([1, 1], "abababab"),
            ([1, 1, 1], "abcabcabcabc"),
            ([7, 7, 7], "abcabcabcabc"),
            ([2, 1], "abaabaaba"),
            ([1, 2], "babbabbab"),
            ([5, 1, 1], "abaaacaabaaaca"),
            ([1, 1, 5], "cacccbccacccbc"),
            ([3, 3, 1, 1], "abcabadbabcabadb"),
        ],
    )
    def test_order(self, weights: list[int], picks: str) -> None:
        """
        Equal members go in the order of configuration, turn after turn; heavier
        ones go in between, evenly.
        """
        members = membersOf(weights)
        assert names(toldOf(members), viewOf(members), len(picks)) == picks

    @settings(deadline=None)  # a slow machine is no failure
    @given(WEIGHTS, st.booleans())
    def test_sharesAreExact(self, weights: list[int], told: bool) -> None:
        """
        Whenever one looks, a full round holds each member exactly as often as
        its weight says, whether a pool told the picker of its members or not.
        """
        members = membersOf(weights)
        picker = toldOf(members) if told else RoundRobin()
        divisor = gcd(*weights)
        turns = sum(weights) // divisor
        picks = names(picker, viewOf(members), 3 * turns)
        window = Counter(picks[:turns])
        exact = {m.name: m.weight // divisor for m in members}
        assert window == exact
        for at in range(2 * turns):
            window[picks[at]] -= 1
            window[picks[at + turns]] += 1
            assert window == exact

    @settings(deadline=None)  # a slow machine is no failure
    @given(st.lists(st.integers(1, 40), min_size=2, max_size=8))
    def test_heavyMembersGetNoBursts(self, weights: list[int]) -> None:
        """
        The heaviest member is never picked more often in a row than it is
        heavier than the next one; nor is anybody else.
        """
        members = membersOf(weights)
        picks = names(toldOf(members), viewOf(members), 3 * sum(weights))
        for at, weight in enumerate(weights):
            heaviestOther = max(weights[:at] + weights[at + 1 :])
            bound = -(-weight // heaviestOther)
            assert longestRun(picks, members[at].name) <= bound

    @settings(deadline=None)  # a slow machine is no failure
    @given(st.lists(st.integers(257, 65535), min_size=2, max_size=3))
    def test_heaviestWeights(self, weights: list[int]) -> None:
        """Above 256 too nobody is ever a whole turn away from its exact share."""
        members = membersOf(weights)
        picks = names(toldOf(members), viewOf(members), 500)
        for member in members:
            due = 500 * member.weight / sum(weights)
            assert abs(picks.count(member.name) - due) < len(weights) / 2 + 1

    def test_manyEqualLightMembersAreSpread(self) -> None:
        """Ten light members do not come all together, but between heavy turns."""
        members = membersOf([10, *[1] * 10])
        picks = names(toldOf(members), viewOf(members), 100)
        assert longestRun(picks, "a") == 1

    def test_retry(self) -> None:
        """
        A member that failed this connection is passed over for its retry, and
        for nobody else: the others' order is as it was.
        """
        members = membersOf([1, 1, 1])
        a, b, _c = members
        view = viewOf(members)
        picker = toldOf(members)
        assert picker.pick(view, aConnection()) is a
        # The connection that got a failed, and so did its first retry.
        assert picker.pick(without(view, a), aConnection(a)) is b
        assert names(picker, without(view, a, b), 1) == "c"
        assert names(picker, view, 6) == "abcabc"

    def test_passedOverKeepsItsPlace(self) -> None:
        """
        The member whose turn it would have been is next, and then again when it
        would have been anyway.
        """
        members = membersOf([1, 1, 1])
        view = viewOf(members)
        picker = toldOf(members)
        assert names(picker, view, 2) == "ab"
        assert names(picker, without(view, members[2]), 1) == "a"
        assert names(picker, view, 9) == "cbcabcabc"

    @pytest.mark.parametrize("told", [True, False])
    def test_nothingToCatchUpOn(self, told: bool) -> None:
        """
        A member that was away for a long time, out of the pool or merely out of
        every view, gets its share from now on and not what it missed.
        """
        members = membersOf([1, 1, 1])
        a = members[0]
        picker = toldOf(members) if told else RoundRobin()
        view = viewOf(members)
        assert names(picker, view, 3) == "abc"
        if told:
            picker.removed(a)
        view.remove(a)
        assert set(names(picker, view, 1000)) == {"b", "c"}
        view.add(a)
        if told:
            picker.added(a)
        picks = names(picker, view, 300)
        assert longestRun(picks, "a") == 1
        assert 99 <= picks.count("a") <= 101

    def test_latecomersAreSpread(self) -> None:
        """Members that join together do not take their first turns together."""
        old = membersOf([1] * 8)
        members = membersOf([1] * 16)
        members[:8] = old
        view = viewOf(members)
        picker = toldOf(old)
        assert names(picker, viewOf(old), 8) == "abcdefgh"
        for late in members[8:]:
            picker.added(late)
        picks = names(picker, view, 160)
        fromLate = "".join("x" if name > "h" else "-" for name in picks)
        assert longestRun(fromLate, "x") <= 2
        assert Counter(picks) == {member.name: 10 for member in members}

    def test_goneBeforeItsFirstTurn(self) -> None:
        """A member that came and went between two picks leaves no trace."""
        members = membersOf([1, 1, 4, 1, 1])
        picker = toldOf(members)
        picker.removed(members[3])
        picker.removed(members[4])
        view = viewOf(members[:3])
        assert names(picker, view, 6) == names(toldOf(members[:3]), view, 6)

    def test_removingAStranger(self) -> None:
        """To hear that somebody left who was never there changes nothing."""
        members = membersOf([1, 1])
        picker = toldOf(members)
        picker.removed(membersOf([1])[0])
        assert names(picker, viewOf(members), 4) == "abab"

    def test_addedTwice(self) -> None:
        """To hear of a member twice does not give it two shares."""
        members = membersOf([1, 1])
        picker = toldOf(members + members)
        assert names(picker, viewOf(members), 4) == "abab"

    def test_anotherWeight(self) -> None:
        """A new weight counts from now on."""
        members = membersOf([1, 1])
        picker = toldOf(members)
        view = viewOf(members)
        assert names(picker, view, 4) == "abab"
        members[0].backend = Backend("tcp:127.0.0.1:9000", "a", 4)
        picker.changed(members[0])
        assert Counter(names(picker, view, 101)[1:]) == {"a": 80, "b": 20}

    def test_strangersWhenNobodyElseIsLeft(self) -> None:
        """
        When everybody it knows is gone, members that it was never told of, such
        as the ejected ones of a pool, take turns all the same.
        """
        members = membersOf([1, 1, 1])
        strangers = [Member(Backend(name)) for name in "xyz"]
        picker = toldOf(members)
        assert names(picker, viewOf(strangers), 6) == "xyzxyz"
        for member in members:
            picker.removed(member)
        assert names(picker, viewOf(strangers), 3) == "xyz"

    def test_strangersAmongFriends(self) -> None:
        """A member it was not told of has its share with those it was told of."""
        members = membersOf([1, 1, 1])
        picker = toldOf(members[:2])
        assert names(picker, viewOf(members), 6) == "abcabc"

    def test_strangersThatComeLater(self) -> None:
        """A picker without a pool notices who comes into the view."""
        members = membersOf([1, 1, 1])
        view = viewOf(members)
        view.remove(members[1])
        picker = RoundRobin()
        assert names(picker, view, 4) == "acac"
        view.add(members[1])
        assert Counter(names(picker, view, 31)[1:]) == {"a": 10, "b": 10, "c": 10}

    def test_nobody(self) -> None:
        """Without candidates there is nobody to pick: the connection is refused."""
        assert RoundRobin().pick(viewOf([]), aConnection()) is None

    def test_slowStart(self) -> None:
        """
        A member at a tenth of its weight gets a tenth of the picks; when that ends, its
        next turn is not as far away as it was.
        """
        members = membersOf([1] * 4)
        pool = Told(RoundRobin(), members)
        pool.ramp(members[1], 0.1)
        assert pool.names(310).count("b") == 10
        pool.ramp(members[1], 1.0)
        assert "b" in pool.names(4)
        assert pool.names(40).count("b") == 10

    def test_changedBeforeItWasAdded(self) -> None:
        """A change of a member that may not be picked does not make it take part."""
        a, b = membersOf([1, 1])
        picker = toldOf([a])
        picker.changed(b)
        assert names(picker, viewOf([a]), 3) == "aaa"
        picker.added(b)
        assert sorted(names(picker, viewOf([a, b]), 4)) == ["a", "a", "b", "b"]

    def test_fullKeepsItsPlace(self) -> None:
        """A full member is passed over; when it has room again, it is next."""
        members = membersOf([1, 1, 1])
        pool = Told(RoundRobin(), members)
        assert pool.names(3) == "abc"
        pool.fill(members[1])
        assert pool.names(2) == "ac"
        pool.free(members[1])
        assert pool.names(7) == "babcabc"

    def test_fullForLong(self) -> None:
        """A member that was full for long has no turns to catch up on."""
        members = membersOf([1, 1, 1])
        pool = Told(RoundRobin(), members)
        pool.fill(members[0])
        assert set(pool.names(1000)) == {"b", "c"}
        pool.free(members[0])
        picks = pool.names(300)
        assert longestRun(picks, "a") == 1
        assert 99 <= picks.count("a") <= 101

    def test_fullIsLookedAtOnce(self) -> None:
        """However many members are full, a pick does not look at them again."""
        members = [Member(Backend(f"tcp:127.0.0.1:{port}")) for port in range(1, 1001)]
        pool = Told(RoundRobin(), members)
        for member in members[10:]:
            pool.fill(member)
        pool.names(20)
        counted = Counted(pool.view)
        for _ in range(100):
            assert pool.picker.pick(counted, aConnection()) in members[:10]
        assert counted.looks == 100

    def test_removedWhileFull(self) -> None:
        """A member that was full and left comes back as any other."""
        members = membersOf([1, 1, 1])
        pool = Told(RoundRobin(), members)
        pool.fill(members[0])
        pool.names(4)
        pool.remove(members[0])
        assert set(pool.names(4)) == {"b", "c"}
        pool.add(members[0])
        assert Counter(pool.names(31)[1:]) == {"a": 10, "b": 10, "c": 10}

    def test_weightWhileFull(self) -> None:
        """A weight that changes while its member is full counts when it has room."""
        members = membersOf([1, 1])
        pool = Told(RoundRobin(), members)
        pool.fill(members[0])
        pool.names(3)
        pool.ramp(members[0], 0.25)
        pool.free(members[0])
        assert pool.names(101)[1:].count("a") == 20

    def test_flappingKeepsNothing(self) -> None:
        """A member that comes and goes between two picks leaves no turns behind."""
        members = membersOf([1, 1, 1])
        pool = Told(RoundRobin(), members)
        for _ in range(1000):
            pool.remove(members[2])
            pool.add(members[2])
            pool.ramp(members[0], 0.5)
            pool.ramp(members[0], 1.0)
        gc.collect()
        turns = [
            each for each in gc.get_referrers(members[0]) if isinstance(each, Turn)
        ]
        assert len(turns) < 20


class Counted:
    """Candidates that count how often a member is looked up."""

    def __init__(self, view: ICandidates) -> None:
        self.view = view
        self.version = view.version
        self.looks = 0

    def __len__(self) -> int:
        return len(self.view)

    def __contains__(self, member: object) -> bool:
        self.looks += 1
        return member in self.view


class TestFirst:
    def test_interface(self) -> None:
        """It picks, and needs to be told of nothing."""
        assert verifyObject(IBackendPicker, First())

    def test_inOrder(self) -> None:
        """Each member is filled before the next one gets a connection."""
        members = membersOf([1, 9, 1])
        pool = Told(First(), members)
        assert pool.names(3) == "aaa"
        assert pool.pick(members[0]) is members[1]
        pool.fill(members[0])
        assert pool.names(2) == "bb"
        pool.fill(members[1])
        assert pool.names(1) == "c"
        pool.free(members[0])
        assert pool.names(1) == "a"
