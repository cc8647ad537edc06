"""The built-in pickers: policies that choose among the members of one pool."""

from __future__ import annotations

from bisect import bisect_right
from heapq import heappop, heappush, heapreplace
from itertools import accumulate, count
from math import lcm
from typing import TYPE_CHECKING

from zope.interface import implementer

from ..interfaces import IBackendPicker, ICandidates, IMembershipObserver

if TYPE_CHECKING:
    from random import Random

    from ..words.backend import Member
    from ..words.connection import Connection

ROUND = lcm(*range(1, 257))
"""
The stride of a member of weight 1: how far apart its turns are, in units of a
rotation's own time.  Every weight up to 256 divides it, so the shares of these
weights are exact for ever.  The strides of larger weights are rounded, and are
one turn off after some 10**100.  The number has 369 bits, which cost a pick about
0.1 us more than 30 bits would.
"""


class Turn:
    """
    A member's place in a rotation.

    @ivar stride: How far apart its turns are, in units of the rotation's own
        time.
    @ivar serial: Orders turns that are due together: the member that was added
        first goes first.
    @ivar gone: Whether the member has left the rotation.
    """

    __slots__ = ("gone", "member", "serial", "stride")  # one for each member

    def __init__(self, member: Member, serial: int) -> None:
        self.member = member
        self.serial = serial
        self.gone = False
        self.reweigh()

    def reweigh(self) -> None:
        """Use the weight that the member has now, from its next turn on."""
        self.stride = ROUND // self.member.weight


class Rotation:
    """
    Let members take turns, each as often as its weight says.

    This is stride scheduling (Waldspurger and Weihl, 1995): a member of weight
    C{w} is due every C{ROUND / w}, and the member that is due first is next.  Two
    rules are added to it.  The first turns of the members of one weight are
    spread evenly over their stride, the j-th of m at C{(j + 0.5) / m} of it; so
    members of equal weight go in order, and ten light ones are not all due
    together.  And a new member joins at the present time of the rotation: it has
    no turns to catch up on.

    @ivar turns: The turn of each member that takes part.
    """

    def __init__(self) -> None:
        self._serials = count()
        self.turns: dict[Member, Turn] = {}
        # New members.  Their first turns are spread when all are known: at the
        # next pick.
        self._joining: dict[Member, Turn] = {}
        # The turn of a removed member stays here until it is due, within one
        # stride: to find it would cost O(n).
        self._due: list[tuple[int, int, Turn]] = []
        self._time = 0

    def __len__(self) -> int:
        """How many members take part."""
        return len(self.turns)

    def add(self, member: Member) -> None:
        """
        Add C{member}.  If it takes part already, it keeps its place, and its
        weight is read again.
        """
        turn = self.turns.get(member)
        if turn is not None:
            turn.reweigh()
            return
        turn = Turn(member, next(self._serials))
        self.turns[member] = self._joining[member] = turn

    def remove(self, member: Member) -> None:
        """Remove C{member}, if it takes part."""
        turn = self.turns.pop(member, None)
        if turn is not None:
            turn.gone = True
            self._joining.pop(member, None)

    def next(self, candidates: ICandidates) -> Member | None:
        """
        Choose the member whose turn it is, in O(log n).  Members that are not
        among C{candidates} are passed over and keep their place: they are next
        when they are candidates again.

        @return: L{None} if none of C{candidates} takes part.
        """
        if self._joining:
            self._join()
        due = self._due
        passedOver: list[tuple[int, int, Turn]] = []
        chosen: Member | None = None
        while due:
            at, serial, turn = due[0]
            if turn.gone:
                heappop(due)
            elif turn.member not in candidates:
                passedOver.append(heappop(due))
            else:
                chosen = turn.member
                heapreplace(due, (self._after(at, turn.stride), serial, turn))
                break
        for entry in passedOver:
            heappush(due, entry)
        return chosen

    def _after(self, at: int, stride: int) -> int:
        """
        Take a turn that was due at C{at}, and return when the member's next one
        is due.
        """
        self._time = max(self._time, at)
        following = at + stride
        # A member that one or two retries passed over is late by less than a
        # stride, and its next turn stays where it was.  A member that is later
        # than that was away.  The turns that it missed are dropped, or it would
        # get all of them in one burst.
        return following if following >= self._time else self._time + stride

    def _join(self) -> None:
        """Set the first turns of the new members."""
        groups: dict[int, list[Turn]] = {}
        for turn in self._joining.values():
            groups.setdefault(turn.stride, []).append(turn)
        self._joining.clear()
        for stride, turns in groups.items():
            for j, turn in enumerate(turns):
                first = self._time + stride * (2 * j + 1) // (2 * len(turns))
                heappush(self._due, (first, turn.serial, turn))


@implementer(IBackendPicker, IMembershipObserver)
class RoundRobin:
    """
    Pick the members in turn, each as often as its weight says, and evenly spread.

    As long as no member is added or removed, the shares are exact: whatever the
    weights are, any C{sum(weights) / gcd(weights)} picks in a row hold each
    member C{weight / gcd(weights)} times, and no member is picked more often in a
    row than its weight divided by the largest other one, rounded up.

    A member that is added, or comes back, has its first turn about half a round
    later.  A new weight counts from the member's next turn on.
    """

    def __init__(self) -> None:
        self._told = Rotation()
        self._forget()

    def _forget(self) -> None:
        """Forget the members that were only seen among candidates, and never added."""
        self._seen = Rotation()
        self._view: ICandidates | None = None
        self._version = 0

    def added(self, member: Member) -> None:
        """C{member} takes part from now on."""
        self._told.add(member)
        self._forget()

    def removed(self, member: Member) -> None:
        """C{member} takes part no longer."""
        self._told.remove(member)
        self._forget()

    def changed(self, member: Member) -> None:
        """C{member} has a new weight, which counts from its next turn on."""
        self._told.add(member)

    def pick(self, candidates: ICandidates, connection: Connection) -> Member | None:
        """Choose the member whose turn it is."""
        told = self._told
        # With more candidates than added members, some candidates were not added.
        if len(candidates) <= len(told.turns):
            member = told.next(candidates)
            if member is not None:
                return member
        return self._pickUntold(candidates)

    def _pickUntold(self, candidates: ICandidates) -> Member | None:
        """
        Choose among candidates that were not added.  These are the ejected
        members, when no others are left, or all members, for a picker without a
        pool.  They take turns among themselves.
        """
        if candidates is not self._view or candidates.version != self._version:
            for member in candidates:
                self._seen.add(member)
            self._view = candidates
            self._version = candidates.version
        return self._seen.next(candidates)


@implementer(IBackendPicker)
class RandomChoice:
    """Pick a member at random, each as likely as its weight says."""

    def __init__(self, rng: Random) -> None:
        """
        @param rng: The source of random numbers; it may be shared.
        """
        self._rng = rng
        self._view: ICandidates | None = None
        self._version = 0
        self._cumulative: list[int] = []

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        """Draw one of C{candidates}, in O(log n) for a first try."""
        if candidates is self._view and candidates.version == self._version:
            cumulative = self._cumulative
        else:
            cumulative = list(accumulate(member.weight for member in candidates))
            # The candidates of a retry are made for it alone.  To keep their
            # weights would only drop those that all first tries use.
            if not connection.tried:
                self._view = candidates
                self._version = candidates.version
                self._cumulative = cumulative
        drawn = self._rng.randrange(cumulative[-1])
        return candidates[bisect_right(cumulative, drawn)]
