"""Pools: which members may be picked now, and the leases of connections on members."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ..interfaces import (
    IBackendPicker,
    ICandidates,
    IMembershipObserver,
    IPoolObserver,
)
from ..words.backend import Backend, Member
from .candidates import LiveCandidates, NarrowedCandidates
from .health import DEFAULT_EJECTION, EjectionOptions, PassiveHealth, Verdict
from .pickers import RoundRobin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Lease:
    """
    One connection's claim on one member: taken before the dial, released exactly
    once.

    @ivar member: The member that is claimed.
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
        # Most often there are no failures to reset.  Where empty answers count as
        # failures, a dial has worked only when the member has sent a byte.
        if self._pool.countsEmpty:
            return
        if self.member.consecutiveFailures or self.member.ejections:
            self._pool.succeeded(self.member)

    def failed(self, now: float, reason: str = "") -> None:
        """
        The dial failed.  This is called before L{release}.

        @param now: The time, in seconds of the clock that L{Pool.candidates} is
            called with.
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
        End the claim.  This is called exactly once.

        @raise RuntimeError: If it was released before.
        """
        if self._pool is None:
            raise self._spent()
        # A reference to a released lease must not keep a direct pool alive.
        self._pool = None
        self.member.active -= 1

    def _spent(self) -> RuntimeError:
        """The error for a use after the release."""
        return RuntimeError(f"the lease on {self.member.name} was released before")


class Pool:
    """
    A named set of members with one picker; it says which members may be picked
    now.

    The candidates for a connection are the available members that it has not
    tried.  If there are none, they are the ejected members that it has not tried:
    a member that may be up is better than a refused connection.  If there are
    none of these either, there are no candidates.

    An ejection ends with the first call of L{candidates}, or the first failure of
    a dial, after its time is over.  No timer is needed: no member is picked in
    between.

    @ivar name: Its name in the configuration, logs and metrics.
    @ivar picker: The policy that chooses among the candidates.
    @ivar members: All members, in the order of configuration.
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
        @param backends: Each becomes a member.  A backend that is listed twice
            becomes two members, and so gets two shares.
        @param picker: Used by this pool only.  If it provides
            L{IMembershipObserver}, its C{added} is called for all members at
            once, and from then on C{removed} and C{added} for each member that is
            ejected or comes back.
        @param observer: Called with what happens to the members.
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
        Which members may be picked for a connection; call it again for each of
        its tries.

        For a first try no new object is made.  When a picker has taken some time,
        C{member in candidates} says whether its choice may still be picked.

        @param now: The time, in seconds of any one clock.
        @param tried: The members that this connection has dialled without success.
        @return: A view that is kept up to date; it may be empty.
        """
        if now >= self._health.nextReturn:
            self._bringBack(now)
        if not tried:
            # As long as no member is ejected, all are available.
            if self._health.nextReturn == inf:
                return self._available
            return self._available or self._ejected
        return NarrowedCandidates(self._available, tried) or NarrowedCandidates(
            self._ejected, tried
        )

    def member(self, backend: Backend) -> Member | None:
        """
        The first member whose backend is equal to C{backend}; L{None} if there is
        none.
        """
        return self._named.get(backend)

    def close(self) -> None:
        """
        Remove all members from the picker, if it observes the membership, so that
        another pool may use it.
        """
        observer, self._observer = self._observer, None
        if observer is not None:
            for member in self._available:
                observer.removed(member)

    def lease(self, member: Member) -> Lease | None:
        """
        Claim a member for one connection.  The claim counts as an active
        connection from now on, before the dial, so that the connections of a
        burst do not all see the same member as idle.

        An ejected member can be claimed, since no other may be left.

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
        """Count a failure of C{member}, and eject it if it has failed often enough."""
        # A member whose ejection is over must not count as ejected: not towards
        # the limit, and not if it is this member itself.
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
        """Make the members available whose ejection is over."""
        returned = self._health.returned(now)
        for member in returned:
            self._ejected.remove(member)
            self._available.add(member)
            if self._watcher is not None:
                self._watcher.returned(self.name, member, now - member.ejectedAt)
        self._tellAdded(returned)

    def _tellAdded(self, members: Iterable[Member]) -> None:
        """
        Add members to the picker, if it observes the membership.  This is the
        last step of a change, so that the pool is consistent if the picker
        raises.
        """
        if self._observer is not None:
            for member in members:
                self._observer.added(member)


class DirectPools:
    """
    Makes a pool with one member for each backend that a router named and no pool
    has.

    A pool exists as long as it is in use: a lease refers to its pool, and so does
    an exchange that is still picking.  Equal backends share one pool, so that
    their connections are counted together.
    """

    def __init__(self, observer: IPoolObserver | None = None) -> None:
        """
        @param observer: Called with what happens to the members.
        """
        self._observer = observer
        self._pools: WeakValueDictionary[Backend, Pool] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many pools are in use."""
        return len(self._pools)

    def pool(self, backend: Backend) -> Pool:
        """
        Return the pool that has C{backend} as its only member, with default
        policy.

        @return: A L{Pool} named C{"direct"}; keep a reference to it until the
            lease is taken.
        """
        pool = self._pools.get(backend)
        if pool is None:
            pool = Pool("direct", [backend], RoundRobin(), observer=self._observer)
            self._pools[backend] = pool
        return pool
