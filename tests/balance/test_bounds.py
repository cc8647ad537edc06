"""Bounded load: no member has much more than the mean, and few clients move."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from fractions import Fraction
from functools import cache
from math import ceil
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picking import Told, aConnection, backends, clientAt, moved, viewOf, without
from zope.interface.verify import verifyObject

from lbproxy.balance.hashing import Rendezvous
from lbproxy.balance.maglev import Maglev
from lbproxy.balance.pool import Pool
from lbproxy.interfaces import ILoadObserver
from lbproxy.plugins.choice import PickerChoice
from lbproxy.plugins.making import buildPicker
from lbproxy.words.backend import Backend, Member
from lbproxy.words.connection import Connection
from lbproxy.words.place import ConfigurationError

BOTH = pytest.mark.parametrize("kind", [Rendezvous, Maglev])
QUARTER = Fraction("1.25")


def weighted(weights: list[int]) -> list[Member]:
    return [
        Member(Backend("tcp:127.0.0.1:1", f"m{at}", weight))
        for at, weight in enumerate(weights)
    ]


def most(member: Member, members: list[Member], factor: Fraction) -> int:
    """How many connections a member may have when one more has come."""
    connections = sum(each.active for each in members) + 1
    weights = sum(each.weight for each in members)
    return ceil(factor * connections * member.weight / weights)


def skewed(clients: int) -> list[int]:
    """Connections of many clients, of whom a few have most of them."""
    rng = Random(5)
    return [int(rng.paretovariate(0.7)) % 5000 for _ in range(clients)]


def loads(pool: Told, connections: list[int]) -> list[int]:
    """Let connections come that stay, and return how many each member has."""
    for client in connections:
        pool.load(pool.pick(client=client), 1)
    return [each.active for each in pool.members]


@BOTH
class TestBoth:
    def test_interfaces(self, kind: Any) -> None:
        """It is told of loads where these are bounded, and only there."""
        assert verifyObject(ILoadObserver, kind(bounded_load=QUARTER))
        assert not ILoadObserver.providedBy(kind())

    @pytest.mark.parametrize("weights", [[1] * 10, [1, 2, 3, 4, 10], [1] * 150])
    def test_nobodyIsAboveTheBound(self, kind: Any, weights: list[int]) -> None:
        """Under skewed keys each member has 1.25 times the mean at most, rounded up."""
        pool = Told(kind(bounded_load=QUARTER), weighted(weights))
        for client in skewed(3000):
            picked = pool.pick(client=client)
            bound = most(picked, pool.members, QUARTER)
            pool.load(picked, 1)
            assert picked.active <= bound
        free = loads(Told(kind(), weighted(weights)), skewed(3000))
        total = sum(weights)
        ratios = [
            each * total / (3000 * weight)
            for each, weight in zip(free, weights, strict=True)
        ]
        assert max(ratios) > 1.4, "the keys are not skewed"

    def test_connectionsComeAndGo(self, kind: Any) -> None:
        """Nobody is picked above the bound at any time while others end theirs."""
        pool, rng, held = Told(kind(bounded_load=QUARTER), backends(20)), Random(3), []
        for client in skewed(6000):
            picked = pool.pick(client=client)
            bound = most(picked, pool.members, QUARTER)
            pool.load(picked, 1)
            held.append(picked)
            assert picked.active <= bound
            while rng.random() < len(held) / 800:
                pool.load(held.pop(rng.randrange(len(held))), -1)

    def test_idleIsAsWithout(self, kind: Any) -> None:
        """Where nobody is busy, each client goes where it would without a bound."""
        bounded = Told(kind(bounded_load=QUARTER), backends(20)).owners(1000)
        assert bounded == Told(kind(), backends(20)).owners(1000)

    def test_overflow(self, kind: Any) -> None:
        """What a busy member is passed over for goes where it goes if that is down."""
        members = backends(10)
        pool, free = Told(kind(bounded_load=10), members), Told(kind(), backends(10))
        client = free.owners(100).index("m3")
        for _ in range(50):
            pool.load(members[3], 1)
        free.remove(free.members[3])
        bounded = Told(kind(bounded_load=QUARTER), members)
        assert bounded.pick(client=client).name == free.pick(client=client).name
        assert pool.pick(client=client).name == "m3"

    @pytest.mark.parametrize("factor", [1.25, 2])
    def test_fewClientsMove(self, kind: Any, factor: float) -> None:
        """
        When a member leaves or joins, few clients more go elsewhere than without a
        bound: less than 3 times as many at 1.25, and hardly more at 2.
        """
        clients, number = 4000, 20

        def places(bound: float, members: list[Member]) -> list[str]:
            """Where a connection of each client is, all of them at once."""
            pool = Told(kind(bounded_load=Fraction(bound)), members)
            owners = []
            for client in range(clients):
                picked = pool.pick(client=client)
                pool.load(picked, 1)
                owners.append(picked.name)
            return owners

        counts = [
            len(moved(places(bound, backends(number)), places(bound, backends(more))))
            for bound in (0, factor)
            for more in (number - 1, number + 1)
        ]
        without, bounded = counts[:2], counts[2:]
        times = 3 if factor < 2 else 1.1
        for few, many in zip(without, bounded, strict=True):
            assert many <= times * few
            assert many < clients / 4

    def test_oneKey(self, kind: Any) -> None:
        """All of one client's connections: they fill up members, without a search."""
        pool = Told(kind(bounded_load=QUARTER), backends(600))
        looks = 0

        class View:
            version = 0

            def __len__(self) -> int:
                return len(pool.view)

            def __contains__(self, member: object) -> bool:
                nonlocal looks
                looks += 1
                return member in pool.view

        for _ in range(2000):
            before = looks
            picked = pool.picker.pick(View(), clientAt(1))
            assert looks - before <= 20
            pool.load(picked, 1)
        counts = Counter(each.active for each in pool.members)
        assert max(counts) == ceil(QUARTER * 2000 / 600)
        assert counts[0] > 0

    def test_aRetryOfThoseThatAreLeft(self, kind: Any) -> None:
        """A retry that has only busy members left goes to one of them."""
        members = backends(3)
        pool = Told(kind(bounded_load=QUARTER), members)
        for _ in range(9):
            pool.load(members[0], 1)
        assert pool.pick(*members[1:]) is members[0]

    def test_tiers(self, kind: Any) -> None:
        """The load of backups does not count with the others', and is bounded too."""
        members, spare = backends(4), backends(4, backup=True)
        pool = Told(kind(bounded_load=QUARTER), [*members, *spare])
        for each in members:
            pool.remove(each)
        loads(pool, [7] * 40)
        assert max(each.active for each in spare) == 13
        for each in spare:
            pool.remove(each)
        for each in members:
            pool.add(each)
        loads(pool, [7] * 40)
        assert max(each.active for each in members) == 13

    def test_inAPool(self, kind: Any) -> None:
        """A pool tells it of each lease, and each release."""
        names = [f"tcp:10.0.0.{at}:80" for at in range(5)]
        pool = Pool("web", map(Backend, names), kind(bounded_load=QUARTER))
        held = []
        for _ in range(100):
            lease = pool.lease(pool.picker.pick(pool.candidates(0), aConnection()))  # type: ignore[arg-type]
            assert lease is not None
            held.append(lease)
        assert sorted(each.active for each in pool.members)[-1] == 25
        for lease in held:
            lease.release()
        first = pool.picker.pick(pool.candidates(0), aConnection())
        assert first is held[0].member

    def test_untold(self, kind: Any) -> None:
        """Without a pool nobody tells it of loads, and they are not bounded."""
        view = viewOf(backends(5))
        free, bounded = kind(), kind(bounded_load=QUARTER)
        for client in range(50):
            picked = bounded.pick(view, clientAt(client))
            assert picked is free.pick(view, clientAt(client))
            picked.active += 1


EVENTS = [
    *("add", "remove", "fill", "free", "ramp"),
    *("lease", "lease", "lease", "release", "weight", "configure"),
]


@cache
def pools(kind: Any, factor: Fraction) -> tuple[list[Member], Told, Told]:
    """
    Members, and two pools of them, of which one has bounded loads.

    To build a table takes a hundred times as long as to copy it.
    """
    everybody = weighted([1, 2, 3, 1, 1, 5, 1])
    bounded, free = kind(bounded_load=factor), kind()
    return everybody, Told(bounded, everybody), Told(free, everybody)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 6)), max_size=40),
    st.sampled_from([Fraction("1.01"), QUARTER, Fraction(2)]),
    st.lists(st.integers(0, 6), max_size=2),
)
def test_asTheDefinitionSays(
    events: list[tuple[str, int]], factor: Fraction, tries: list[int]
) -> None:
    """
    Whatever has happened: who is picked is below the bound, unless all are above that
    were not tried; and it is whom the key finds without a bound, if that is below.
    """
    for kind in (Rendezvous, Maglev):
        everybody, pool, free = deepcopy(pools(kind, factor))
        for event, at in events:
            happen(pool, free, event, everybody, everybody[at])
            tried = [everybody[each] for each in tries]
            if len(without(pool.view, *tried)):
                check(pool, free, factor, tried, at)


def happen(
    pool: Told, free: Told, event: str, everybody: list[Member], member: Member
) -> None:
    """Let something happen to a member in two pools."""
    if event == "weight":
        member.heldWeight = 1 if member.heldWeight else 7
        for each in (pool, free):
            each.informed.configured(each.members)
    elif event == "configure":
        rest = [each for each in pool.members if each is not member]
        both = rest if len(rest) > 2 else everybody
        for each in (pool, free):
            each.reconfigure(both)
    elif member in pool.members:
        pool.happen(event, member)
        if event in ("fill", "free"):
            follow(free, pool, member)
        elif free.has(member) != pool.has(member):
            free.happen(event, member)


def follow(free: Told, pool: Told, member: Member) -> None:
    """Have a member full in one pool as it is in the other."""
    full = member in pool.full
    if full and member in free.view:
        free.fill(member)
    elif not full and member in free.full:
        free.free(member)


def check(
    pool: Told,
    free: Told,
    factor: Fraction,
    tried: list[Member],
    client: int,
) -> None:
    """Check one pick against the definition."""
    candidates = list(pool.view)
    left = list(without(pool.view, *tried))
    below = [each for each in left if each.active < most(each, candidates, factor)]
    picked = pool.pick(*tried, client=client)
    assert picked in (below or left)
    unbounded = free.pick(*tried, client=client)
    if unbounded in below or not below:
        assert picked is unbounded


@pytest.mark.parametrize("picker", ["maglev", "rendezvous"])
class TestOption:
    @pytest.mark.parametrize("written", [1.25, 2, 10, "1.25", "3", 1.0000001])
    def test_factors(self, picker: str, written: object) -> None:
        """A factor is any number above 1, up to 10."""
        made = buildPicker(PickerChoice(picker, {"bounded-load": written}))
        assert ILoadObserver.providedBy(made)

    @pytest.mark.parametrize("written", [0, 0.0, "0"])
    def test_off(self, picker: str, written: object) -> None:
        """0 is off, as it is without the option."""
        made = buildPicker(PickerChoice(picker, {"bounded-load": written}))
        assert not ILoadObserver.providedBy(made)

    @pytest.mark.parametrize(
        "written",
        [1, 1.0, 0.5, -1.25, 10.5, 11, True, "lots", "1.25x", float("nan"), [2]],
    )
    def test_noFactors(self, picker: str, written: object) -> None:
        """Anything else is refused in one line."""
        with pytest.raises(ConfigurationError) as raised:
            buildPicker(PickerChoice(picker, {"bounded-load": written}))
        assert (
            'option "bounded-load": expected 0 for off, or a number above 1, '
            in str(raised.value)
        )


def test_exact() -> None:
    """1.1 is eleven tenths: ten members that have 10 each of 100 get one more each."""
    members = backends(10)
    pool = Told(buildPicker(PickerChoice("maglev", {"bounded-load": 1.1})), members)
    for _ in range(99):
        pool.load(pool.pick(client=1), 1)
    assert max(each.active for each in members) == 11
    connection: Connection = clientAt(1)
    assert pool.picker.pick(pool.view, connection).active < 11
