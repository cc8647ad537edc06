"""Measures how long a member takes to answer one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..balance.pool import Pool
    from ..streams.wheel import Wheel
    from ..words.backend import Member


class AnswerTime:
    """
    Measures how long one member takes to connect and to answer, and tells the pool of
    it once; made for each dial, in pools whose picker is told of that.

    The time to the answer begins with the first byte of the client that is sent to the
    member.  A client may be silent for an hour before that.  If the member speaks
    first, it is not known what it has waited for, and only the connect counts.
    """

    __slots__ = (
        "_asked",
        "_connect",
        "_dialled",
        "_member",
        "_pool",
        "_then",
        "_wheel",
    )

    def __init__(self, pool: Pool, member: Member, wheel: Wheel, now: float) -> None:
        """
        @param now: When the dial begins.
        """
        self._pool: Pool | None = pool
        self._member = member
        self._wheel = wheel
        self._dialled = now
        self._connect: float | None = None
        self._asked: float | None = None
        self._then: Callable[[], object] | None = None

    def connected(self, now: float, then: Callable[[], object] | None) -> None:
        """
        The member is connected.

        @param then: What else to call when it sends its first byte.
        """
        self._connect = now - self._dialled
        self._then = then

    def asked(self) -> None:
        """The client's first byte is sent to the member."""
        self._asked = self._wheel.now()

    def answered(self) -> None:
        """The member has sent its first byte."""
        if self._then is not None:
            self._then()
        pool, self._pool = self._pool, None
        if pool is not None and pool.timed is not None:
            now = self._wheel.now()
            pool.timed.answered(self._member, self._seconds(now), now)

    def failed(self) -> None:
        """The dial has failed, or the member has ended the connection at once."""
        pool, self._pool = self._pool, None
        if pool is not None and pool.timed is not None:
            now = self._wheel.now()
            pool.timed.failed(self._member, self._seconds(now), now)

    def over(self) -> None:
        """The exchange is over."""
        pool, self._pool = self._pool, None
        if pool is not None and pool.timed is not None:
            now = self._wheel.now()
            pool.timed.waited(self._member, self._seconds(now), now)

    def _seconds(self, now: float) -> float:
        """How long the member was waited for so far."""
        if self._connect is None:
            return now - self._dialled
        return self._connect + (0.0 if self._asked is None else now - self._asked)
