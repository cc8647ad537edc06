"""The built-in pickers: whose share is how large, and in what order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from math import gcd
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from lbproxy.balance.candidates import LiveCandidates, NarrowedCandidates
from lbproxy.balance.pickers import RandomChoice, RoundRobin
from lbproxy.interfaces import IBackendPicker, ICandidates, IMembershipObserver
from lbproxy.words.backend import Backend, Member
from lbproxy.words.connection import Address, Connection

WEIGHTS = st.lists(st.integers(1, 256), min_size=1, max_size=8)


def aConnection(*tried: Member) -> Connection:
    return Connection(
        id=1,
        listener="web",
        client=Address("192.0.2.1", 40000),
        local=Address("192.0.2.2", 80),
        opened=0.0,
        tried=[member.backend for member in tried],
    )


def membersOf(weights: list[int]) -> list[Member]:
    """Members C{a}, C{b}, C{c}... with these weights."""
    return [
        Member(Backend(f"tcp:127.0.0.1:{9000 + at}", chr(ord("a") + at), weight))
        for at, weight in enumerate(weights)
    ]


def viewOf(members: list[Member]) -> LiveCandidates:
    return LiveCandidates({member: at for at, member in enumerate(members)}, members)


def without(view: LiveCandidates, *tried: Member) -> NarrowedCandidates:
    return NarrowedCandidates(view, tried)


def toldOf(members: list[Member]) -> RoundRobin:
    """A picker as a pool has it, told of its members."""
    picker = RoundRobin()
    for member in members:
        picker.added(member)
    return picker


def names(picker: IBackendPicker, view: ICandidates, picks: int) -> str:
    """The names of so many picks in a row."""
    picked = [picker.pick(view, aConnection()) for _ in range(picks)]
    return "".join(member.name for member in picked if isinstance(member, Member))


def longestRun(picks: str, name: str) -> int:
    return max(
        (len(list(run)) for key, run in groupby(picks) if key == name), default=0
    )


class TestRoundRobin:
    def test_interfaces(self) -> None:
        """It picks, and it wants to be told of members."""
        assert verifyObject(IBackendPicker, RoundRobin())
        assert verifyObject(IMembershipObserver, RoundRobin())

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
        """A new weight counts from the member's next turn on."""
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


class CountedView(LiveCandidates):
    """A view that knows how often somebody went through all of it."""

    walks = 0

    def __iter__(self) -> Iterator[Member]:
        self.walks += 1
        return super().__iter__()


class TestRandomChoice:
    def test_interface(self) -> None:
        """It picks, and needs to be told of nothing."""
        assert verifyObject(IBackendPicker, RandomChoice(Random(1)))
        assert not IMembershipObserver.providedBy(RandomChoice(Random(1)))

    @pytest.mark.parametrize(
        ("weights", "critical"),
        [
            # The chi-squared statistic that chance exceeds once in a thousand,
            # for one degree of freedom less than there are members.
            ([1, 1], 10.828),
            ([1, 1, 1], 13.816),
            ([5, 1, 1], 13.816),
            ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 27.877),
            ([100, 1, 100], 13.816),
        ],
    )
    def test_shares(self, weights: list[int], critical: float) -> None:
        """In the long run each member gets what its weight says."""
        members = membersOf(weights)
        drawn = Counter(names(RandomChoice(Random(2)), viewOf(members), 20_000))
        statistic = 0.0
        for member in members:
            expected = 20_000 * member.weight / sum(weights)
            statistic += (drawn[member.name] - expected) ** 2 / expected
        assert statistic < critical

    def test_chanceIsAnArgument(self) -> None:
        """The same seed makes the same choices."""
        view = viewOf(membersOf([1, 2, 3]))
        first = names(RandomChoice(Random(3)), view, 100)
        assert names(RandomChoice(Random(3)), view, 100) == first

    def test_comingsAndGoings(self) -> None:
        """Whoever leaves is not drawn any more, and whoever comes back is."""
        members = membersOf([1, 1, 1])
        view = viewOf(members)
        picker = RandomChoice(Random(4))
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
        """However many retries come between, first tries stay cheap."""
        members = membersOf([1, 2, 3])
        view = CountedView({member: at for at, member in enumerate(members)}, members)
        picker = RandomChoice(Random(6))
        for _ in range(10):
            picker.pick(view, aConnection())
            picker.pick(without(view, members[0]), aConnection(members[0]))
        assert view.walks == 1 + 10
