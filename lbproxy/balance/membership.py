"""The members of a pool: who may be picked, why not, and what changes it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from ..words.backend import Member, Standing
from .arrivals import Arrivals
from .groups import Groups
from .health import DEFAULT_EJECTION, EjectionOptions, PassiveHealth, Verdict
from .informed import InformedPicker
from .options import DEFAULT_OPTIONS, PoolOptions
from .queue import Queue
from .slowstart import SlowStart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..interfaces import IBackendPicker, IPoolObserver
    from ..words.backend import Backend
    from .informed import PickerFailed


class Membership:
    """
    The members of one pool, sorted into those that may be picked and those that may
    not, whatever the reason: the configuration, a program, checks, failures, limits.

    An ejection ends, and a slow start goes on, with the first call of L{candidates}
    after its time has come.  No timer is needed: no member is picked in between.

    @ivar name: Its name in the configuration, logs and metrics.
    @ivar picker: The policy that chooses among the candidates.
    @ivar members: All members, in the order of configuration.
    @ivar options: How it uses them.
    @ivar queue: The connections that wait for room.
    @ivar arrivals: The connections that wait for the first members.
    @ivar countsEmpty: Whether an empty answer counts as a failed dial.
    @ivar follows: Whether it must be told of each lease and each release.
    @ivar timed: What tells its picker how long members take; L{None} if nothing does.
    @ivar hasRoom: Called when a connection that waits may find room.  It has
        C{callWaiting} called later, since another may be in the middle of its end.
    """

    def __init__(
        self,
        name: str,
        backends: Iterable[Backend],
        picker: IBackendPicker,
        ejection: EjectionOptions = DEFAULT_EJECTION,
        observer: IPoolObserver | None = None,
        options: PoolOptions = DEFAULT_OPTIONS,
        pickerFailed: PickerFailed | None = None,
    ) -> None:
        """
        @param backends: Each becomes a member.  A backend that is listed twice
            becomes two members, and so gets two shares.
        @param picker: Used by this pool only.  It is told about the members what
            its interfaces ask for.
        @param observer: Called with what happens to the members.
        @param pickerFailed: See L{InformedPicker}.
        """
        self.name = name
        self.members: tuple[Member, ...] = ()
        self.hasRoom: Callable[[], object] = lambda: None
        self._observer: IPoolObserver | None = None
        self._pickerFailed = pickerFailed
        self.picker = picker
        self._picker = InformedPicker(picker, pickerFailed)
        self._positions: dict[Member, int] = {}
        self._named: dict[Backend, list[Member]] = {}
        self._leaving: set[Member] = set()
        self._groups = Groups(self._positions)
        self._tier = self._groups.tier(False)
        self._current = self._tier.up
        self._health, self._slow = PassiveHealth(ejection, 0), SlowStart(0)
        self._lowest = self._backups = 0  # the lowest tier; that of backups in use
        self._nextDue = inf
        self.queue = Queue(0)
        self.arrivals = Arrivals()
        self.options = DEFAULT_OPTIONS
        self.update(backends, 0.0)  # None of them starts slowly.
        self.configure(options, ejection)
        self._observer = observer

    @property
    def nextDue(self) -> float:
        """When a member may come back without any other event; or infinity."""
        return self._nextDue

    def configure(self, options: PoolOptions, ejection: EjectionOptions) -> None:
        """Go by other options from now on."""
        self.options = options
        self.countsEmpty = ejection.emptyAnswer == "failure"
        self.queue.length = options.queueLength
        self._slow.seconds = options.slowStart
        self._health.use(ejection, len(self.members))
        self._follow()
        for member in self.members:
            if not options.slowStart:
                self._endSlowStart(member)
            self._measure(member)
        self._choose()
        self._roomMade()

    def usePicker(self, picker: IBackendPicker) -> None:
        """Choose by another picker from now on."""
        if picker is self.picker:
            return
        self.picker = picker
        self._picker.removed(self._current.inOrder())
        self._picker = InformedPicker(picker, self._pickerFailed)
        self._picker.configured(self.members)
        self._picker.added(self._current.inOrder())
        self._follow()

    def update(self, backends: Iterable[Backend], now: float) -> list[Member]:
        """
        Have these backends as members, and no others.

        A member is the same if its name and its description are.  It keeps its counts
        and its health then, whatever else has changed; also if it was removed and has
        connections still.

        @param backends: In their order; names are distinct.
        @return: The members that were removed.
        """
        known: dict[tuple[str, str], Member | None] = {
            (each.name, each.backend.connect): each
            for each in (*self._leaving, *self.members)
        }
        kept = {
            known.pop((each.name, each.connect), None) or Member(each): each
            for each in backends
        }
        removed = [each for each in self.members if each not in kept]
        fresh = {each: None for each in kept if each not in self._positions}
        for member in removed:
            self._remove(member)
        self.members = tuple(kept)
        self._positions.clear()
        self._positions.update((each, at) for at, each in enumerate(self.members))
        self._lowest = min((each.tier for each in kept.values()), default=0)
        self._groups.reorder()
        self._health.use(self._health.options, len(self.members))
        for member, backend in kept.items():
            if member not in fresh:
                self._revise(member, backend, now)
        self._join({each: kept[each] for each in fresh}, now)
        self._choose()
        self._named = {}
        for member in self.members:
            listed = member.backend.origin or member.backend
            self._named.setdefault(listed, []).append(member)
        self._follow()
        self._picker.configured(self.members)
        self._roomMade()
        return removed

    def setState(self, member: Member, state: str | None, now: float) -> None:
        """
        Set the state of a member by hand.

        @param state: L{None} for the configured one again.
        """
        before = member.state
        member.heldState = state
        if member.state == before:
            return
        self._stateChanged(member, before, now)
        self._place(member)

    def setWeight(self, member: Member, weight: int | None) -> None:
        """
        Set the weight of a member by hand.

        @param weight: L{None} for the configured one again.
        """
        before = member.weight
        member.heldWeight = weight
        if member.weight != before:
            self._reweighed(member)
            self._picker.configured(self.members)

    def startDown(self, member: Member, now: float) -> None:
        """A member is down until its checks have found it up; no observer is told."""
        member.downSince = now
        self._place(member)

    def wentDown(self, member: Member, now: float, reason: str) -> None:
        """The checks of a member have found it down."""
        # A check may end when the member was removed.
        if member.downSince is not None or member not in self._positions:
            return
        member.downSince = now
        if self._observer is not None:
            self._observer.wentDown(self.name, member, reason)
        self._place(member)
        self._endSlowStart(member)

    def wentUp(self, member: Member, now: float) -> None:
        """The checks of a member have found it up: its ejection is over, too."""
        if member not in self._positions:
            return
        since, member.downSince = member.downSince, None
        if since is not None:
            self._cameUp(member, now)
            if self._observer is not None:
                self._observer.wentUp(self.name, member, now - since)
        if member.ejectedUntil is not None:
            self._health.end(member)
            self._tellReturned(member, now)
        member.consecutiveFailures = 0
        self._place(member)

    def close(self) -> None:
        """Take all members from the picker, so that another pool may use it."""
        self._picker.removed(self._current.inOrder())
        self._picker.leave()

    # Internals.

    def _follow(self) -> None:
        """Find out whether each lease and release has to be told, and each answer."""
        self.timed = self._picker if self._picker.followsLatency else None
        self.follows = bool(
            self.options.maxDials
            or self._picker.followsLoad
            or self._leaving
            or any(each.backend.maxConnections for each in self.members)
        )

    def _catchUp(self, now: float) -> None:
        """End the ejections and take the steps of slow starts that are due."""
        if now >= self._health.nextReturn:
            for member in self._health.returned(now):
                self._tellReturned(member, now)
                self._place(member)
        if now >= self._slow.nextStep:
            for member in self._slow.step(now):
                self._reweighed(member)
        self._schedule()

    def _schedule(self) -> None:
        self._nextDue = min(self._health.nextReturn, self._slow.nextStep)

    def _count(self, member: Member, now: float, reason: str) -> None:
        """Count a failure of C{member}, and eject it if it has failed often enough."""
        # A member whose ejection is over must not count as ejected: not towards
        # the limit, and not if it is this member itself.
        if now >= self._nextDue:
            self._catchUp(now)
        if member not in self._positions:
            return
        verdict = self._health.failed(member, now)
        observer = self._observer
        if verdict is Verdict.EJECTED:
            member.ejectedAt = now
            if observer is not None and member.ejectedUntil is not None:
                seconds = member.ejectedUntil - now
                failures = member.consecutiveFailures
                observer.ejected(self.name, member, seconds, failures, reason)
            self._place(member)
            self._schedule()
        elif verdict is Verdict.LIMITED and observer is not None:
            observer.notEjected(self.name, member, self._health.options.maxEjected)

    def _tellReturned(self, member: Member, now: float) -> None:
        if self._observer is not None:
            self._observer.returned(self.name, member, now - member.ejectedAt)

    def _cameUp(self, member: Member, now: float) -> None:
        """Begin a slow start, if other members are there to take the rest."""
        if self._groups.isServed(member.backend.effectiveTier):
            self._slow.begin(member, now)
            self._schedule()

    def _stateChanged(self, member: Member, before: str, now: float) -> None:
        """A slow start begins after maintenance, and ends with the next one."""
        if before == "maintenance" and member.state == "ready":
            self._cameUp(member, now)
        elif member.state == "maintenance":
            self._endSlowStart(member)
        if self._observer is not None:
            self._observer.stateSet(self.name, member, before)

    def _endSlowStart(self, member: Member) -> None:
        """Let the whole weight of a member count."""
        if self._slow.end(member):
            self._reweighed(member)

    def _revise(self, member: Member, backend: Backend, now: float) -> None:
        """Configure a member that stays in another way."""
        weight, state = member.effectiveWeight, member.state
        if backend != member.backend:
            member.way = None  # It may be another one now.
        member.backend = backend
        if member.state != state:
            self._stateChanged(member, state, now)
        self._move(member)
        self._measure(member)
        if member.effectiveWeight != weight:
            self._reweighed(member)

    def _join(self, fresh: Mapping[Member, Backend], now: float) -> None:
        """Add members.  They start slowly together, if there were others before."""
        served = {tier.number for tier in self._groups.tiers if tier.up.members}
        for member, backend in fresh.items():
            self._leaving.discard(member)
            member.backend = backend
            if backend.effectiveTier in served:
                self._slow.begin(member, now)
            self._move(member)
            self._measure(member)
        self._schedule()

    def _remove(self, member: Member) -> None:
        """Take a member out of the pool; it keeps its connections."""
        self._slow.end(member)
        self._health.end(member)
        member.downSince = None
        if self._groups.of(member) is self._current:
            self._picker.removed([member])
        self._groups.drop(member)
        if member.active:
            self._leaving.add(member)

    def _reweighed(self, member: Member) -> None:
        """The effective weight of a member has changed."""
        group = self._groups.of(member)
        if group is not None:
            group.open.reweighed()
            if group is self._current:
                self._picker.changed(member)

    def _measure(self, member: Member) -> None:
        """Find out whether a member is full, and say so if that has changed."""
        limit, dials = member.backend.maxConnections, self.options.maxDials
        full = 0 < limit <= member.active or 0 < dials <= member.dials
        if full is member.isFull:
            return
        member.isFull = full
        group = self._groups.of(member)
        if group is not None:
            group.measured(member)
            if group is self._current:
                self._picker.capacityChanged(member)

    def _place(self, member: Member) -> None:
        """Move a member, and find the group that is picked from then."""
        if self._move(member):
            self._choose()
            self._roomMade()

    def _move(self, member: Member) -> bool:
        """
        Move a member to the group that its standing asks for.

        @return: Whether it was in another one.
        """
        if member not in self._positions:
            return False  # It was removed.
        before = self._groups.of(member)
        self._groups.place(member)
        after = self._groups.of(member)
        if after is before:
            return False
        if before is self._current:
            self._picker.removed([member])
        elif after is self._current:
            self._picker.added([member])
        return True

    def _roomMade(self) -> None:
        """A connection that waits may find room now, or a member."""
        if self.queue.places or self.arrivals.waiting:
            self.hasRoom()

    def _choose(self) -> None:
        """Find the group that is picked from now, and say so if it has changed."""
        tryAll = self.options.whenAllDown == "try-all"
        tier = self._groups.tier(tryAll)
        current = tier.up if tier.up.members else tier.out
        before = self._current
        self._current, self._tier = current, tier
        if current is not before:
            self._picker.removed(before.inOrder())
            self._picker.added(current.inOrder())
        if not current.isUp:
            if before.isUp and self._observer is not None:
                self._tellNobodyLeft(self._observer)
            return
        backups = tier.number if tier.number > self._lowest else 0
        if backups != self._backups:
            self._backups = backups
            if self._observer is not None:
                self._observer.tierChanged(self.name, backups)

    def _tellNobodyLeft(self, observer: IPoolObserver) -> None:
        standings = [each.standing for each in self.members]
        observer.nobodyLeft(
            self.name,
            standings.count(Standing.EJECTED),
            standings.count(Standing.DOWN),
            tryingAll=bool(self._current.members),
        )
