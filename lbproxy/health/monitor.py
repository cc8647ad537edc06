"""
When each member is checked: spread evenly, never twice at a time, without end.

The first checks of a pool are spread over one interval by chance, so that a start with
10,000 members is no burst; each further interval is up to a tenth shorter, so that no
two checks keep step.  None is longer: a member that stops answering has failed C{fall}
checks within C{fall} times the sum of interval and timeout, unless its checks wait for
others.  A member costs one entry in the wheel.  While nothing is checked there is
nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Sequence
from random import Random
from typing import Any, Protocol

from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.python.failure import Failure

from ..interfaces import IHealthProbe
from ..proxy.pluginerrors import PluginErrors
from ..proxy.reasons import brief, pluginTrouble, wrongType
from ..proxy.wait import Wait
from ..streams.clientcontexts import UnusableFile
from ..streams.socketkinds import BacklogFull
from ..streams.wheel import Entry, Wheel
from ..words.backend import Backend
from ..words.units import formatDuration
from .contact import CheckFailed
from .options import HealthCheckOptions

AT_ONCE = 500
"""
Checks of a process that run at once; the others wait their turn, in order.  It bounds
the descriptors of checks when thousands of members answer nothing.
"""

_JITTER = 0.1
"""The share of an interval by which it may be shorter."""

_EVIDENCE: tuple[type[BaseException], ...] = (
    *(CheckFailed, ConnectError, ConnectionClosed, OSError),
    *(TLSError, VerificationError, UnusableFile, BacklogFull),
)
"""
Failures that tell of the backend or its configuration; any other one tells of the probe
as well.
"""


class CheckedMember(Protocol):
    """
    What is asked about a member.

    @ivar state: C{"maintenance"} stops its checks; any other state does not.
    """

    @property
    def backend(self) -> Backend:
        """The backend that is checked."""

    @property
    def state(self) -> str:
        """The state that was set by hand."""


class Checked(Protocol):
    """A pool whose members are checked."""

    @property
    def members(self) -> Sequence[Any]:
        """The members now, each a L{CheckedMember}."""

    def checked(self, member: Any, now: float, failure: str | None) -> None:
        """
        A check of a member has ended.

        @param now: The monotonic time, in seconds.
        @param failure: Why it failed, in a few words; L{None} if it has passed.
        """


class Monitor:
    """
    Checks the members of pools: one for a process, which bounds how many checks run.

    @ivar wheel: Its timers.
    @ivar rng: Spreads the checks.
    @ivar errors: Logs what probes raise that tells of no backend.
    """

    def __init__(
        self, wheel: Wheel, rng: Random, errors: PluginErrors, atOnce: int = AT_ONCE
    ) -> None:
        """
        @param atOnce: How many checks run at once.
        """
        self.wheel = wheel
        self.rng = rng
        self.errors = errors
        self._atOnce = atOnce
        self._running = 0
        self._beginning = False
        self._waiting: deque[_Subject] = deque()
        self._watched: list[PoolChecks] = []

    def watch(
        self, pool: Checked, probe: IHealthProbe, options: HealthCheckOptions
    ) -> PoolChecks:
        """Begin to check the members of a pool, until the result is closed."""
        checks = PoolChecks(self, pool, probe, options)
        self._watched.append(checks)
        checks.membersChanged()
        return checks

    def close(self) -> None:
        """End all checks, of all pools."""
        for each in tuple(self._watched):
            each.close()

    # Called by its checks.

    def admit(self, subject: _Subject) -> None:
        """Begin a check now, or when one of those that run has ended."""
        self._waiting.append(subject)
        self._beginSome()

    def ended(self) -> None:
        """One check less runs."""
        self._running -= 1
        self._beginSome()

    def forget(self, checks: PoolChecks) -> None:
        """A pool is not watched any more."""
        self._watched.remove(checks)

    def _beginSome(self) -> None:
        if self._beginning:
            return  # A check that ended at once: the loop below goes on.
        self._beginning = True
        while self._waiting and self._running < self._atOnce:
            subject = self._waiting.popleft()
            if subject.wanted:
                self._running += 1
                subject.begin()
        self._beginning = False


class PoolChecks:
    """
    The checks of one pool.

    @ivar pool: Told of each check.
    @ivar probe: Makes one check.
    @ivar options: When checks are made.
    """

    def __init__(
        self,
        monitor: Monitor,
        pool: Checked,
        probe: IHealthProbe,
        options: HealthCheckOptions,
    ) -> None:
        self.monitor = monitor
        self.pool = pool
        self.probe = probe
        self.options = options
        self._subjects: dict[int, _Subject] = {}
        self._closed = False

    def update(self, options: HealthCheckOptions, probe: IHealthProbe) -> None:
        """
        Go on with other options, such as those of a new configuration.

        Checks that run end as they began.  What a member has passed and failed is
        counted by the pool, and stays.
        """
        sooner = options.interval < self.options.interval
        self.options, self.probe = options, probe
        for subject in self._subjects.values():
            subject.retarget()
            if sooner:
                subject.comeSooner()

    def membersChanged(self) -> None:
        """Members were added or removed, or their states were set."""
        if self._closed:
            return
        before, self._subjects = self._subjects, {}
        for member in self.pool.members:
            subject = before.pop(id(member), None)
            if subject is None:
                subject = _Subject(self, member)
                subject.spread()
            elif member.state == "maintenance":
                subject.interrupt()
            self._subjects[id(member)] = subject
        for subject in before.values():
            subject.close()

    def close(self) -> None:
        """End the checks of this pool; nothing of them is left."""
        if not self._closed:
            self._closed = True
            self.monitor.forget(self)
            subjects, self._subjects = self._subjects, {}
            for subject in subjects.values():
                subject.close()

    def concluded(self, member: Any, failure: str | None) -> None:
        """Tell the pool of one check, unless the member is in maintenance by now."""
        if member.state != "maintenance":
            self.pool.checked(member, self.monitor.wheel.now(), failure)


class _Subject(Entry):
    """
    One member that is checked.  It is scheduled for its next check, or waits for its
    turn, or is being checked and scheduled for the timeout.
    """

    __slots__ = (
        "_backend",
        "_began",
        "_checks",
        "_configured",
        "_running",
        "_seconds",
        "_wait",
        "member",
        "wanted",
    )

    def __init__(self, checks: PoolChecks, member: Any) -> None:
        super().__init__()
        self.member = member
        self.wanted = False  # Whether it waits for its turn.
        self._checks = checks
        self._configured: Backend | None = None
        self._backend: Backend | None = None
        self._wait: Wait | None = None
        self._running = False
        self._began = 0.0
        self._seconds = 0.0

    def spread(self) -> None:
        """Schedule the first check, at some time within one interval."""
        monitor = self._checks.monitor
        within = self._checks.options.interval * monitor.rng.random()
        monitor.wheel.schedule(self, monitor.wheel.now() + within)

    def comeSooner(self) -> None:
        """The interval is shorter than it was when the next check was scheduled."""
        if self.scheduled and not self._running:
            self.spread()

    def retarget(self) -> None:
        """The options are others: the place to check may be another."""
        self._backend = None

    def due(self) -> None:
        """The next check is due, or the one that runs has had its time."""
        if self._running:
            self._cancel()
            self._end(f"no answer in {formatDuration(self._seconds)}")
        elif self.member.state == "maintenance":
            self._began = self._checks.monitor.wheel.now()
            self._again()
        else:
            self.wanted = True
            self._checks.monitor.admit(self)

    def begin(self) -> None:
        """Begin a check."""
        self.wanted = False
        self._running = True
        checks, wheel = self._checks, self._checks.monitor.wheel
        self._began = wheel.now()
        self._seconds = checks.options.timeout
        wheel.schedule(self, self._began + self._seconds)
        try:
            if self._backend is None or self._configured is not self.member.backend:
                self._configured = self.member.backend
                self._backend = checks.options.target(self._configured)
            answer = checks.probe.probe(self._backend)
            if not isinstance(answer, Awaitable):
                self._end(wrongType("health check", answer))
                return
            wait = Wait(answer, self._answer, self._fail, self._troubled)
        except BaseException:
            # A plugin may raise anything.
            self._fail(Failure())
            return
        if self._running:
            self._wait = wait
        else:
            wait.cancel()  # It has answered, or closed all this meanwhile.

    def interrupt(self) -> None:
        """End the check that runs or waits, without a result; schedule the next."""
        if self._running or self.wanted:
            self.wanted = False
            self._cancel()
            self._free()
            self._again()

    def close(self) -> None:
        """End all checks of this member."""
        self.wanted = False
        self._checks.monitor.wheel.cancel(self)
        self._cancel()
        self._free()

    def _answer(self, answer: object) -> None:
        if answer is None:
            self._end(None)
        else:
            self._end(wrongType("health check", answer))

    def _fail(self, failure: Failure) -> None:
        if isinstance(failure.value, _EVIDENCE):
            self._end(brief(failure))
        else:
            self._checks.monitor.errors.tell(self._checks.probe, failure, "probe")
            self._end(pluginTrouble(failure))

    def _troubled(self, failure: Failure) -> None:
        self._checks.monitor.errors.tell(self._checks.probe, failure, "probe")

    def _cancel(self) -> None:
        wait, self._wait = self._wait, None
        if wait is not None:
            wait.cancel()

    def _end(self, failure: str | None) -> None:
        """Schedule the next check, and tell the pool of this one."""
        if not self._running:
            return
        self._wait = None
        self._again()
        try:
            self._checks.concluded(self.member, failure)
        except BaseException:
            self._checks.monitor.errors.tell(self._checks.pool, Failure(), "checked")
        self._free()

    def _again(self) -> None:
        """Schedule the next check: an interval after the last began, or now."""
        monitor, interval = self._checks.monitor, self._checks.options.interval
        interval *= monitor.rng.uniform(1 - _JITTER, 1)
        monitor.wheel.schedule(self, max(self._began + interval, monitor.wheel.now()))

    def _free(self) -> None:
        """Give the place to another check, if this one has one."""
        if self._running:
            self._running = False
            self._checks.monitor.ended()
