"""Maglev's table: how even it is, and how it is rebuilt while clients come."""

from __future__ import annotations

from collections import Counter

import pytest
from picking import Told, backends, moved, rebuild

from lbproxy.balance.maglev import ENTRIES, SLICE, Maglev, Table, tables, tableSize
from lbproxy.balance.nametree import nameHash


def whole(weights: dict[str, int]) -> tuple[Counter[str], int]:
    """How many entries each name has, and how many slices it took to build them."""
    hashed = {nameHash(name): name for name in weights}
    building = tables({each: weights[name] for each, name in hashed.items()}, SLICE)
    for slices, table in enumerate(building, 1):
        if isinstance(table, Table):
            counted = Counter(hashed[table.names[entry]] for entry in table.entries)
            return counted, slices
    raise AssertionError("there was no table")


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
