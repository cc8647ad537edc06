"""Pickers by order: each member in its turn, or the first one that has room."""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from math import lcm
from typing import TYPE_CHECKING

from zope.interface import implementer

from ..interfaces import (
    IBackendPicker,
    ICandidates,
    ICapacityObserver,
    IMembershipObserver,
)

if TYPE_CHECKING:
    from ..words.backend import Member
    from ..words.connection import Connection

ROUND = lcm(*range(1, 257))
"""
The stride of a member of weight 1: how far apart its turns are, in units of a
rotation's own time.  Every weight up to 256 divides it, so the shares of these
weights are exact for ever.  The strides of larger weights, and of those that slow
start makes smaller, are rounded, which shows after some 10**15 turns.  The number has
369 bits, which cost a pick about 0.1 us more than 30 bits would.
"""


class Turn:
    """
    A member's place in a rotation.

    @ivar stride: How far apart its turns are, in units of the rotation's own
        time.
    @ivar serial: Orders turns that are due together: the member that was added
        first goes first.
    @ivar at: When it is due next, once it has joined.
    @ivar full: Whether the member is full.
    @ivar parked: Whether it was taken out of the heap until the member has room.
    @ivar gone: Whether the member has left the rotation, or has another turn now.
    """

    # one for each member
    __slots__ = ("at", "full", "gone", "member", "parked", "serial", "stride")

    def __init__(self, member: Member, serial: int, at: int = 0) -> None:
        self.member = member
        self.serial = serial
        self.at = at
        self.full = self.parked = self.gone = False
        self.reweigh()

    def reweigh(self) -> None:
        """Use the effective weight that the member has now."""
        weight = self.member.effectiveWeight
        whole = int(weight)
        # Whole weights have exact shares: no float takes part in them.
        self.stride = ROUND // whole if whole == weight else int(ROUND / weight)

    def __lt__(self, other: Turn) -> bool:
        # Turns are compared if one of the two that have a member's serial is gone.
        # Either may come first.
        return False


class Rotation:
    """
    Let members take turns, each as often as its effective weight says.

    This is stride scheduling (Waldspurger and Weihl, 1995): a member of weight
    C{w} is due every C{ROUND / w}, and the member that is due first is next.
    Three rules are added to it.  The first turns of the members of one weight are
    spread evenly over their stride, the j-th of m at C{(j + 0.5) / m} of it; so
    members of equal weight go in order, and ten light ones are not all due
    together.  A new member joins at the present time of the rotation: it has
    no turns to catch up on.  And when a weight changes, the time that is left until
    the member's turn changes in proportion.

    @ivar turns: The turn of each member that takes part.
    """

    def __init__(self) -> None:
        self._serials = count()
        self.turns: dict[Member, Turn] = {}
        # New members.  Their first turns are spread when all are known: at the
        # next pick.
        self._joining: dict[Member, Turn] = {}
        # A turn that is gone stays here until it is due, or until most of them are
        # gone: to find it would cost O(n).
        self._due: list[tuple[int, int, Turn]] = []
        self._gone = 0
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
        if turn is None:
            turn = Turn(member, next(self._serials))
            self.turns[member] = self._joining[member] = turn
        else:
            self._reweigh(turn)

    def remove(self, member: Member) -> None:
        """Remove C{member}, if it takes part."""
        turn = self.turns.pop(member, None)
        if turn is not None and self._joining.pop(member, None) is None:
            self._drop(turn)

    def fill(self, member: Member) -> None:
        """
        Pass over C{member} until it is freed.  It is taken out of the heap when it is
        met there, so that each time that it is full costs O(log n), however many
        picks it lasts.
        """
        turn = self.turns.get(member)
        if turn is not None:
            turn.full = True

    def free(self, member: Member) -> None:
        """Let C{member} take its turns again, from the place that it had."""
        turn = self.turns.get(member)
        if turn is not None:
            turn.full = False
            if turn.parked:
                turn.parked = False
                heappush(self._due, (turn.at, turn.serial, turn))

    def _reweigh(self, turn: Turn) -> None:
        """Use another weight from now on."""
        before = turn.stride
        turn.reweigh()
        if turn.stride == before or turn.member in self._joining:
            return
        left = max(0, turn.at - self._time) * turn.stride // before
        at = self._time + left if left else turn.at
        if turn.parked:
            turn.at = at
            return
        # The heap cannot move the entry that it has.
        moved = Turn(turn.member, turn.serial, at)
        moved.full = turn.full
        self.turns[turn.member] = moved
        heappush(self._due, (at, moved.serial, moved))
        self._drop(turn)

    def _drop(self, turn: Turn) -> None:
        """Leave a turn in the heap that is not to be taken any more."""
        turn.gone = True
        if turn.parked:
            return
        self._gone += 1
        if self._gone > len(self._due) // 2:
            self._due = [entry for entry in self._due if not entry[2].gone]
            heapify(self._due)
            self._gone = 0

    def next(self, candidates: ICandidates) -> Member | None:
        """
        Choose the member whose turn it is, in O(log n) for each one that is passed
        over.  Members that are not among C{candidates} keep their place: they are
        next when they are candidates again.

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
                self._gone -= 1
            elif turn.member not in candidates:
                entry = heappop(due)
                if turn.full:
                    turn.parked = True
                else:
                    passedOver.append(entry)
            else:
                chosen = turn.member
                if at > self._time:
                    self._time = at
                following = at + turn.stride
                if following < self._time:
                    # A member that one or two retries passed over is late by less
                    # than a stride, and its next turn stays where it was.  One that
                    # is later than that was away.  The turns that it missed are
                    # dropped, or it would get all of them in one burst.
                    following = self._time + turn.stride
                turn.at = following
                heapreplace(due, (following, serial, turn))
                break
        for entry in passedOver:
            heappush(due, entry)
        return chosen

    def _join(self) -> None:
        """Set the first turns of the new members."""
        groups: dict[int, list[Turn]] = {}
        for turn in self._joining.values():
            groups.setdefault(turn.stride, []).append(turn)
        many = len(self._joining) > len(self._due) // 8
        self._joining.clear()
        for stride, turns in groups.items():
            for j, turn in enumerate(turns):
                turn.at = self._time + stride * (2 * j + 1) // (2 * len(turns))
                entry = (turn.at, turn.serial, turn)
                if many:
                    self._due.append(entry)
                else:
                    heappush(self._due, entry)
        if many:
            heapify(self._due)


@implementer(IBackendPicker, IMembershipObserver, ICapacityObserver)
class RoundRobin:
    """
    Pick the members in turn, each as often as its weight says, and evenly spread.

    As long as no member is added or removed, the shares are exact: whatever the
    weights are, any C{sum(weights) / gcd(weights)} picks in a row hold each
    member C{weight / gcd(weights)} times, and no member is picked more often in a
    row than its weight divided by the largest other one, rounded up.

    A member that is added, or comes back, has its first turn about half a round
    later.  A full member is passed over and keeps its place: it is next when it has
    room again.  When a weight changes, so does the time until the member's next turn,
    in proportion.
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
        """C{member} has a new weight, which counts from now on."""
        if member in self._told.turns:
            self._told.add(member)

    def filled(self, member: Member) -> None:
        """C{member} is passed over until it is freed."""
        self._told.fill(member)

    def freed(self, member: Member) -> None:
        """C{member} takes its turns again."""
        self._told.free(member)

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
        Choose among candidates some of which were not added, as a picker without a
        pool has them.  They take turns among themselves.
        """
        if candidates is not self._view or candidates.version != self._version:
            for member in candidates:
                self._seen.add(member)
            self._view = candidates
            self._version = candidates.version
        return self._seen.next(candidates)


@implementer(IBackendPicker)
class First:
    """
    Pick the first candidate in the order of configuration.  So each member is filled
    up to its C{max-connections} before the next one gets a connection.
    """

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        """Choose the first of C{candidates}."""
        return candidates[0]
