"""Pools: which members may be picked now, and the leases of connections on members."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .candidates import NarrowedCandidates
from .lease import DialLease, Lease
from .membership import Membership

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from ..interfaces import ICandidates
    from ..words.backend import Backend, Member
    from .queue import Place


class Pool(Membership):
    """
    A named set of members with one picker; it says which members may be picked now.

    The candidates for a connection are the members of the current group that are not
    full and that it has not tried.  The current group is the first of these that is
    not empty: the members of each tier that are up, the lowest tier first; and, unless
    the pool refuses then, those of each tier that are down or ejected.  That all are
    full, or were tried, does not change the group.  But when a connection has tried all
    that are up, its candidates are those of the same tier that are not: a member that
    may be up is better than a refused connection.
    """

    def candidates(self, now: float, tried: Collection[Member] = ()) -> ICandidates:
        """
        Which members may be picked for a connection; call it again for each of
        its tries.

        For a first try no new object is made.  When a picker has taken some time,
        C{member in candidates} says whether its choice may still be picked.

        @param now: The time, in seconds of any one clock.
        @param tried: The members that this connection has dialled without success.
        @return: A view that is kept up to date; it may be empty.
        """
        if now >= self._nextDue:
            self._catchUp(now)
        current = self._current
        if not tried:
            return current.open
        view = NarrowedCandidates(current.open, tried)
        if view or not self._wereAllTried(tried):
            return view
        return NarrowedCandidates(self._tier.out.open, tried)

    def awaitsRoom(
        self, tried: Collection[Member] = (), only: Member | None = None
    ) -> bool:
        """
        Whether there are no candidates for a connection only because the members that
        it has not tried are full.

        @param only: The only member that it may be sent to.
        """
        if only is not None:
            return only not in tried and only.isFull and self._mayUse(only)
        group = self._tier.out if self._wereAllTried(tried) else self._current
        full = len(group.members) - len(group.open)
        return full > sum(m.isFull and m in group.members for m in set(tried))

    def admits(self, member: Member, now: float) -> bool:
        """
        Whether a member may be leased for a connection that has no other choice.

        It may be down or ejected, unless the pool refuses then.
        """
        if now >= self._nextDue:
            self._catchUp(now)
        return not member.isFull and self._mayUse(member)

    def has(self, backend: Backend) -> bool:
        """
        Whether C{backend} is in this pool: as a member, as one for each address of its
        host, or as one whose host is being looked up for the first time.
        """
        return backend in self._named or backend in self.arrivals.expected

    def memberOf(
        self, backend: Backend, tried: Collection[Member], now: float
    ) -> Member | None:
        """
        The member to use for a connection that may only be sent to C{backend}.

        Where the backend has several members, it is the one with the fewest
        connections.

        @return: One that L{admits}; else one that is full; else L{None}.
        """
        full = None
        found = None
        for member in self._named.get(backend, ()):
            if member in tried:
                continue
            if self.admits(member, now):
                if found is None or member.active < found.active:
                    found = member
            elif member.isFull:
                full = full or member
        return found or full

    def isExpecting(self, backend: Backend | None = None) -> bool:
        """
        Whether a connection for which there is no member should wait, since the first
        ones are being looked up.

        @param backend: The only one that it may be sent to.
        """
        expected = self.arrivals.expected
        if backend is None:
            return bool(expected) and not self.members
        return backend in expected and backend not in self._named

    def expect(self, expected: Collection[Backend | None], trouble: str) -> None:
        """Have connections wait for these members; see L{Arrivals}."""
        self.arrivals.expected, self.arrivals.trouble = expected, trouble
        self._roomMade()

    def lease(self, member: Member) -> Lease | None:
        """
        Claim a member for one connection.  The claim counts as an active
        connection from now on, before the dial, so that the connections of a
        burst do not all see the same member as idle.

        An ejected member can be claimed, since no other may be left.

        @return: L{None} if this pool has no such member, or it is full: choose again.
        """
        if member.isFull or member not in self._positions:
            return None
        member.active += 1
        if not self.follows:
            return Lease(self, member)
        most, dials = member.backend.maxConnections, self.options.maxDials
        lease = (DialLease if dials else Lease)(self, member)
        if self._picker.followsLoad:
            self._picker.loadChanged(member)
        if 0 < most <= member.active or 0 < dials <= member.dials:
            self._measure(member)
        return lease

    # The queue.

    def wait(
        self,
        tried: Collection[Member],
        only: Member | None,
        call: Callable[[], object],
    ) -> Place | None:
        """
        Let a connection wait for room, behind those that wait already.

        @param only: The only member that it may be sent to.
        @param call: Called when it is its turn.
        @return: L{None} if no more connections may wait.
        """
        place = self.queue.join(tried, only, call, self._roomMade)
        if place is not None:
            # It may wait behind others while there is room, or until an ejection ends.
            self.hasRoom()
        return place

    def callWaiting(self, now: float) -> None:
        """
        Let the connections pick that wait and for which there is room, from the head.

        No more are picking at a time than there is room for.  Those that wait for the
        first members look for them.
        """
        self.arrivals.tell()
        if now >= self._nextDue:
            self._catchUp(now)
        queue, blocked = self.queue, False
        for place in queue:
            if blocked and not queue.particular:
                break  # The others could be sent where this one could not.
            if place.called or (blocked and not place.isParticular):
                continue
            if place not in queue.places:
                continue  # It has left meanwhile.
            found: Iterable[Member] = ()
            if place.only is None:
                found = self.candidates(now, place.tried)
            elif self.admits(place.only, now):
                found = (place.only,)
            if self._hasRoomFor(queue.called + 1, found):
                place.call()
            else:
                blocked = blocked or not place.isParticular

    # What happened to a lease; a lease calls these.

    def connected(self, member: Member) -> Callable[[], None] | None:
        """
        A dial of C{member} has connected.

        Where empty answers count as failures, that says little: the dial has worked
        when the member sends a byte.  It must not have failed again in between, since
        what it can still do for old connections it may not do for new ones.

        @return: What to call when it sends its first byte; L{None} if nothing depends
            on that.
        """
        if not self.countsEmpty:
            self._health.succeeded(member)
            return None
        failures = member.failures

        def answered() -> None:
            if member.failures == failures:
                self._health.succeeded(member)

        return answered

    def failed(self, member: Member, now: float, reason: str = "") -> None:
        """A dial of C{member} failed."""
        if self._observer is not None:
            self._observer.dialFailed(self.name, member, reason)
        self._count(member, now, reason)

    def endedEmpty(self, member: Member, now: float) -> None:
        """C{member} ended a connection without a byte."""
        if self._observer is not None:
            self._observer.endedEmpty(self.name, member)
        if self.countsEmpty:
            self._count(member, now, "it ended without a byte")

    def released(self, member: Member) -> None:
        """C{member} has one connection less than before."""
        if self._picker.followsLoad:
            self._picker.loadChanged(member)
        # A member that was not full has no more room for anybody than before.
        if member.isFull or self.queue.places or member not in self._positions:
            self.dialEnded(member)

    def dialEnded(self, member: Member) -> None:
        """C{member} has one dial under way less than before, or none for this lease."""
        if member in self._positions:
            self._measure(member)
        elif not member.active:
            self._leaving.discard(member)
            self._follow()
        self._roomMade()

    # Internals.

    def _wereAllTried(self, tried: Collection[Member]) -> bool:
        """Whether a connection has tried all that are up, and may try others."""
        current = self._current
        if current is self._tier.out or self.options.whenAllDown == "refuse":
            return False
        return len(current.members) == sum(m in current.members for m in set(tried))

    def _mayUse(self, member: Member) -> bool:
        """Whether a connection that has no other choice may use a member."""
        group = self._groups.of(member)
        if group is None:
            return False
        return group.isUp or self.options.whenAllDown == "try-all"

    def _hasRoomFor(self, connections: int, members: Iterable[Member]) -> bool:
        """Whether some members have room for so many connections together."""
        found: float = 0
        most = self.options.maxDials or inf
        for member in members:
            room = (member.backend.maxConnections or inf) - member.active
            found += min(room, most - member.dials)
            if found >= connections:
                return True
        return False
