"""Leases: the claims of connections on members."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..words.backend import Backend, Member
    from .pool import Pool


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

    def succeeded(self) -> Callable[[], None] | None:
        """
        The dial worked.

        @return: What to call when the member sends its first byte; L{None} if nothing
            depends on that.
        @raise RuntimeError: If the lease was released.
        """
        pool, member = self._pool, self.member
        if pool is None:
            raise self._spent()
        # Most often there are no failures to reset.
        if member.consecutiveFailures or member.ejections:
            return pool.connected(member)
        return None

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

    def endedEmpty(self, now: float) -> None:
        """
        The member ended or reset the connection before it had sent a byte, and before
        the client had ended its stream.

        @raise RuntimeError: If the lease was released.
        """
        if self._pool is None:
            raise self._spent()
        self._pool.endedEmpty(self.member, now)

    def release(self) -> None:
        """
        End the claim.  This is called exactly once.

        @raise RuntimeError: If it was released before.
        """
        # A reference to a released lease must not keep a direct pool alive.
        pool, self._pool = self._pool, None
        if pool is None:
            raise self._spent()
        self.member.active -= 1
        if pool.follows:
            pool.released(self.member)

    def _spent(self) -> RuntimeError:
        """The error for a use after the release."""
        return RuntimeError(f"the lease on {self.member.name} was released before")


class DialLease(Lease):
    """
    A lease in a pool that limits the dials under way to a member.

    It counts as a dial until the dial has succeeded, or the lease is released.  Its
    methods say again what those of L{Lease} say, since to call them would be a call
    more for each connection.
    """

    __slots__ = ("_dialling",)

    def __init__(self, pool: Pool, member: Member) -> None:
        self._pool = pool
        self.member = member
        self._dialling = True
        member.dials += 1

    def succeeded(self) -> Callable[[], None] | None:
        """The dial worked, so it is no longer under way."""
        pool, member = self._pool, self.member
        if pool is None:
            raise self._spent()
        if self._dialling:
            self._dialling = False
            member.dials -= 1
            # Those that are called and still choose may take all room but this.
            if member.isFull or pool.queue.places:
                pool.dialEnded(member)
        if member.consecutiveFailures or member.ejections:
            return pool.connected(member)
        return None

    def release(self) -> None:
        """End the claim, and the dial if it is still under way."""
        pool, self._pool = self._pool, None
        if pool is None:
            raise self._spent()
        if self._dialling:
            self._dialling = False
            self.member.dials -= 1
        self.member.active -= 1
        pool.released(self.member)
