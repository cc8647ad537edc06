"""Pools: who may be picked at this moment, and who holds a claim on whom."""

from __future__ import annotations

from bisect import bisect_left
from math import inf
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from zope.interface import implementer

from ..interfaces import (
    IBackendPicker,
    ICandidates,
    IMembershipObserver,
    IPoolObserver,
)
from ..words.backend import Backend, Member
from .health import DEFAULT_EJECTION, EjectionOptions, PassiveHealth, Verdict
from .pickers import RoundRobin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping


@implementer(ICandidates)
class LiveCandidates:
    """
    Some of a pool's members, in the order of configuration, kept up to date.

    A member comes or goes in O(log n) steps and one move of the rest of a list,
    about 3 us for 10,000; that buys an order, and so indexes, that do not
    depend on who was away in the meantime.
    """

    def __init__(
        self, positions: Mapping[Member, int], members: Iterable[Member]
    ) -> None:
        """
        @param positions: Where in the configuration each member of the pool is.
        @param members: Who is in this view from the start, in that order.
        """
        self.version = 0
        self._positions = positions
        self._members = list(members)
        self._present = set(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, index: int) -> Member:
        # Not counted from the end, for a narrowed view does not either.
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
        The position of a member that is in this view, or the one it would have.

        @param member: Any member of the pool.
        """
        positions = self._positions
        return bisect_left(self._members, positions[member], key=positions.__getitem__)

    def add(self, member: Member) -> None:
        """Let a member of the pool in that is not in this view."""
        self._members.insert(self.index(member), member)
        self._present.add(member)
        self.version += 1

    def remove(self, member: Member) -> None:
        """Take a member out of this view."""
        del self._members[self.index(member)]
        self._present.remove(member)
        self.version += 1


@implementer(ICandidates)
class NarrowedCandidates:
    """
    A live view without the few members that have been tried; it is as live.

    It is made for one retry, in O(t) for t tried members, and copies nothing.
    """

    __slots__ = ("_gaps", "_gapsVersion", "_live", "_tried")

    def __init__(self, live: LiveCandidates, tried: Iterable[Member]) -> None:
        self._live = live
        self._tried = frozenset(tried)
        self._findGaps()

    def _findGaps(self) -> None:
        """Find where in the live view those are that are missing here."""
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
        """The live view's: who was tried does not change."""
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


class Lease:
    """
    One connection's claim on one member, from before the dial to its end.

    @ivar member: Whom the claim is on.
    """

    __slots__ = ("_pool", "member")  # one for each connection: 48 bytes

    def __init__(self, pool: Pool, member: Member) -> None:
        self._pool: Pool | None = pool
        self.member = member

    @property
    def backend(self) -> Backend:
        """The member's backend."""
        return self.member.backend

    def succeeded(self) -> None:
        """
        The dial worked.

        @raise RuntimeError: If the lease was released.
        """
        if self._pool is None:
            raise self._spent()
        # Most often there is nothing to take back.  Where empty answers count, a
        # dial has not worked before there is an answer.
        if self._pool.countsEmpty:
            return
        if self.member.consecutiveFailures or self.member.ejections:
            self._pool.succeeded(self.member)

    def failed(self, now: float, reason: str = "") -> None:
        """
        The dial failed; tell it before releasing the lease.

        @param now: The time, in seconds of the clock that
            L{Pool.candidates} is asked with.
        @param reason: Why, in a few words.
        @raise RuntimeError: If the lease was released.
        """
        if self._pool is None:
            raise self._spent()
        self._pool.failed(self.member, now, reason)

    def ended(self, now: float, received: int, clientEnded: bool) -> None:
        """
        The member ended or reset the connection.

        @param received: How many bytes it had sent.
        @param clientEnded: Whether the client had ended its stream before.
        @raise RuntimeError: If the lease was released.
        """
        if self._pool is None:
            raise self._spent()
        if received:
            self._pool.succeeded(self.member)
        elif not clientEnded:
            self._pool.endedEmpty(self.member, now)

    def release(self) -> None:
        """
        Give the claim up, exactly once.

        @raise RuntimeError: If it was given up before.
        """
        if self._pool is None:
            raise self._spent()
        # Whoever keeps a spent lease does not keep a direct pool with it.
        self._pool = None
        self.member.active -= 1

    def _spent(self) -> RuntimeError:
        """What is wrong with using it once more."""
        return RuntimeError(f"the lease on {self.member.name} was released before")


class Pool:
    """
    A named set of members, one picker, and who may be picked at this moment.

    It is in one of three moods.  As long as anybody is available, only they are
    candidates.  When nobody is, or all of them were tried, the ejected ones are:
    a member that may be up is better than a connection refused.  When those were
    tried as well, nobody is.

    An ejection ends when candidates are next asked for, or a failure is told,
    after its time is over; no timer is needed, and nobody could have been
    picked in between.

    @ivar name: What configuration, logs and metrics call it.
    @ivar picker: The policy that chooses among the candidates.
    @ivar members: All of them, in the order of configuration.
    @ivar countsEmpty: Whether an empty answer counts as a failed dial.
    """

    def __init__(
        self,
        name: str,
        backends: Iterable[Backend],
        picker: IBackendPicker,
        ejection: EjectionOptions = DEFAULT_EJECTION,
        observer: IPoolObserver | None = None,
    ) -> None:
        """
        @param backends: What to make members of.  One that stands here twice is
            two members, and so gets two shares.
        @param picker: The pool's own; if it provides L{IMembershipObserver} it is
            told of all members at once, and from then on of each that is
            ejected or comes back.
        @param observer: Told of what happens to the members.
        """
        self.name = name
        self.countsEmpty = ejection.emptyAnswer == "failure"
        self._watcher = observer
        self.picker = picker
        self.members = tuple(Member(backend) for backend in backends)
        self._positions = {member: at for at, member in enumerate(self.members)}
        self._named = {member.backend: member for member in reversed(self.members)}
        self._available = LiveCandidates(self._positions, self.members)
        self._ejected = LiveCandidates(self._positions, ())
        self._health = PassiveHealth(ejection, len(self.members))
        self._observer: IMembershipObserver | None = (
            picker if IMembershipObserver.providedBy(picker) else None
        )
        self._tellAdded(self.members)

    def candidates(self, now: float, tried: Collection[Member] = ()) -> ICandidates:
        """
        Who may be picked for a connection; ask again for each of its tries.

        For a first try this is always the same object, and costs nothing to
        make.  Whether a choice that took its time is still a good one,
        C{member in candidates} says.

        @param now: The time, in seconds of any one clock.
        @param tried: Who has failed this connection already.
        @return: A view that is kept up to date; it may be empty.
        """
        if now >= self._health.nextReturn:
            self._bringBack(now)
        if not tried:
            # As long as nobody is ejected, everybody is available.
            if self._health.nextReturn == inf:
                return self._available
            return self._available or self._ejected
        return NarrowedCandidates(self._available, tried) or NarrowedCandidates(
            self._ejected, tried
        )

    def member(self, backend: Backend) -> Member | None:
        """The member with an equal backend; the first one, if there are several."""
        return self._named.get(backend)

    def close(self) -> None:
        """
        Let the pool's picker know, if it watches the membership, that it has no
        members any more: it may be used again by another pool.
        """
        observer, self._observer = self._observer, None
        if observer is not None:
            for member in self._available:
                observer.removed(member)

    def lease(self, member: Member) -> Lease | None:
        """
        Claim a member for one connection.  It is counted now, before it is
        dialled, so that a burst does not all see the same member as idle.

        An ejected member can be claimed, since it may be all that is left.

        @return: L{None} if this pool has no such member: choose again.
        """
        if member not in self._positions:
            return None
        member.active += 1
        return Lease(self, member)

    def succeeded(self, member: Member) -> None:
        """A dial of C{member} worked; a L{Lease} calls this."""
        self._health.succeeded(member)

    def failed(self, member: Member, now: float, reason: str = "") -> None:
        """A dial of C{member} failed; a L{Lease} calls this."""
        if self._watcher is not None:
            self._watcher.dialFailed(self.name, member, reason)
        self._count(member, now, reason)

    def endedEmpty(self, member: Member, now: float) -> None:
        """C{member} ended a connection without a byte; a L{Lease} calls this."""
        if self._watcher is not None:
            self._watcher.endedEmpty(self.name, member)
        if self.countsEmpty:
            self._count(member, now, "it ended without a byte")

    def _count(self, member: Member, now: float, reason: str) -> None:
        """Count a failure of C{member}, and eject it if they are enough."""
        # Whoever's time is over must not count as ejected: not against the
        # limit, nor if it is this very member.
        if now >= self._health.nextReturn:
            self._bringBack(now)
        verdict = self._health.failed(member, now)
        if verdict is Verdict.EJECTED:
            self._eject(member, now, reason)
        elif verdict is Verdict.LIMITED and self._watcher is not None:
            share = self._health.options.maxEjected
            self._watcher.notEjected(self.name, member, share)

    def _eject(self, member: Member, now: float, reason: str) -> None:
        self._available.remove(member)
        self._ejected.add(member)
        member.ejectedAt = now
        watcher = self._watcher
        if watcher is not None and member.ejectedUntil is not None:
            seconds, failures = member.ejectedUntil - now, member.consecutiveFailures
            watcher.ejected(self.name, member, seconds, failures, reason)
            if not self._available:
                watcher.nobodyLeft(self.name, len(self._ejected), 0)
        if self._observer is not None:
            self._observer.removed(member)

    def _bringBack(self, now: float) -> None:
        """Make those available whose ejection is over."""
        returned = self._health.returned(now)
        for member in returned:
            self._ejected.remove(member)
            self._available.add(member)
            if self._watcher is not None:
                self._watcher.returned(self.name, member, now - member.ejectedAt)
        self._tellAdded(returned)

    def _tellAdded(self, members: Iterable[Member]) -> None:
        """
        Tell the picker, if it wants to know, who may be picked from now on; last
        of all, so that what it raises leaves the pool itself in order.
        """
        if self._observer is not None:
            for member in members:
                self._observer.added(member)


class DirectPools:
    """
    A pool of one for each backend that a router named and no pool has.

    Each is there as long as it is in use: a lease keeps its pool, and so does
    whoever has asked for the pool and is still choosing.  Equal backends share
    one, so that their connections are counted together.
    """

    def __init__(self, observer: IPoolObserver | None = None) -> None:
        """
        @param observer: Told of what happens to the members.
        """
        self._observer = observer
        self._pools: WeakValueDictionary[Backend, Pool] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many are in use."""
        return len(self._pools)

    def pool(self, backend: Backend) -> Pool:
        """
        The pool that has C{backend} for its only member, with default policy.

        @return: A L{Pool} named C{"direct"}; keep it until the lease is taken.
        """
        pool = self._pools.get(backend)
        if pool is None:
            pool = Pool("direct", [backend], RoundRobin(), observer=self._observer)
            self._pools[backend] = pool
        return pool
