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
How much of a rotation's own time goes by while a member of weight 1 waits from
one turn to the next.  Every weight to 256 divides it, so their shares are exact
for ever.  Those above are rounded, and are one turn off after some 10**100:
the number has 369 bits, which cost a pick about 0.1 us more than 30 would.
"""


class Turn:
    """
    A member's place in a rotation.

    @ivar stride: How far apart its turns are.
    @ivar serial: What decides between two turns that are due together: who came
        first, goes first.
    @ivar gone: Whether the member has left the rotation.
    """

    __slots__ = ("gone", "member", "serial", "stride")  # one for each member

    def __init__(self, member: Member, serial: int) -> None:
        self.member = member
        self.serial = serial
        self.gone = False
        self.reweigh()

    def reweigh(self) -> None:
        """Take the weight that the member has now, from its next turn on."""
        self.stride = ROUND // self.member.weight


class Rotation:
    """
    Members taking turns, each as often as its weight says.

    This is stride scheduling (Waldspurger and Weihl, 1995): a member of weight
    C{w} is due every C{ROUND / w}, and whoever is due first is next.  Two things
    are added to it.  The first turns of the members of one weight are spread
    evenly over their stride, the j-th of m at C{(j + 0.5) / m} of it; so members
    of equal weight go in order, and ten light ones do not all come together.
    And whoever joins, joins at the present time of the rotation: nobody has
    turns to catch up on.

    @ivar turns: The turn of each member that takes part.
    """

    def __init__(self) -> None:
        self._serials = count()
        self.turns: dict[Member, Turn] = {}
        # Their first turns are spread when all are known: at the next pick.
        self._joining: dict[Member, Turn] = {}
        # A turn that is gone stays here until it is due, within one stride:
        # to find it would cost O(n).
        self._due: list[tuple[int, int, Turn]] = []
        self._time = 0

    def __len__(self) -> int:
        """How many members take part."""
        return len(self.turns)

    def add(self, member: Member) -> None:
        """
        Let C{member} take part; if it does already, it keeps its place, and its
        weight is looked at again.
        """
        turn = self.turns.get(member)
        if turn is not None:
            turn.reweigh()
            return
        turn = Turn(member, next(self._serials))
        self.turns[member] = self._joining[member] = turn

    def remove(self, member: Member) -> None:
        """Let C{member} take part no longer, if it did."""
        turn = self.turns.pop(member, None)
        if turn is not None:
            turn.gone = True
            self._joining.pop(member, None)

    def next(self, candidates: ICandidates) -> Member | None:
        """
        Whose turn it is, in O(log n).  Members that are not among C{candidates}
        are passed over and keep their place: they are next when they are back.

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
        When the turn comes that follows one at C{at}, which is taken now.
        """
        self._time = max(self._time, at)
        following = at + stride
        # Passed over by a retry or two, a member is late by less than a stride
        # and its next turn is where it was.  Later than that it was away, and
        # what it missed is forgotten, or it would get all of it in one burst.
        return following if following >= self._time else self._time + stride

    def _join(self) -> None:
        """Give those who are new their first turns."""
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
    Everyone in turn, each as often as its weight says, and evenly spread.

    As long as nobody comes or goes the shares are exact: whatever the weights
    are, any C{sum(weights) / gcd(weights)} picks in a row hold each member
    C{weight / gcd(weights)} times, and no member is picked more often in a row
    than its weight divided by the largest other one, rounded up.

    A member that comes, or comes back, has its first turn about half a round
    later.  Another weight counts from the member's next turn on.
    """

    def __init__(self) -> None:
        self._told = Rotation()
        self._forget()

    def _forget(self) -> None:
        """Forget what was not told but seen."""
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
        """C{member} has another weight, which counts from its next turn on."""
        self._told.add(member)

    def pick(self, candidates: ICandidates, connection: Connection) -> Member | None:
        """Choose the one whose turn it is."""
        told = self._told
        # More candidates than were told of: some, or all, are strangers.
        if len(candidates) <= len(told.turns):
            member = told.next(candidates)
            if member is not None:
                return member
        return self._pickUntold(candidates)

    def _pickUntold(self, candidates: ICandidates) -> Member | None:
        """
        Choose among members that may be picked although nobody said so: the
        ejected ones, when they are all that is left, or any at all, for a picker
        without a pool.  They take turns among themselves.
        """
        if candidates is not self._view or candidates.version != self._version:
            for member in candidates:
                self._seen.add(member)
            self._view = candidates
            self._version = candidates.version
        return self._seen.next(candidates)


@implementer(IBackendPicker)
class RandomChoice:
    """Anyone, each as likely as its weight says."""

    def __init__(self, rng: Random) -> None:
        """
        @param rng: Where chance comes from; it may be shared.
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
            # A retry's candidates are made for it alone; to keep their weights
            # would only push out those of everybody else.
            if not connection.tried:
                self._view = candidates
                self._version = candidates.version
                self._cumulative = cumulative
        drawn = self._rng.randrange(cumulative[-1])
        return candidates[bisect_right(cumulative, drawn)]
