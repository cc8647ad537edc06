"""A pool of a running balancer: what drives it, and what a program may do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from .balance.pool import Pool
from .plugins.making import buildPicker
from .pooldiscovery import PoolDiscovery
from .poolhealth import PoolHealth
from .proxy.pluginerrors import nameOf
from .words.backend import Backend, Member, parseState, parseWeight
from .words.connection import End
from .words.units import formatDuration

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from .config.model import PoolConfiguration
    from .demo import Demo
    from .discovery.options import DiscoveryOptions
    from .generation import Process
    from .interfaces import IBackendPicker, IPoolObserver
    from .streams.wheel import Timer


_SHOWN = 10
"""The most members that one line of the log names."""


class RunningPool:
    """
    One pool of a running balancer, as L{lbproxy.LoadBalancer.pool} returns it.

    A program may add and remove members, and set their states and weights.  What it
    has set stays when the configuration is loaded again.

    @ivar name: The name of the pool.
    """

    _log = Logger()

    def __init__(
        self,
        process: Process,
        configured: PoolConfiguration,
        given: IBackendPicker | None,
        observer: IPoolObserver,
    ) -> None:
        """
        @param given: A picker that a program has passed, which is used instead of the
            configured one.
        """
        self.name = configured.name
        self._process = process
        self._given = given
        self._configured = configured
        self._added: dict[str, Backend] = {}
        self._removed: set[str] = set()
        # Those that have the queue served.
        self._wake: IDelayedCall | None = None
        self._due: Timer | None = None
        self._removals: dict[Member, Timer] = {}
        picker = self._picker(configured)
        self._demo: Demo | None = None
        if not configured.backends and configured.discovery is None:
            self._demo = _demo(process.reactor)
        backends = configured.backends
        if self._demo is not None:
            backends = self._demo.start()
            self._log.info("No backends were named. {advice}", advice=self._demo.advice)
        self._discovery = PoolDiscovery(process, configured.name, self._discovered)
        self._discovery.use(configured)
        self._discovery.list(backends)
        self.pool = Pool(
            configured.name,
            self._discovery.backends,
            picker,
            configured.ejection,
            observer,
            configured.options,
            self._pickerFailed,
        )
        self.pool.hasRoom = self._hasRoom
        self.pool.expect(self._discovery.expected, self._discovery.trouble)
        self._checks = PoolHealth(process, self.pool)
        self._checks.use(configured)
        self._log.info(
            "Pool {pool} picks by {picker} among {backends}",
            pool=configured.name,
            picker=str(configured.picker) if given is None else nameOf(given),
            backends=", ".join(
                [*map(_described, backends), *_named(configured.discovery)]
            ),
        )
        listed = {each.name for each in backends}
        self._tell({m: m.backend for m in self.members if m.name in listed})

    # What a program may do.

    @property
    def members(self) -> tuple[Member, ...]:
        """The members, in the order of configuration; those that were added last."""
        return self.pool.members

    def member(self, name: str) -> Member:
        """
        The member with a name.

        @raise LookupError: If there is none.
        """
        for member in self.pool.members:
            if member.name == name:
                return member
        known = ", ".join(each.name for each in self.pool.members)
        raise LookupError(f"pool {self.name} has no member {name}; it has {known}")

    def add(self, backend: Backend) -> Member | None:
        """
        Add a member.

        One that was removed and has connections still comes back with its counts.

        @return: The member; L{None} if it has a host name that is not looked up yet.
            It becomes a member for each address, C{NAME@ADDRESS}.
        @raise ValueError: If a member has its name.
        """
        if any(each.name == backend.name for each in self.pool.members):
            raise ValueError(f"pool {self.name} has a member {backend.name} already")
        self._removed.discard(backend.name)
        self._added[backend.name] = backend
        self._update()
        for member in self.pool.members:
            if member.name in (backend.name, f"{backend.name}@{_addressOf(member)}"):
                return member
        return None

    def remove(self, name: str) -> None:
        """
        Remove a member, or a backend with all members that its host name has.  Its
        connections go on, for C{removal-timeout} at most.

        @raise LookupError: If there is no such member or backend.
        """
        listed = (*self._configured.backends, *self._added.values())
        if all(each.name != name for each in listed):
            self.member(name)
        if self._added.pop(name, None) is None:
            self._removed.add(name)
        self._update()

    def setState(self, name: str, state: str | None) -> None:
        """
        Set the state of a member.

        @param state: C{"ready"}, C{"drain"} or C{"maintenance"}; L{None} for the
            configured one.
        @raise LookupError: If there is no such member.
        @raise ValueError: If there is no such state.
        """
        member = self.member(name)
        chosen = None if state is None else parseState(state)
        self.pool.setState(member, chosen, self._process.wheel.now())
        self._checks.membersChanged()

    def setWeight(self, name: str, weight: int | None) -> None:
        """
        Set the weight of a member.

        @param weight: 1 to 65535; L{None} for the configured one.
        @raise LookupError: If there is no such member.
        @raise ValueError: If there is no such weight.
        """
        member = self.member(name)
        self.pool.setWeight(member, None if weight is None else parseWeight(weight))

    # What the balancer does.

    def apply(self, configured: PoolConfiguration) -> list[str]:
        """
        Go by another configuration from now on.

        @return: What a program has set that differs from it, one line for each.
        """
        before, self._configured = self._configured, configured
        if configured is before:
            return []
        self.pool.configure(configured.options, configured.ejection)
        if configured.picker != before.picker:
            self.pool.usePicker(self._picker(configured))
        names = {each.name for each in configured.backends}
        self._removed -= {each.name for each in before.backends} - names
        for name in names & set(self._added):
            del self._added[name]
        self._discovery.use(configured)
        self._update()
        self._checks.use(configured)
        for member in self.pool.members:
            member.way = None  # It has the connect-timeout from before.
        return list(self._differences())

    def retire(self) -> None:
        """Take all members away, since no new connection uses the pool."""
        self._discovery.close()
        self._takeAway([])

    def close(self) -> None:
        """Let go of the picker, and stop all that goes on by itself."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if self._due is not None:
            self._due.cancel()
        for removal in self._removals.values():
            removal.cancel()
        self._discovery.close()
        self._checks.close()
        self.pool.hasRoom = _ignore
        self.pool.close()
        if self._demo is not None:
            self._demo.close()

    def _differences(self) -> Iterable[str]:
        for member in self.pool.members:
            where = f"{self.name}/{member.name}"
            if member.name in self._added:
                yield f"{where} was added by hand"
            if member.heldState is not None:
                yield f'{where} was set to "{member.heldState}" by hand'
            if member.heldWeight is not None:
                yield f"{where} was set to weight {member.heldWeight} by hand"
        for name in sorted(self._removed):
            yield f"{self.name}/{name} was removed by hand"

    def _picker(self, configured: PoolConfiguration) -> IBackendPicker:
        if self._given is not None:
            return self._given
        return buildPicker(configured.picker, configured.place.key("picker"))

    def _pickerFailed(self, plugin: object, doing: str) -> None:
        # The pool may not be made yet.
        self._process.errors.tell(plugin, Failure(), doing)

    def _update(self) -> None:
        """Let the pool have the members that are configured, added and not removed."""
        demo, configured = self._demo, self._configured.backends
        if demo is not None:
            configured = demo.backends
        kept = [each for each in configured if each.name not in self._removed]
        self._discovery.list([*kept, *self._added.values()])
        self._takeAway(self._present())

    def _present(self) -> list[Backend]:
        """The backends that are there and that no program has removed."""
        found = self._discovery.backends
        return [each for each in found if each.name not in self._removed]

    def _discovered(self) -> None:
        """Other backends were found than before."""
        before = {each: each.backend for each in self.pool.members}
        self._take(self._present())
        self._tell(before)

    def _tell(self, before: Mapping[Member, Backend]) -> None:
        """Log which members came, went or are configured otherwise, and why."""
        after = {each: each.backend for each in self.pool.members}
        went = before.keys() - after.keys()
        other = {
            each for each in before if after.get(each, before[each]) != before[each]
        }
        changes = [
            _names(after.keys() - before.keys(), "came"),
            _names(went, "went"),
            _names(other, "changed"),
        ]
        active, reason = sum(each.active for each in went), self._discovery.reason
        if any(changes):
            self._log.info(
                "pool {pool}: {changes}: {reason}{connections}",
                pool=self.name,
                changes=", ".join(filter(None, changes)),
                reason=reason,
                connections=f"; {active} connections {self._fate}" if active else "",
            )

    @property
    def _fate(self) -> str:
        """What becomes of the connections of a member that is taken away."""
        timeout = self._configured.options.removalTimeout
        return f"have {formatDuration(timeout)}" if timeout else "go on"

    def _takeAway(self, kept: Iterable[Backend]) -> None:
        """Let the pool have these backends, and log which members it has no more."""
        for member in self._take(kept):
            self._log.info(
                "member {pool}/{member} was taken away; it has {active} connections, "
                "which {fate}",
                pool=self.name,
                member=member.name,
                active=member.active,
                fate=self._fate,
            )

    def _take(self, backends: Iterable[Backend]) -> list[Member]:
        """
        Let the pool have these backends, and no others.

        @return: The members that were taken away.
        """
        process, timeout = self._process, self._configured.options.removalTimeout
        removed = self.pool.update(backends, process.wheel.now())
        for member in removed:
            if timeout and member.active:
                call = process.wheel.call(timeout, self._ender(member))
                self._removals[member] = call
        self.pool.expect(self._discovery.expected, self._discovery.trouble)
        for member in self.pool.members:
            revived = self._removals.pop(member, None)
            if revived is not None:
                revived.cancel()
        self._checks.membersChanged()
        return removed

    def _ender(self, member: Member) -> Callable[[], object]:
        def end() -> None:
            del self._removals[member]
            count = self._process.abortOn(member, End.DRAINED)
            if count:
                self._log.info(
                    "Cut off {count} connections of {pool}/{member}, "
                    "which was taken away",
                    count=count,
                    pool=self.name,
                    member=member.name,
                )

        return end

    # The queue is served in a turn of its own, not while a session is ending.

    def _hasRoom(self) -> None:
        if self._wake is None:
            self._wake = self._process.reactor.callLater(0, self._serve)

    def _serve(self) -> None:
        self._wake = None
        pool, wheel = self.pool, self._process.wheel
        pool.callWaiting(wheel.now())
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if pool.queue.places and pool.nextDue < float("inf"):
            # A member may come back by time alone.
            self._due = wheel.call(pool.nextDue - wheel.now(), self._hasRoom)


def _demo(reactor: Any) -> Demo:
    # It needs twisted.web, whose import is a tenth of the time that a start takes.
    from .demo import Demo

    return Demo(reactor)


def _ignore() -> None:
    """The pool is closed."""


def _addressOf(member: Member) -> str:
    return member.backend.description.host or ""


def _named(discovery: DiscoveryOptions | None) -> Iterable[str]:
    return () if discovery is None else (f"what {discovery} finds",)


def _names(members: Iterable[Member], what: str) -> str:
    """The first names of some members, and what they did; empty if there are none."""
    names = sorted(each.name for each in members)
    more = len(names) - _SHOWN
    said = ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"{said} {what}" if names else ""


def _described(backend: Backend) -> str:
    name, connect = backend.name, backend.connect
    return connect if name == connect else f"{name} ({connect})"
