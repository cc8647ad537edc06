"""The health checks of one running pool: what they find, and what is done about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger

from .balance.checks import ActiveHealth, CheckVerdict
from .balance.pool import Pool
from .plugins.making import buildProbe
from .words.backend import Member
from .words.connection import End

if TYPE_CHECKING:
    from .config.model import PoolConfiguration
    from .generation import Process
    from .health.monitor import PoolChecks
    from .health.options import HealthCheckOptions
    from .interfaces import IHealthProbe


class PoolHealth:
    """
    Has the members of a pool checked, if that is configured, and moves them up and
    down.

    A member that is ejected is brought back by C{rise} checks that have passed since.
    """

    _log = Logger()

    def __init__(self, process: Process, pool: Pool) -> None:
        self._process = process
        self._pool = pool
        self._options: HealthCheckOptions | None = None
        self._checks: PoolChecks | None = None
        self._healths: dict[Member, ActiveHealth] = {}
        self._ejections: dict[Member, float] = {}

    def use(self, configured: PoolConfiguration) -> None:
        """Check as it is configured from now on."""
        before, options = self._options, configured.healthCheck
        self._options = options
        if options is None:
            self._stop()
            return
        self.membersChanged()
        if before == options:
            return
        process = self._process
        place = configured.place.key("health-check")
        probe = self._shared(buildProbe(options, process.reactor, place))
        for health in self._healths.values():
            health.options = options.check
        if self._checks is None:
            self._checks = process.monitor.watch(self, probe, options)
        else:
            self._checks.update(options, probe)

    def _shared(self, probe: IHealthProbe) -> IHealthProbe:
        """Let a probe that speaks TLS do so with the contexts that dials have."""
        # Without checks nothing of it is needed.
        from .health.probes import ContactProbe

        if isinstance(probe, ContactProbe):
            probe.contexts = self._process.contexts
        return probe

    def membersChanged(self) -> None:
        """Members were added or removed, or their states were set."""
        if self._options is None:
            return
        before, self._healths = self._healths, {}
        for member in self._pool.members:
            health = before.get(member)
            if health is None:
                health = ActiveHealth(self._options.check)
                if not health.up:
                    self._pool.startDown(member, self._process.wheel.now())
            self._healths[member] = health
        for member in before.keys() - self._healths.keys():
            self._ejections.pop(member, None)
        if self._checks is not None:
            self._checks.membersChanged()

    def close(self) -> None:
        """Stop checking."""
        if self._checks is not None:
            self._checks.close()
            self._checks = None

    # Asked and called by the monitor.

    @property
    def members(self) -> Sequence[Member]:
        """The members of the pool."""
        return self._pool.members

    def checked(self, member: Member, now: float, failure: str | None) -> None:
        """A check of a member has ended; C{failure} says why it has failed."""
        health = self._healths.get(member)
        if health is None:
            return
        ejected = member.ejectedUntil is not None
        if ejected and self._ejections.get(member) != member.ejectedAt:
            # What passed before its ejection does not count against it.
            self._ejections[member] = member.ejectedAt
            health.passes = 0
        verdict = health.feed(failure is None)
        if verdict is CheckVerdict.WENT_DOWN:
            self._pool.wentDown(member, now, failure or "")
            self._abort(member)
        elif verdict is CheckVerdict.WENT_UP or (
            ejected and health.up and health.passes >= health.options.rise
        ):
            self._pool.wentUp(member, now)

    def _abort(self, member: Member) -> None:
        """Cut off the connections of a member that went down, if that is configured."""
        if self._pool.options.onMemberDown != "abort":
            return
        count = self._process.abortOn(member, End.MEMBER_DOWN)
        if count:
            self._log.info(
                "Cut off {count} connections of {pool}/{member}, which is down",
                count=count,
                pool=self._pool.name,
                member=member.name,
            )

    def _stop(self) -> None:
        """Check no longer; nobody would find a member up again that is down."""
        self.close()
        self._healths.clear()
        for member in self._pool.members:
            if member.downSince is not None:
                self._pool.wentUp(member, self._process.wheel.now())
