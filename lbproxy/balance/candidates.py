"""Views of the members that may be picked, kept up to date by their pool."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from zope.interface import implementer

from ..interfaces import ICandidates
from ..words.backend import Member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@implementer(ICandidates)
class LiveCandidates:
    """
    Some of a pool's members, in the order of configuration, kept up to date.

    To add or remove a member costs O(log n) steps and one move of the rest of a
    list, about 3 us for 10,000 members.  In exchange the order, and so each
    index, does not depend on which members were ejected in the meantime.
    """

    def __init__(
        self, positions: Mapping[Member, int], members: Iterable[Member]
    ) -> None:
        """
        @param positions: Where in the configuration each member of the pool is.
        @param members: The members in this view at the start, in that order.
        """
        self.version = 0
        self._positions = positions
        self._members = list(members)
        self._present = set(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, index: int) -> Member:
        # A negative index is refused, as it is by a narrowed view.
        if index < 0:
            raise IndexError(index)
        return self._members[index]

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members)

    def __contains__(self, member: object) -> bool:
        # A picker may have returned anything, even what cannot be hashed.
        return isinstance(member, Member) and member in self._present

    def index(self, member: Member) -> int:
        """
        The position of a member in this view, or the one that it would have.

        @param member: Any member of the pool.
        """
        positions = self._positions
        return bisect_left(self._members, positions[member], key=positions.__getitem__)

    def add(self, member: Member) -> None:
        """Add a member of the pool that is not in this view."""
        self._members.insert(self.index(member), member)
        self._present.add(member)
        self.version += 1

    def reweighed(self) -> None:
        """The weight of a member in this view has changed."""
        self.version += 1

    def reorder(self) -> None:
        """Sort the members again, after their positions have changed."""
        self._members.sort(key=self._positions.__getitem__)
        self.version += 1

    def remove(self, member: Member) -> None:
        """Remove a member from this view."""
        del self._members[self.index(member)]
        self._present.remove(member)
        self.version += 1


@implementer(ICandidates)
class NarrowedCandidates:
    """
    A live view without the few members that were tried.  It is kept up to date
    too.

    It is made for one retry, in O(t) for t tried members, and copies nothing.
    """

    __slots__ = ("_gaps", "_gapsVersion", "_live", "_tried")

    def __init__(self, live: LiveCandidates, tried: Iterable[Member]) -> None:
        self._live = live
        self._tried = frozenset(tried)
        self._findGaps()

    def _findGaps(self) -> None:
        """Find the positions in the live view of the members that are left out here."""
        live = self._live
        self._gaps = sorted(live.index(m) for m in self._tried if m in live)
        self._gapsVersion = live.version

    def _currentGaps(self) -> list[int]:
        """The gaps, ascending; found again if the live view has changed."""
        if self._gapsVersion != self._live.version:
            self._findGaps()
        return self._gaps

    @property
    def version(self) -> int:
        """The live view's version: the tried members do not change."""
        return self._live.version

    def __len__(self) -> int:
        return len(self._live) - len(self._currentGaps())

    def __getitem__(self, index: int) -> Member:
        for gap in self._currentGaps():
            if gap <= index:
                index += 1
        return self._live[index]

    def __iter__(self) -> Iterator[Member]:
        tried = self._tried
        return (member for member in self._live if member not in tried)

    def __contains__(self, member: object) -> bool:
        return member in self._live and member not in self._tried
