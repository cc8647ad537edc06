"""Sorts the members of a pool into groups, one of which is picked from."""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING

from ..words.backend import Standing
from .candidates import LiveCandidates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..words.backend import Member

_NUMBER = attrgetter("number")


class Group:
    """
    Members that may be picked together.

    @ivar tier: The number of their tier.
    @ivar isUp: Whether they are up; else they are a last resort.
    @ivar members: All of them.
    @ivar open: Those that are not full, as candidates.
    """

    def __init__(self, positions: Mapping[Member, int], tier: int, isUp: bool) -> None:
        """
        @param positions: Where in the configuration each member of the pool is.
        """
        self.tier = tier
        self.isUp = isUp
        self._positions = positions
        self.members: set[Member] = set()
        self.open = LiveCandidates(positions, ())

    def add(self, member: Member) -> None:
        """Add a member of the pool."""
        self.members.add(member)
        if not member.isFull:
            self.open.add(member)

    def remove(self, member: Member) -> None:
        """Remove a member."""
        self.members.remove(member)
        if member in self.open:
            self.open.remove(member)

    def measured(self, member: Member) -> None:
        """A member of the group has become full, or has room again."""
        if member.isFull:
            self.open.remove(member)
        else:
            self.open.add(member)

    def inOrder(self) -> list[Member]:
        """All members, in the order of configuration."""
        return sorted(self.members, key=self._positions.__getitem__)


class Tier:
    """
    The members of a pool that are of one tier.  They are picked from only while no
    member of a lower one is up.

    @ivar number: L{Backend.effectiveTier<lbproxy.Backend.effectiveTier>} of them all.
    @ivar up: Those that may be picked.
    @ivar out: Those that are down or ejected.  They are a last resort.
    """

    def __init__(self, positions: Mapping[Member, int], number: int) -> None:
        self.number = number
        self.up = Group(positions, number, isUp=True)
        self.out = Group(positions, number, isUp=False)


class Groups:
    """
    All groups of a pool.  Members that were set aside by hand are in none.

    @ivar tiers: The tiers that have members in their groups, in order of their numbers.
    """

    def __init__(self, positions: Mapping[Member, int]) -> None:
        self.tiers: list[Tier] = []
        self._positions = positions
        self._nobody = Tier(positions, 0)
        self._groups: dict[Member, Group] = {}

    def of(self, member: Member) -> Group | None:
        """The group that a member is in."""
        return self._groups.get(member)

    def place(self, member: Member) -> None:
        """Move a member to the group that its standing asks for."""
        standing = member.standing
        if standing is Standing.MAINTENANCE or standing is Standing.DRAIN:
            self.drop(member)
            return
        tier = self._made(member.backend.effectiveTier)
        isOut = standing is Standing.DOWN or standing is Standing.EJECTED
        group = tier.out if isOut else tier.up
        if group is not self._groups.get(member):
            # It is never in no group in between: its tier stays the same object.
            before = self._groups.get(member)
            group.add(member)
            self._groups[member] = group
            if before is not None:
                self._leave(before, member)

    def drop(self, member: Member) -> None:
        """Take a member out of its group, if it is in one."""
        group = self._groups.pop(member, None)
        if group is not None:
            self._leave(group, member)

    def isServed(self, number: int) -> bool:
        """Whether the tier of a number has members that are up."""
        at = bisect_left(self.tiers, number, key=_NUMBER)
        found = at < len(self.tiers) and self.tiers[at].number == number
        return found and bool(self.tiers[at].up.members)

    def reorder(self) -> None:
        """Sort all candidates again, after the positions have changed."""
        for tier in self.tiers:
            tier.up.open.reorder()
            tier.out.open.reorder()

    def tier(self, tryAll: bool) -> Tier:
        """
        The tier that is picked from: the first with a member that is up.

        @param tryAll: Whether, if no member of any tier is up, it is the first with a
            member that is out.
        """
        for tier in self.tiers:
            if tier.up.members:
                return tier
        if tryAll:
            for tier in self.tiers:
                if tier.out.members:
                    return tier
        return self._nobody

    def _made(self, number: int) -> Tier:
        """The tier of a number; its first member is about to come, if it is new."""
        at = bisect_left(self.tiers, number, key=_NUMBER)
        if at == len(self.tiers) or self.tiers[at].number != number:
            self.tiers.insert(at, Tier(self._positions, number))
        return self.tiers[at]

    def _leave(self, group: Group, member: Member) -> None:
        """Remove a member from a group, and the tier if it was the last in that."""
        group.remove(member)
        if not group.members:
            at = bisect_left(self.tiers, group.tier, key=_NUMBER)
            tier = self.tiers[at]
            if not (tier.up.members or tier.out.members):
                del self.tiers[at]
