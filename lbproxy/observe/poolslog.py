"""Logs what happens to the members of pools, one line for each event."""

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
    Logs the events of pools that matter to an operator.

    The first failed dial of a member is written at once; those that follow within a
    minute are counted.  Connections that a member ended without a byte are only
    counted, for a minute at a time.
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
        """Log that a member was ejected."""
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
        """Log that a member was not ejected, because too many are ejected already."""
        self._log.warn(
            "member {pool}/{member} not ejected: max-ejected {share} is reached",
            pool=pool,
            member=member.name,
            share=f"{share:.0%}",
        )

    def returned(self, pool: str, member: Member, seconds: float) -> None:
        """Log that the ejection of a member is over."""
        self._log.info(
            "member {pool}/{member} is back after {duration}",
            pool=pool,
            member=member.name,
            duration=formatDuration(round(seconds)),
        )

    def wentDown(self, pool: str, member: Member, reason: str) -> None:
        """Log that the checks of a member have found it down."""
        self._log.warn(
            "member {pool}/{member} is down: {reason}",
            pool=pool,
            member=member.name,
            reason=reason,
        )

    def wentUp(self, pool: str, member: Member, seconds: float) -> None:
        """Log that the checks of a member have found it up again."""
        self._log.info(
            "member {pool}/{member} is up after {duration}",
            pool=pool,
            member=member.name,
            duration=formatDuration(round(seconds)),
        )

    def stateSet(self, pool: str, member: Member, before: str) -> None:
        """Log that a member was set to another state."""
        self._log.info(
            'member {pool}/{member} was set from "{before}" to "{state}"',
            pool=pool,
            member=member.name,
            before=before,
            state=member.state,
        )

    def nobodyLeft(self, pool: str, ejected: int, down: int, tryingAll: bool) -> None:
        """Log that no member is available, and what is done now."""
        self._log.warn(
            "pool {pool}: no member available ({ejected} ejected, {down} down), "
            "{doing}",
            pool=pool,
            ejected=ejected,
            down=down,
            doing="trying all" if tryingAll else "refusing connections",
        )

    def tierChanged(self, pool: str, backups: int) -> None:
        """Log that backups serve, or that they do not any more."""
        if backups > 1:
            self._log.warn(
                "pool {pool}: only backups of tier {tier} are available, using them",
                pool=pool,
                tier=backups,
            )
        elif backups:
            self._log.warn(
                "pool {pool}: only backups are available, using them", pool=pool
            )
        else:
            self._log.info("pool {pool}: its backups are not used any more", pool=pool)

    def dialFailed(self, pool: str, member: Member, reason: str) -> None:
        """Log that a dial of a member failed."""
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
        """Count a connection that a member ended without having sent a byte."""
        self._empty.admits((pool, member.name))

    def close(self) -> None:
        """Write the counts that have not been written yet."""
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
