"""The picker by chance: each member as likely as its weight says."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from zope.interface import implementer

from ..interfaces import (
    IBackendPicker,
    ICandidates,
    ICapacityObserver,
    IMembershipObserver,
)
from .places import Places

if TYPE_CHECKING:
    from random import Random

    from ..words.backend import Member
    from ..words.connection import Connection

UNIT = 4096
"""
How many units a weight of 1 has in a L{WeightTree}.  Whole units are added and taken
away exactly, which floats are not; what slow start leaves of a weight is rounded to
a unit.
"""


class WeightTree:
    """
    Weights at numbered places, any of which is changed or drawn in O(log n).

    This is a binary indexed tree (Fenwick, 1994: "A new data structure for cumulative
    frequency tables").

    @ivar total: The sum of all weights.
    """

    def __init__(self) -> None:
        self.total = 0
        self._weights: list[int] = []
        self._size = 1  # a power of two, above the number of places
        self._sums = [0, 0]

    def set(self, place: int, weight: int) -> None:
        """Change the weight at a place; a place that is new had 0."""
        weights = self._weights
        while place >= len(weights):
            weights.append(0)
        if len(weights) >= self._size:
            self._grow()
        change = weight - weights[place]
        weights[place] = weight
        self.total += change
        sums, at = self._sums, place + 1
        while at <= self._size:
            sums[at] += change
            at += at & -at

    def _grow(self) -> None:
        """Double the room, and sum up again: O(1) for each place that was added."""
        size = self._size
        while size <= len(self._weights):
            size *= 2
        sums = [0, *self._weights, *[0] * (size - len(self._weights))]
        for at in range(1, size):
            above = at + (at & -at)
            sums[above] += sums[at]
        self._size, self._sums = size, sums

    def weight(self, place: int) -> int:
        """The weight at a place."""
        return self._weights[place]

    def find(self, drawn: int) -> int:
        """
        Find the place that a number falls on, if each place is as long as its weight.

        @param drawn: From 0 to C{total - 1}.
        """
        sums, place, step = self._sums, 0, self._size // 2
        while step:
            below = sums[place + step]
            if below <= drawn:
                drawn -= below
                place += step
            step //= 2
        return place


@implementer(IBackendPicker, IMembershipObserver, ICapacityObserver)
class RandomChoice:
    """Pick a member at random, each as likely as its effective weight says."""

    def __init__(self, rng: Random) -> None:
        """
        @param rng: The source of random numbers; it may be shared.
        """
        self._rng = rng
        self._places = Places()
        self._tree = WeightTree()
        self._view: ICandidates | None = None
        self._version = 0
        self._cumulative: list[float] = []

    def added(self, member: Member) -> None:
        """C{member} may be drawn from now on."""
        self._weigh(member, self._places.add(member))

    def removed(self, member: Member) -> None:
        """C{member} is drawn no longer."""
        place = self._places.remove(member)
        if place is not None:
            self._tree.set(place, 0)

    def changed(self, member: Member) -> None:
        """C{member} has a new weight."""
        place = self._places.numbers.get(member)
        if place is not None:
            self._weigh(member, place)

    def filled(self, member: Member) -> None:
        """C{member} is not drawn until it is freed."""
        if member in self._places.numbers:
            self._places.full.add(member)
            self.changed(member)

    def freed(self, member: Member) -> None:
        """C{member} may be drawn again."""
        self._places.full.discard(member)
        self.changed(member)

    def _weigh(self, member: Member, place: int) -> None:
        full = member in self._places.full
        weight = 0 if full else max(1, round(member.effectiveWeight * UNIT))
        self._tree.set(place, weight)

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        """Draw one of C{candidates}, in O(log n) for each one that was tried."""
        # With more candidates than members to draw, some candidates were not added.
        if len(candidates) <= self._places.available():
            member = self._draw(candidates)
            if member is not None:
                return member
        return self._drawUntold(candidates, connection)

    def _draw(self, candidates: ICandidates) -> Member | None:
        """
        Draw until a candidate is drawn; L{None} if no member is one.

        What is drawn and is no candidate is not drawn again.  This makes each
        candidate exactly as likely as its share of the candidates' weights, and needs
        one more draw for each tried member at most.
        """
        tree, members, random = self._tree, self._places.members, self._rng.random
        passedOver: list[tuple[int, int]] = []
        chosen: Member | None = None
        while chosen is None and tree.total:
            place = tree.find(int(random() * tree.total))
            member = members[place]
            if member is not None and member in candidates:
                chosen = member
            else:
                passedOver.append((place, tree.weight(place)))
                tree.set(place, 0)
        for place, weight in passedOver:
            tree.set(place, weight)
        return chosen

    def _drawUntold(self, candidates: ICandidates, connection: Connection) -> Member:
        """
        Draw one of candidates that were not added, as a picker without a pool has
        them.
        """
        if candidates is self._view and candidates.version == self._version:
            cumulative = self._cumulative
        else:
            cumulative = list(accumulate(each.effectiveWeight for each in candidates))
            # The candidates of a retry are made for it alone.  To keep their
            # weights would only drop those that all first tries use.
            if not connection.tried:
                self._view = candidates
                self._version = candidates.version
                self._cumulative = cumulative
        drawn = self._rng.random() * cumulative[-1]
        # A product can be rounded up to the sum itself.
        return candidates[min(bisect_right(cumulative, drawn), len(cumulative) - 1)]
