"""Pickers by load: where the fewest connections are for the weight."""

from __future__ import annotations

from itertools import count
from math import inf
from typing import TYPE_CHECKING

from zope.interface import implementer

from ..interfaces import (
    IBackendPicker,
    ICandidates,
    ICapacityObserver,
    ILoadObserver,
    IMembershipObserver,
)
from .places import Places

if TYPE_CHECKING:
    from random import Random

    from ..words.backend import Member
    from ..words.connection import Connection

_NOBODY = (inf, 0, -1)


def loadOf(member: Member) -> float:
    """The load that C{member} would have with one more connection, for its weight."""
    return (member.active + 1) / member.effectiveWeight


class LoadTree:
    """
    Keys at numbered places, of which the least is known, and any is changed in
    O(log n).

    It is a tournament: each node has the lesser key of the two below it.  Unlike a
    heap with entries that are out of date, it never has to be cleared of them, so no
    call takes longer than the others.
    """

    def __init__(self) -> None:
        self._size = 1
        self._keys: list[tuple[float, int, int]] = [_NOBODY, _NOBODY]

    def least(self) -> tuple[float, int, int]:
        """The least key: load, when it was picked last, place (-1 if there is none)."""
        return self._keys[1]

    def set(self, place: int, key: tuple[float, int, int]) -> None:
        """Change the key at a place."""
        if place >= self._size:
            self._grow(place)
        keys, node = self._keys, self._size + place
        keys[node] = key
        while node > 1:
            rival = keys[node ^ 1]
            node //= 2
            least = rival if rival < key else key
            if keys[node] is least:
                break  # and so are all that are above it
            keys[node] = key = least

    def clear(self, place: int) -> None:
        """Have no key at a place."""
        self.set(place, _NOBODY)

    def _grow(self, place: int) -> None:
        """Double the room, and compare again: O(1) for each place that was added."""
        before, size = self._size, self._size
        while size <= place:
            size *= 2
        keys = [_NOBODY] * (2 * size)
        keys[size : size + before] = self._keys[before : 2 * before]
        for node in range(size - 1, 0, -1):
            keys[node] = min(keys[2 * node], keys[2 * node + 1])
        self._size, self._keys = size, keys


@implementer(IBackendPicker, IMembershipObserver, ICapacityObserver, ILoadObserver)
class LeastConnections:
    """
    Pick the member with the least C{(active + 1) / effectiveWeight}: after the pick,
    no member has less for its weight.  Of equal ones, it is the one that was picked
    longest ago.
    """

    def __init__(self) -> None:
        self._stamps = count()
        self._places = Places()
        self._tree = LoadTree()
        # When the member at each place was picked last, or was added.
        self._picked: list[int] = []
        # When members were picked last that were not added.
        self._seen: dict[Member, int] = {}

    def added(self, member: Member) -> None:
        """C{member} may be picked from now on."""
        if member in self._places.numbers:
            return
        place = self._places.add(member)
        stamp = next(self._stamps)
        if place < len(self._picked):
            self._picked[place] = stamp
        else:
            self._picked.append(stamp)
        self._tree.set(place, (loadOf(member), stamp, place))

    def removed(self, member: Member) -> None:
        """C{member} is picked no longer."""
        place = self._places.remove(member)
        if place is not None:
            self._tree.clear(place)

    def changed(self, member: Member) -> None:
        """C{member} has a new weight."""
        self.loadChanged(member)

    def filled(self, member: Member) -> None:
        """C{member} is not picked until it is freed."""
        place = self._places.numbers.get(member)
        if place is not None:
            self._places.full.add(member)
            self._tree.clear(place)

    def freed(self, member: Member) -> None:
        """C{member} may be picked again."""
        self._places.full.discard(member)
        self.loadChanged(member)

    def loadChanged(self, member: Member) -> None:
        """C{member} has one connection more or less."""
        place = self._places.numbers.get(member)
        if place is not None and member not in self._places.full:
            self._tree.set(place, (loadOf(member), self._picked[place], place))

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        """Choose the least loaded member, in O(log n) for each one that was tried."""
        # With more candidates than members to choose, some candidates were not added.
        if len(candidates) <= self._places.available():
            member = self._least(candidates)
            if member is not None:
                return member
        return self._leastUntold(candidates)

    def _least(self, candidates: ICandidates) -> Member | None:
        """
        Choose the least loaded member that is a candidate; L{None} if there is none.
        """
        tree, members = self._tree, self._places.members
        passedOver: list[tuple[float, int, int]] = []
        chosen: Member | None = None
        while chosen is None:
            key = tree.least()
            place = key[2]
            if place < 0:
                break
            member = members[place]
            if member is not None and member in candidates:
                chosen = member
                self._picked[place] = stamp = next(self._stamps)
                # The load is read again: a picker that follows no load has it right
                # for the members that it picks.
                tree.set(place, (loadOf(member), stamp, place))
            else:
                passedOver.append(key)
                tree.clear(place)
        for key in passedOver:
            tree.set(key[2], key)
        return chosen

    def _leastUntold(self, candidates: ICandidates) -> Member:
        """
        Choose among candidates that were not added, as a picker without a pool has
        them, in O(n).
        """
        seen = self._seen
        chosen = min(candidates, key=lambda each: (loadOf(each), seen.get(each, -1)))
        seen[chosen] = next(self._stamps)
        if len(seen) > 2 * len(candidates) + 16:
            self._seen = {each: at for each, at in seen.items() if each in candidates}
        return chosen


@implementer(IBackendPicker)
class PowerOfTwo:
    """
    Pick the less loaded of two candidates that are drawn at random, each as likely as
    the other: the one with the less C{(active + 1) / effectiveWeight} (Mitzenmacher,
    1996: "The power of two choices in randomized load balancing").
    """

    def __init__(self, rng: Random) -> None:
        """
        @param rng: The source of random numbers; it may be shared.
        """
        self._rng = rng

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        """Draw two of C{candidates}, and choose the less loaded one, in O(1)."""
        number, random = len(candidates), self._rng.random
        one = int(random() * number)
        first = candidates[one]
        if number == 1:
            return first
        other = int(random() * (number - 1))
        second = candidates[other + (other >= one)]
        return second if loadOf(second) < loadOf(first) else first
