"""Sorts the members of a pool into groups, one of which is picked from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..words.backend import Standing
from .candidates import LiveCandidates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..words.backend import Member


class Group:
    """
    Members that may be picked together.

    @ivar members: All of them.
    @ivar open: Those that are not full, as candidates.
    """

    def __init__(self, positions: Mapping[Member, int]) -> None:
        """
        @param positions: Where in the configuration each member of the pool is.
        """
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
    The members of a pool that have the same rank: all that are backups, or all others.

    @ivar up: Those that may be picked.
    @ivar out: Those that are down or ejected.  They are a last resort.
    """

    def __init__(self, positions: Mapping[Member, int]) -> None:
        self.up = Group(positions)
        self.out = Group(positions)


class Groups:
    """
    All groups of a pool.  Members that were set aside by hand are in none.

    @ivar tiers: First the members that are no backups, then those that are.
    """

    def __init__(self, positions: Mapping[Member, int]) -> None:
        self.tiers = (Tier(positions), Tier(positions))
        self._nobody = Tier(positions)
        self._groups: dict[Member, Group] = {}

    def of(self, member: Member) -> Group | None:
        """The group that a member is in."""
        return self._groups.get(member)

    def place(self, member: Member) -> None:
        """Move a member to the group that its standing asks for."""
        standing = member.standing
        tier = self.tiers[member.backend.backup]
        group: Group | None = tier.up
        if standing is Standing.MAINTENANCE or standing is Standing.DRAIN:
            group = None
        elif standing is Standing.DOWN or standing is Standing.EJECTED:
            group = tier.out
        if group is not self._groups.get(member):
            self.drop(member)
            if group is not None:
                group.add(member)
                self._groups[member] = group

    def drop(self, member: Member) -> None:
        """Take a member out of its group, if it is in one."""
        group = self._groups.pop(member, None)
        if group is not None:
            group.remove(member)

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
