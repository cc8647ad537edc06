"""Maglev's table: how even it is, and how it is rebuilt while clients come."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve
from picking import Told, backends, moved, rebuild

from lbproxy.balance.hashing import Rendezvous
from lbproxy.balance.maglev import ENTRIES, SLICE, Maglev, Table, fill, tableSize
from lbproxy.balance.nametree import nameHash


def whole(weights: dict[str, int]) -> tuple[Counter[str], int]:
    """How many entries each name has, and how many slices it took to fill them."""
    hashed = {nameHash(name): name for name in weights}
    byHash = {each: weights[name] for each, name in hashed.items()}
    table = Table.of(byHash)
    slices = sum(1 for _ in fill(table, byHash, SLICE))
    counted = Counter(hashed[table.names[entry]] for entry in table.entries)
    assert sum(counted.values()) == tableSize(len(weights))
    return counted, slices


class TestTable:
    @pytest.mark.parametrize(
        ("members", "size"),
        [(1, 65537), (655, 65537), (656, 131101), (10_000, 1048583)],
    )
    def test_size(self, members: int, size: int) -> None:
        """It is a prime, at least 65,537, with a hundred entries a member or more."""
        assert tableSize(members) == size
        assert size >= ENTRIES * members
        assert all(size % divisor for divisor in range(2, int(size**0.5) + 1))

    @pytest.mark.parametrize("members", [1, 2, 3, 100])
    def test_even(self, members: int) -> None:
        """Equal members differ by one entry: within 1 % at a hundred members."""
        counted, _ = whole({f"m{each}": 1 for each in range(members)})
        shares = [counted[f"m{each}"] for each in range(members)]
        assert sum(shares) == tableSize(members)
        assert max(shares) - min(shares) <= 1
        assert max(shares) / (sum(shares) / members) < 1.01

    @pytest.mark.parametrize(
        "weights", [[1, 2, 3], [1, 100], [65535, 1], [7, 11, 13, 256] * 5]
    )
    def test_weights(self, weights: list[int]) -> None:
        """Shares are the weights', to an entry."""
        counted, _ = whole({f"m{at}": weight for at, weight in enumerate(weights)})
        for at, weight in enumerate(weights):
            due = tableSize(len(weights)) * weight / sum(weights)
            assert abs(counted[f"m{at}"] - due) <= 1

    def test_slices(self) -> None:
        """It is built in many small slices."""
        _, slices = whole({f"m{each}": 1 for each in range(100)})
        assert 65537 * 3 / SLICE < slices < 20 * 65537 / SLICE


class TestRebuild:
    def test_theOldTableServes(self) -> None:
        """
        While another table is built clients stay, and a member that is new has none;
        then it has its share, and hardly anybody else's clients move.
        """
        members = backends(11)
        pool = Told(Maglev(), members[:10])
        before = pool.owners(1000)
        pool.reconfigure(members)
        assert pool.owners(1000) == before
        rebuild(pool)
        after = pool.owners(1000)
        assert after == Told(Maglev(), members).owners(1000)
        assert 50 < after.count("m10") < 150
        assert len(moved(before, after)) < 200

    def test_aRemovedMemberHasNoClients(self) -> None:
        """While another table is built no client goes to a member that was removed."""
        members = backends(10)
        pool = Told(Maglev(), members)
        before = pool.owners(1000)
        pool.reconfigure(members[1:])
        during = pool.owners(1000)
        assert {before[each] for each in moved(before, during)} == {"m0"}

    def test_changesAreCoalesced(self) -> None:
        """All changes while a table is built make one further table."""
        members = backends(20)
        pool = Told(Maglev(), members[:10])
        before = pool.owners(40)
        for number in range(11, 21):
            pool.reconfigure(members[:number])
        last = Told(Maglev(), members).owners(40)
        seen = [before]
        for _ in range(3 * 20 * 65537 // SLICE // 40):
            now = pool.owners(40)
            # A table that comes while these clients do is seen by the next ones.
            if now != seen[-1] and now == pool.owners(40):
                seen.append(now)
        assert seen == [before, Told(Maglev(), members[:11]).owners(40), last]

    def test_membersReplaced(self) -> None:
        """Other objects of the same names have the clients at once, without a table."""
        pool = Told(Maglev(), backends(10))
        before = pool.owners(500)
        pool.reconfigure(backends(10))
        assert pool.owners(500) == before

    def test_emptied(self) -> None:
        """When all have left and others come, their table is built at once."""
        pool = Told(Maglev(), backends(3))
        pool.reconfigure([])
        others = backends(5, backup=False)[3:]
        pool.reconfigure(others)
        assert pool.owners(200) == Told(Maglev(), others).owners(200)

    def test_almostNobodyIsLeft(self) -> None:
        """With one candidate among hundreds, all clients go to it."""
        members = backends(300)
        pool = Told(Maglev(), members)
        for each in members[1:]:
            pool.remove(each)
        assert set(pool.owners(100)) == {"m0"}


MANY = 700
"""So many members have a table that is built in slices from the beginning."""


def built(pool: Told, clients: int) -> tuple[list[str], list[list[str]]]:
    """
    Where clients go when the first table is ready, and in each of some rounds before.
    """
    rounds = []
    for _ in range(20):
        rounds.append(pool.owners(clients))
        for _ in range(1000):
            pool.pick(client=clients)
    return pool.owners(clients), rounds


class TestFirst:
    """The first table of many members, which is used while it is built."""

    def test_aClientMovesOnce(self) -> None:
        """
        A client goes where the tree says, and then, once for all, where every balancer
        sends it that has its table ready.
        """
        members = backends(MANY)
        last, rounds = built(Told(Maglev(), members), 300)
        tree = Told(Rendezvous(), members).owners(300)
        agreeing = []
        for owners in rounds:
            settled = [
                owner == final for owner, final in zip(owners, last, strict=True)
            ]
            assert all(
                settled[client] or owners[client] == tree[client]
                for client in range(300)
            )
            agreeing.append(sum(settled))
        assert agreeing == sorted(agreeing)
        assert agreeing[0] < 60
        assert 60 < agreeing[5] < agreeing[-1]

    def test_agrees(self) -> None:
        """
        Balancers whose tables are ready agree, however many members there were in the
        beginning, in whichever order.
        """
        members = backends(MANY + 50)
        one = Told(Maglev(), members[:MANY])
        one.pick()
        one.reconfigure(members)
        other = Told(Maglev(), members[::-1])
        for pool in (one, other):
            rebuild(pool)
        rebuild(one)
        owners = one.owners(500)
        assert owners == other.owners(500)
        assert len(set(owners)) > 300

    def test_membersChange(self) -> None:
        """
        While it is built, members that are removed have no clients, and those that are
        new have their share of the clients that have no entry yet.
        """
        members = backends(MANY + 50)
        pool = Told(Maglev(), members[50:])
        for _ in range(1500):
            pool.pick()
        pool.reconfigure(members[:-50])
        owners = set(pool.owners(2000))
        assert not owners & {each.name for each in members[-50:]}
        assert len(owners & {each.name for each in members[:50]}) > 20

    def test_manyTiers(self) -> None:
        """
        A service with many priorities delays no start: from the third on, their tables
        are built in slices, and clients go where the tree says meanwhile.
        """
        tiers = [backends(20, tier=number) for number in range(3)]
        pool = Told(Maglev(), [each for tier in tiers for each in tier])
        for each in (*tiers[0], *tiers[1]):
            pool.remove(each)
        first = pool.owners(300)
        tree = Told(Rendezvous(), tiers[2]).owners(300)
        table = Told(Maglev(), tiers[2]).owners(300)
        assert len(moved(first, tree)) < 30 < 250 < len(moved(first, table))
        rebuild(pool)
        assert pool.owners(300) == table

    def test_weights(self) -> None:
        """When it is ready the shares are those of the weights."""
        members = [*backends(MANY - 1), *backends(1, weight=MANY)]
        members[-1].backend = evolve(members[-1].backend, name="heavy")
        pool = Told(Maglev(), members)
        rebuild(pool)
        assert 0.45 < pool.owners(4000).count("heavy") / 4000 < 0.55

    def test_noCandidateHasAnEntry(self) -> None:
        """One member that is left has all clients, whether it has entries or not."""
        members = backends(MANY)
        pool = Told(Maglev(), members)
        for each in members[1:]:
            pool.remove(each)
        for _ in range(3):
            assert set(pool.owners(500)) == {"m0"}
