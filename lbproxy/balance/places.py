"""Numbers the members that a picker was told of, for trees that are kept in lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..words.backend import Member


class Places:
    """
    Gives each member a number, its place, that it keeps until it is removed.

    The places of removed members are given again, so the numbers stay small.

    @ivar numbers: The place of each member.
    @ivar members: The member at each place; L{None} at one that is free.
    @ivar full: The members that are full.
    """

    def __init__(self) -> None:
        self.numbers: dict[Member, int] = {}
        self.members: list[Member | None] = []
        self.full: set[Member] = set()
        self._free: list[int] = []

    def add(self, member: Member) -> int:
        """Give C{member} a place, unless it has one, and return its place."""
        place = self.numbers.get(member)
        if place is None:
            if self._free:
                place = self._free.pop()
                self.members[place] = member
            else:
                place = len(self.members)
                self.members.append(member)
            self.numbers[member] = place
        return place

    def remove(self, member: Member) -> int | None:
        """Take its place from C{member}, and return it; L{None} if it had none."""
        place = self.numbers.pop(member, None)
        if place is not None:
            self.members[place] = None
            self._free.append(place)
            self.full.discard(member)
        return place

    def available(self) -> int:
        """How many members have a place and are not full."""
        return len(self.numbers) - len(self.full)
