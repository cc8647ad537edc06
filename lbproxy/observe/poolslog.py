"""What happens to the members of pools, in the log, as one line each."""

from __future__ import annotations

from twisted.logger import Logger
from zope.interface import implementer

from ..interfaces import IPoolObserver
from ..proxy.windows import Windows
from ..streams.wheel import Wheel
from ..words.backend import Member
from ..words.units import formatDuration

_WINDOW = 60.0
"""Seconds within which further failed dials of one member are only counted."""


@implementer(IPoolObserver)
class PoolsLog:
    """
    Logs what an operator has to know about backends.

    Of failed dials, and of answers that were empty, the first of a member is
    written, and what follows within a minute is counted.
    """

    _log = Logger()

    def __init__(self, wheel: Wheel) -> None:
        self._reasons: dict[tuple[str, str], str] = {}
        self._dials: Windows[tuple[str, str]] = Windows(
            wheel, _WINDOW, 1, self._moreDials
        )
        self._empty: Windows[tuple[str, str]] = Windows(
            wheel, _WINDOW, 0, self._moreEmpty
        )

    def ejected(
        self, pool: str, member: Member, seconds: float, failures: int, reason: str
    ) -> None:
        """A member is left alone for some time."""
        self._log.warn(
            "member {pool}/{member} ejected for {duration}: {failures} dials in a row "
            "failed, last: {reason}",
            pool=pool,
            member=member.name,
            duration=formatDuration(seconds),
            failures=failures,
            reason=reason,
        )

    def notEjected(self, pool: str, member: Member, share: float) -> None:
        """A member would be ejected, but too many are already."""
        self._log.warn(
            "member {pool}/{member} not ejected: max-ejected {share} is reached",
            pool=pool,
            member=member.name,
            share=f"{share:.0%}",
        )

    def returned(self, pool: str, member: Member, seconds: float) -> None:
        """The time of a member that was ejected is over."""
        self._log.info(
            "member {pool}/{member} is back after {duration}",
            pool=pool,
            member=member.name,
            duration=formatDuration(round(seconds)),
        )

    def nobodyLeft(self, pool: str, ejected: int, down: int) -> None:
        """No member is available: all that are ejected are tried."""
        self._log.warn(
            "pool {pool}: no member available ({ejected} ejected, {down} down), "
            "trying all",
            pool=pool,
            ejected=ejected,
            down=down,
        )

    def dialFailed(self, pool: str, member: Member, reason: str) -> None:
        """A member could not be connected to."""
        kind = (pool, member.name)
        self._reasons[kind] = reason
        if self._dials.admits(kind):
            self._log.warn(
                "dial of {pool}/{member} failed: {reason}",
                pool=pool,
                member=member.name,
                reason=reason,
            )

    def endedEmpty(self, pool: str, member: Member) -> None:
        """A member ended a connection without having sent a byte."""
        self._empty.admits((pool, member.name))

    def close(self) -> None:
        """Write the counts that are still to be written."""
        self._dials.close()
        self._empty.close()

    def _moreDials(self, kind: tuple[str, str], more: int) -> None:
        self._log.warn(
            "dial of {pool}/{member} failed: {reason} ({more} more within a minute)",
            pool=kind[0],
            member=kind[1],
            reason=self._reasons.pop(kind),
            more=more,
        )

    def _moreEmpty(self, kind: tuple[str, str], more: int) -> None:
        self._log.info(
            "{pool}/{member} ended {count} connections without a byte within a minute",
            pool=kind[0],
            member=kind[1],
            count=more,
        )
