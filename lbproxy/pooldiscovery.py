"""The backends of one running pool: those that are listed, and those that are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .discoveries import discoveryOf
from .discovery.names import LATE, Asking, Watched
from .interfaces import IDiscovery, IDiscoveryObserver
from .words.backend import Backend
from .words.escaping import oneLine
from .words.place import shown
from .words.units import formatDuration
from .words.values import plainName

if TYPE_CHECKING:
    from .config.model import PoolConfiguration
    from .discovery.options import DiscoveryOptions
    from .generation import Process
    from .streams.wheel import Timer

AT_FIRST, GATHER = 0.01, 0.1
"""
Seconds for which changes are put together: while the pool has no members, and later.
"""


class PoolDiscovery:
    """
    Looks up the hosts of the backends that are listed, and runs the discovery of the
    pool, if it has one.

    Each address of a listed host is a backend.  What was found stays as long as nothing
    else is.
    """

    _log = Logger()

    def __init__(
        self, process: Process, pool: str, changed: Callable[[], None]
    ) -> None:
        """
        @param pool: The name of the pool, for the log.
        @param changed: Called when there are other backends, after some changes have
            been put together.
        """
        self._process = process
        self._pool = pool
        self._changed = changed
        self._listed: tuple[Backend, ...] = ()
        self._watched: dict[str, Watched] = {}
        # Why each lookup fails; and what the log says of it.
        self._troubles: dict[str, str] = {}
        self._logged: dict[str, str] = {}
        self._options: DiscoveryOptions | None = None
        self._running: _Running | None = None
        self._timer: Timer | None = None
        self._reasons: dict[str, None] = {}

    @property
    def backends(self) -> list[Backend]:
        """All backends, each name once: first those that are listed."""
        found: dict[str, Backend] = {}
        for backend in self._atTheirAddresses():
            found.setdefault(backend.name, backend)
        return list(found.values())

    @property
    def expected(self) -> list[Backend | None]:
        """What is being looked up for the first time; see L{Arrivals.expected}."""
        expected: list[Backend | None] = [
            each
            for each in self._all()
            if (host := each.description.hostName) is not None
            and self._watched[host].isNew
        ]
        if self._running is not None and self._running.isNew:
            expected.append(None)
        return expected

    @property
    def trouble(self) -> str:
        """Why lookups fail at present; empty if none does."""
        troubles = self._troubles.items()
        return "; ".join(f"{what}: {why}" for what, why in troubles if why)

    @property
    def reason(self) -> str:
        """Why there are other backends than when this was read last."""
        reasons, self._reasons = self._reasons, {}
        return "; ".join(reasons)

    def use(self, configured: PoolConfiguration) -> None:
        """Find backends as it is configured from now on."""
        options = configured.discovery
        if options == self._options:
            return
        self._options = options
        before, self._running = self._running, None
        if before is not None:
            before.stop()
            self._troubles.pop(str(before.options), None)
            self._logged.pop(str(before.options), None)
        if options is not None:
            place = configured.place.key("discovery")
            discovery = discoveryOf(self._process, options, place)
            # Until it has found something, what was found before stays.
            found = () if before is None else before.backends
            self._running = _Running(self, discovery, options, found)
            self._running.start()

    def list(self, backends: Iterable[Backend]) -> None:
        """Have these backends listed, and look up their hosts."""
        self._listed = tuple(backends)
        self.lookUp()

    def lookUp(self) -> None:
        """Look up the hosts of all backends, and of no others."""
        hosts = (each.description.hostName for each in self._all())
        names = {each for each in hosts if each is not None}
        for name in self._watched.keys() - names:
            self._watched.pop(name).cancel()
            self._troubles.pop(name, None)
            self._logged.pop(name, None)
        for name in names - self._watched.keys():
            told = partial(self._told, name)
            self._watched[name] = self._process.names.watch(name, Asking(), told)
            if self._watched[name].addresses:
                self._told(name)  # Another pool has the name too.
            else:
                self._tellTrouble(name)

    def close(self) -> None:
        """Look for nothing any longer."""
        running, self._running = self._running, None
        self._options = None
        if running is not None:
            running.stop()
        self.list(())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _atTheirAddresses(self) -> Iterable[Backend]:
        for backend in self._all():
            host = backend.description.hostName
            if host is None:
                yield backend
                continue
            yield from backend.atEach(self._watched[host].addresses)

    def _all(self) -> tuple[Backend, ...]:
        running = self._running
        return self._listed if running is None else self._listed + running.backends

    def _told(self, name: str) -> None:
        """Something else is known of a host."""
        self._tellTrouble(name)
        self.otherwise(f"{name} was looked up")

    def _tellTrouble(self, name: str) -> None:
        self.troubled(name, self._watched[name].trouble)

    def troubled(self, what: str, trouble: str) -> None:
        """
        A lookup fails, or does no more.

        @param what: What is looked up.
        @param trouble: Why it fails; empty if it does not.
        """
        if self._troubles.get(what, "") != trouble:
            self._troubles[what] = trouble
            self.gather()

    def otherwise(self, reason: str) -> None:
        """There are other backends, or may be."""
        self._reasons[reason] = None
        self.gather()

    def gather(self) -> None:
        """Have what has changed applied, together with what changes soon."""
        if self._timer is None:
            delay = GATHER if self.backends else AT_FIRST
            self._timer = self._process.wheel.call(delay, self._gathered)

    def call(self, seconds: float, late: Callable[[], object]) -> Timer:
        """Call a function later."""
        return self._process.wheel.call(seconds, late)

    def failed(self, discovery: IDiscovery, doing: str) -> None:
        """A discovery has raised an exception."""
        self._process.errors.tell(discovery, Failure(), doing)

    def _gathered(self) -> None:
        self._timer = None
        self._changed()
        self._tellTroubles()

    def _tellTroubles(self) -> None:
        """Log each trouble once, and its end."""
        for what, trouble in tuple(self._troubles.items()):
            if trouble == self._logged.get(what, ""):
                continue
            if trouble:
                self._logged[what] = trouble
                self._log.warn(
                    "pool {pool}: {what}: {trouble}; what was found before stays",
                    pool=self._pool,
                    what=what,
                    trouble=trouble,
                )
            else:
                del self._logged[what], self._troubles[what]
                self._log.info(
                    "pool {pool}: {what} is found again", pool=self._pool, what=what
                )


@implementer(IDiscoveryObserver)
class _Running:
    """
    A discovery that runs.

    @ivar backends: What it has found.
    @ivar options: How it is configured.
    @ivar isNew: Whether it has found nothing yet, and has not failed.
    """

    def __init__(
        self,
        pool: PoolDiscovery,
        discovery: IDiscovery,
        options: DiscoveryOptions,
        found: tuple[Backend, ...],
    ) -> None:
        self.backends = found
        self.isNew = True
        self._timer: Timer | None = None
        self._pool: PoolDiscovery | None = pool
        self._discovery = discovery
        self.options = options

    def start(self) -> None:
        """Begin to look."""
        assert self._pool is not None
        self._timer = self._pool.call(LATE, self._late)
        try:
            self._discovery.start(self)
        except BaseException:
            if self._pool is not None:
                self._pool.failed(self._discovery, "start")
                self.failed("could not be started")

    def stop(self) -> None:
        """Look no longer, and hear nothing of it any more."""
        pool, self._pool = self._pool, None
        if self._timer is not None:
            self._timer.cancel()
        try:
            self._discovery.stop()
        except BaseException:
            if pool is not None:
                pool.failed(self._discovery, "stop")

    # IDiscoveryObserver.

    def found(self, backends: Iterable[Backend], why: str = "") -> None:
        """The backends are these, and no others."""
        pool = self._pool
        if pool is None:
            return
        found = tuple(backends)
        fault = _fault(found)
        if fault:
            self.failed(fault)
            return
        found = tuple(map(self.options.completed, found))
        self._over()
        pool.troubled(str(self.options), "")
        if found != self.backends:
            self.backends = found
            pool.lookUp()
            pool.otherwise(oneLine(why) or f"{self.options} has found others")

    def failed(self, reason: str) -> None:
        """It cannot be found out which backends there are."""
        if self._pool is not None:
            self._over()
            self._pool.troubled(str(self.options), oneLine(reason))

    def _over(self) -> None:
        """It is not new any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self.isNew and self._pool is not None:
            self.isNew = False
            self._pool.gather()

    def _late(self) -> None:
        self._timer = None
        self.failed(f"no answer in {formatDuration(LATE)}")


def _fault(found: Iterable[object]) -> str:
    """What is wrong with backends that a plugin has made, in one line; or empty."""
    names: set[str] = set()
    for each in found:
        if not isinstance(each, Backend):
            return f"found {shown(each)}, which is no Backend"
        try:
            # A program may have made a backend of any text.
            _ = each.description.hostName, plainName(each.name)
        except ValueError as error:
            return f"{shown(each.connect)}: {error}"
        if each.name in names:
            return f"found two backends with the name {each.name}"
        names.add(each.name)
    return ""
