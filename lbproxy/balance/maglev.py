"""The picker by Maglev's table: a key is looked up, and members have even shares."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, Self

from attrs import frozen

from .hashing import HashTier, KeyFunction, Rendezvous

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence
    from fractions import Fraction

    from ..interfaces import ICandidates
    from ..words.backend import Member
    from ..words.connection import Connection

ENTRIES = 100
"""How many entries a member has at least, on average."""

PROBES = 16
"""
How many entries a key looks at before it uses the tree.  With half of the members
gone, one key in 65,536 comes that far.
"""

SLICE = 100
"""
How many entries a pick looks at for a table that is being rebuilt, about 10 us.  A
table of 65,537 entries is ready after 6,000 picks for 10 members; one of 1,048,583
for 10,000 members after 170,000 picks.
"""

SMALLEST = 65536
"""
Tables have more entries than this.  The first table of a tier is built at once if it is
of the smallest size: in less than 0.1 s, for up to 655 members.
"""

AT_ONCE = 2
"""
For how many tiers first tables are built before they are picked from.  An answer of the
DNS can have a thousand tiers, whose tables would take 256 MiB and 50 s.
"""


def tableSize(members: int) -> int:
    """
    The number of entries for so many members: the first prime above a power of two.

    It is at least 65,537, and at least L{ENTRIES} for each member.  It changes seldom,
    since then most keys move: at 656 members, and whenever these have doubled.
    """
    power = SMALLEST
    while power < ENTRIES * members:
        power *= 2
    size = power + 1
    while any(size % divisor == 0 for divisor in range(3, int(size**0.5) + 1, 2)):
        size += 2
    return size


@frozen
class Table:
    """
    Which member each entry belongs to.

    @ivar names: The hashed names of the members, in order.
    @ivar entries: For each entry the index of a name; -1 while it is free, which ends
        when the table is L{filled<fill>}.
    """

    names: list[bytes]
    entries: array[int]

    @classmethod
    def of(cls, weights: Mapping[bytes, int]) -> Self:
        """
        A table of some members whose entries are all free.

        @param weights: The weight of each member, by hashed name.
        """
        names = sorted(weights)
        return cls(names, array("i", [-1]) * tableSize(len(names)))


def fill(table: Table, weights: Mapping[bytes, int], slice: int) -> Iterator[None]:
    """
    Fill a table whose entries are all free.

    This is section 3.4 of Eisenbud et al., 2016: "Maglev: A fast and reliable software
    network load balancer".  The members take turns to claim the first free entry in
    their own order of all entries, which their hashed names give.  A member of weight
    C{w} has its turns C{1 / w} apart, the first one half of that from the start, so
    that shares are rounded to the nearest entry.  What an entry has once it keeps.

    @param weights: The weight of each member, by hashed name.  The table depends on
        this alone, not on its order.
    @param slice: How many entries may be looked at before L{None} is yielded.
    @return: Yields L{None} after each slice, and ends when the table is filled.
    """
    # This is done before the first slice.
    turns = _turns(_groups([weights[name] for name in table.names]))
    return _claims(table.names, table.entries, turns, slice)


def _claims(
    names: list[bytes], entries: array[int], turns: Iterator[int], slice: int
) -> Iterator[None]:
    left = size = len(entries)
    places: list[int] = []
    skips: list[int] = []
    budget = slice
    for name in names:
        place, skip = _order(name, size)
        places.append(place)
        skips.append(skip)
        budget -= 15  # it costs as much as looking at so many entries
        if budget <= 0:
            yield None
            budget = slice
    for turn in turns:
        at, skip = places[turn], skips[turn]
        while entries[at] >= 0:
            at += skip
            if at >= size:
                at -= size
            budget -= 1
            if budget <= 0:
                yield None
                budget = slice
        entries[at] = turn
        places[turn] = at
        left -= 1
        if not left:
            return
        budget -= 3  # so does a turn


def _order(name: bytes, size: int) -> tuple[int, int]:
    """Where a member's order of the entries begins, and how far apart they are."""
    hashed = blake2b(name, digest_size=16, person=b"maglev").digest()
    place = int.from_bytes(hashed[:8], "little") % size
    return place, int.from_bytes(hashed[8:], "little") % (size - 1) + 1


def _groups(weights: list[int]) -> dict[int, list[int]]:
    """Group members, which are numbered, by their weights."""
    groups: dict[int, list[int]] = {}
    for member, weight in enumerate(weights):
        groups.setdefault(weight, []).append(member)
    return groups


def _turns(groups: dict[int, list[int]]) -> Iterator[int]:
    """Yield whose turn it is, for ever: members of one weight have theirs together."""
    # Strides are whole, so that they are the same everywhere; 48 bits are enough for
    # an error of less than an entry.
    due = [((1 << 48) // weight // 2, weight) for weight in groups]
    heapify(due)
    while True:
        at, weight = due[0]
        yield from groups[weight]
        heapreplace(due, (at + (1 << 48) // weight, weight))


class TierTable(HashTier):
    """
    A tier with its table, and the next one while it is built.

    @ivar table: The table that is used; L{None} before the first one is begun.  Some of
        its entries may be free still, if it is the first one.
    @ivar members: The member of each of its names; L{None} if it is not configured
        any more.
    """

    def __init__(self, number: int, factor: Fraction, atOnce: bool) -> None:
        """
        @param atOnce: Whether a first table of the smallest size is built at once.  If
            not, it is begun when the tier is picked from.
        """
        super().__init__(number, factor)
        self._atOnce = atOnce
        self._next: Table | None = None
        self._filling: Iterator[None] | None = None
        self._outdated = False
        self.table: Table | None = None
        self.members: list[Member | None] = []

    def placed(self) -> None:
        """Begin to build another table, or the first one if that is built at once."""
        if self._filling is not None:
            self._outdated = True
        elif self.table is not None:
            self._begin()
        elif self._atOnce:
            self._first()
        self._match()

    def work(self) -> bool:
        """Go on for a slice, if a table is being built, and return whether one was."""
        if self._filling is None:
            return False
        for _ in self._filling:
            return True
        wasUsed = self.table is self._next
        self.table = self._next
        self._next = self._filling = None
        if self._outdated:
            self._begin()
        self._outdated = False
        if not wasUsed:
            self._match()
        return True

    def _begin(self) -> Table:
        weights = {leaf.hashed: leaf.weight for leaf in self.tree.leaves.values()}
        table = self._next = Table.of(weights)
        self._filling = fill(table, weights, SLICE)
        return table

    def _first(self) -> Table:
        """Use a table from the beginning, and finish it if that takes little."""
        table = self.table = self._begin()
        self._match()
        if self._atOnce and len(self.tree.leaves) * ENTRIES <= SMALLEST:
            while self.work():
                pass
        return table

    def _match(self) -> None:
        """Find the members that the table names."""
        named = {leaf.hashed: each for each, leaf in self.tree.leaves.items()}
        names = () if self.table is None else self.table.names
        self.members = [named.get(name) for name in names]

    def choose(
        self, key: bytes, candidates: Container[Member], told: bool
    ) -> Member | None:
        """Choose by the table."""
        table = self.table
        if table is None:
            if not told:
                return super().choose(key, candidates, told)
            table = self._first()
        entries, members = table.entries, self.members
        size = len(entries)
        at = int.from_bytes(key[:8], "little") % size
        skip = int.from_bytes(key[8:], "little") % (size - 1) + 1
        for _ in range(PROBES):
            entry = entries[at]
            if entry < 0:
                return super().choose(key, candidates, told)
            member = members[entry]
            if member is not None and member in candidates:
                return member
            at = (at + skip) % size
        return self.tree.pickSecond(key, candidates, told)


class Maglev(Rendezvous):
    """
    Pick by a hash of the key and of the members' names: by Maglev's table, in which
    the members' shares differ from their weights by an entry at most.

    A key whose entry belongs to a member that may not be picked goes to further
    entries, in an order of its own, and after L{PROBES} to the tree of
    L{Rendezvous}.  So all other keys stay, and it returns with its member.

    When members or weights change, a table is built by L{SLICE} entries in each pick,
    while the old one is used: a member that is new has no keys until then.  Changes in
    the meantime are put together into the table after that.  A first table that is not
    built at once is used while it is built: a key whose entry is free still goes to the
    member that L{Rendezvous} gives it.  As entries keep what they have, a key moves
    once at most, and all others agree with a table that is ready.
    """

    def __init__(
        self,
        key: str | KeyFunction = "client-address",
        bounded_load: Fraction | float = 0,
    ) -> None:
        """
        @param key: See L{Rendezvous}.
        @param bounded_load: See L{Rendezvous}.
        """
        super().__init__(key, bounded_load)
        self._tiers: Sequence[TierTable] = ()

    def _newTier(self, number: int, others: int) -> TierTable:
        return TierTable(number, self._factor, atOnce=others < AT_ONCE)

    def pick(self, candidates: ICandidates, connection: Connection) -> Member | None:
        """Choose the member of the key's entry; go on with a table that is built."""
        any(tier.work() for tier in self._tiers)  # one slice in all
        return super().pick(candidates, connection)
