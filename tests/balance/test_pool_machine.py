"""Anything that may happen to a pool, beside the simplest account of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import floor, inf

import pytest
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from pooled import Told

from lbproxy.balance.health import EjectionOptions
from lbproxy.balance.lease import Lease
from lbproxy.balance.options import PoolOptions
from lbproxy.balance.pool import Pool
from lbproxy.balance.queue import Place
from lbproxy.words.backend import Backend, Member, Standing

STATES = st.sampled_from(["ready", "ready", "drain", "maintenance"])
DATA = st.data()
LATER = st.sampled_from([0.0, 0.0, 0.0, 0.5, 3.0, 10.0, 25.0])
"""How much time has passed since the step before."""

BACKENDS = st.builds(
    lambda name, other, weight, limit, backup, tier, state: Backend(
        f"tcp:{name}{'-other' * other}:80",
        *(name, weight, limit, backup, state),
        tier=tier,
    ),
    st.sampled_from("abcde"),
    st.sampled_from([False, False, False, True]),
    st.integers(1, 3),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from([0, 0, 1, 7]),
    st.sampled_from(["ready", "ready", "ready", "drain", "maintenance"]),
)
CONFIGURATIONS = st.lists(BACKENDS, max_size=5, unique_by=lambda each: each.name)
OPTIONS = st.builds(
    PoolOptions,
    maxDials=st.integers(0, 2),
    queueLength=st.integers(0, 4),
    slowStart=st.sampled_from([0.0, 8.0]),
    whenAllDown=st.sampled_from(["try-all", "refuse"]),
)
EJECTIONS = st.builds(
    EjectionOptions,
    st.integers(0, 3),
    st.just(10.0),
    st.just(45.0),
    st.sampled_from([0.0, 0.34, 0.5, 1.0]),
    st.sampled_from(["ok", "failure"]),
)


@define(eq=False)
class Expected:
    """What one member should be like."""

    backend: Backend
    heldState: str | None = None
    heldWeight: int | None = None
    down: bool = False
    failures: int = 0
    allFailures: int = 0
    ejections: int = 0
    until: float | None = None
    active: int = 0
    dials: int = 0

    @property
    def state(self) -> str:
        return self.heldState or self.backend.state

    @property
    def isOut(self) -> bool:
        return self.down or self.until is not None


@define(eq=False)
class Claim:
    """A lease that is held."""

    lease: Lease
    dialling: bool
    answered: Callable[[], object] | None = None
    failures: int = 0


@define(eq=False)
class Waiting:
    """A connection that waits for room as an exchange does."""

    tried: tuple[Member, ...]
    only: Member | None
    takesTime: bool
    place: Place | None = None
    offered: list[Member] = field(factory=list)

    @property
    def isParticular(self) -> bool:
        return bool(self.tried) or self.only is not None


class PoolMachine(RuleBasedStateMachine):
    """Connections, checks, programs, reloads and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.claims: list[Claim] = []
        self.waiting: list[Waiting] = []
        self.due = False
        self.wake = inf

    @initialize(backends=CONFIGURATIONS, options=OPTIONS, ejection=EJECTIONS)
    def build(
        self, backends: list[Backend], options: PoolOptions, ejection: EjectionOptions
    ) -> None:
        self.options, self.ejection = options, ejection
        self.picker = Told()
        self.pool = Pool("web", backends, self.picker, ejection, None, options)
        self.pool.hasRoom = self.hasRoom
        self.model = {each: Expected(each.backend) for each in self.pool.members}
        self.order = list(self.pool.members)

    def hasRoom(self) -> None:
        self.due = True

    # The account.

    def comeBack(self) -> None:
        for member in self.model:
            until = self.model[member].until
            if until is not None and until <= self.now:
                self.endEjection(member)

    def endEjection(self, member: Member) -> None:
        expected = self.model[member]
        if expected.until is not None:
            probation = max(self.ejection.consecutiveFailures - 1, 0)
            expected.until = None
            expected.failures = min(expected.failures, probation)

    def isFull(self, member: Member) -> bool:
        limit, dials = self.model[member].backend.maxConnections, self.options.maxDials
        expected = self.model[member]
        return 0 < limit <= expected.active or 0 < dials <= expected.dials

    def room(self, members: Collection[Member]) -> float:
        dials = self.options.maxDials or inf
        return sum(
            min(
                (self.model[each].backend.maxConnections or inf)
                - self.model[each].active,
                dials - self.model[each].dials,
            )
            for each in members
        )

    def tier(self, member: Member) -> int:
        backend = self.model[member].backend
        return 1 if backend.backup and backend.tier == 0 else backend.tier

    def groups(self) -> tuple[list[Member], list[Member]]:
        """Who is picked from now, and who is the last resort."""
        ready = [each for each in self.order if self.model[each].state == "ready"]
        tiers = [
            [each for each in ready if self.tier(each) == number]
            for number in sorted(map(self.tier, ready))
        ]
        for tier in tiers:
            up = [each for each in tier if not self.model[each].isOut]
            if up:
                return up, [each for each in tier if self.model[each].isOut]
        for tier in tiers:
            if tier and self.options.whenAllDown == "try-all":
                return tier, []
        return [], []

    def group(self, tried: Collection[Member]) -> list[Member]:
        """Whom a connection that has tried some may use, full ones included."""
        current, resort = self.groups()
        left = [each for each in current if each not in tried]
        if left or self.options.whenAllDown == "refuse" or not tried:
            return left
        return [each for each in resort if each not in tried]

    def choices(self, tried: Collection[Member], only: Member | None) -> list[Member]:
        """Whom a connection may be sent to now."""
        if only is None:
            usable = self.group(tried)
        else:
            usable = [only] if self.mayUse(only) else []
        return [each for each in usable if not self.isFull(each)]

    def mayUse(self, member: Member) -> bool:
        expected = self.model[member]
        if member not in self.order or expected.state != "ready":
            return False
        return not expected.isOut or self.options.whenAllDown == "try-all"

    # Connections.

    def take(self, member: Member) -> None:
        """Lease a member that has room."""
        lease = self.pool.lease(member)
        assert lease is not None
        expected = self.model[member]
        expected.active += 1
        dialling = self.options.maxDials > 0
        expected.dials += dialling
        limit = expected.backend.maxConnections or inf
        assert member.active <= limit
        assert member.dials <= (self.options.maxDials or inf)
        self.claims.append(Claim(lease, dialling))

    def someTried(self, data: st.DataObject) -> tuple[Member, ...]:
        members = st.sampled_from(list(self.model))
        return tuple(data.draw(st.lists(members, max_size=3)) if self.model else ())

    @rule(data=DATA, later=LATER, particular=st.booleans(), takesTime=st.booleans())
    def connect(
        self, data: st.DataObject, later: float, particular: bool, takesTime: bool
    ) -> None:
        self.now += later
        tried, only = self.someTried(data), None
        if particular and self.model:
            tried, only = (), data.draw(st.sampled_from(list(self.model)))
        connection = Waiting(tried, only, takesTime)
        if self.waiting:
            self.queue(connection)
            return
        view = self.pool.candidates(self.now, tried)
        self.comeBack()
        found = self.choices(tried, only)
        if only is None:
            assert list(view) == found
            assert [view[at] for at in range(len(view))] == found
            assert {each for each in self.model if each in view} == set(found)
        else:
            assert self.pool.admits(only, self.now) == bool(found)
        if found:
            self.take(data.draw(st.sampled_from(found)))
            return
        usable = self.group(tried) if only is None else [only] * self.mayUse(only)
        assert self.pool.awaitsRoom(tried, only) == bool(usable)
        if usable:
            self.queue(connection)

    @rule(data=DATA)
    @precondition(lambda self: self.model)
    def leaseWithoutAsking(self, data: st.DataObject) -> None:
        """A choice may be stale: what is full or gone is never leased."""
        member = data.draw(st.sampled_from(list(self.model)))
        if member in self.order and not self.isFull(member):
            self.take(member)
        else:
            assert self.pool.lease(member) is None

    def draw(self, data: st.DataObject) -> Claim:
        return data.draw(st.sampled_from(self.claims))

    @rule(data=DATA)
    @precondition(lambda self: self.claims)
    def dialSucceeds(self, data: st.DataObject) -> None:
        claim = self.draw(data)
        claim.answered = claim.lease.succeeded()
        claim.failures = self.model[claim.lease.member].allFailures
        if not self.pool.countsEmpty:
            assert claim.answered is None
            self.succeeded(claim.lease.member)
        self.dialEnds(claim)

    @rule(data=DATA)
    @precondition(lambda self: any(each.answered for each in self.claims))
    def backendAnswers(self, data: st.DataObject) -> None:
        claims = [each for each in self.claims if each.answered]
        claim = data.draw(st.sampled_from(claims))
        assert claim.answered is not None
        claim.answered()
        claim.answered = None
        if claim.failures == self.model[claim.lease.member].allFailures:
            self.succeeded(claim.lease.member)

    def succeeded(self, member: Member) -> None:
        expected = self.model[member]
        expected.failures = 0
        if expected.until is None:
            expected.ejections = 0

    def dialEnds(self, claim: Claim) -> None:
        if claim.dialling:
            self.model[claim.lease.member].dials -= 1
            claim.dialling = False

    @rule(data=DATA, later=LATER, times=st.integers(1, 3))
    @precondition(lambda self: self.claims)
    def dialFails(self, data: st.DataObject, later: float, times: int) -> None:
        self.now += later
        claim = self.draw(data)
        for _ in range(times):
            claim.lease.failed(self.now, "refused")
            self.failed(claim.lease.member)
        self.release(claim)

    def failed(self, member: Member) -> None:
        self.comeBack()
        if member not in self.order:
            return
        expected, enough = self.model[member], self.ejection.consecutiveFailures
        expected.failures += 1
        expected.allFailures += 1
        ejected = sum(each.until is not None for each in self.model.values())
        most = floor(self.ejection.maxEjected * len(self.order) + 1e-9)
        if (
            expected.until is None
            and 0 < enough <= expected.failures
            and ejected < most
        ):
            expected.until = self.now + min(10.0 * 2**expected.ejections, 45.0)
            expected.ejections += 1

    @rule(data=DATA, later=LATER)
    @precondition(lambda self: self.claims)
    def backendEndsEmpty(self, data: st.DataObject, later: float) -> None:
        self.now += later
        claim = self.draw(data)
        claim.lease.endedEmpty(self.now)
        if self.ejection.emptyAnswer == "failure":
            self.failed(claim.lease.member)
        self.release(claim)

    @rule(data=DATA, later=LATER)
    @precondition(lambda self: self.claims)
    def over(self, data: st.DataObject, later: float) -> None:
        self.now += later
        self.release(self.draw(data))

    def release(self, claim: Claim) -> None:
        claim.lease.release()
        self.dialEnds(claim)
        self.model[claim.lease.member].active -= 1
        self.claims.remove(claim)
        with pytest.raises(RuntimeError):
            claim.lease.release()

    # The queue.

    def queue(self, connection: Waiting) -> None:
        waits = len(self.waiting) < self.options.queueLength
        connection.place = self.pool.wait(
            connection.tried, connection.only, lambda: self.called(connection)
        )
        assert (connection.place is not None) == waits
        if waits:
            self.waiting.append(connection)

    def called(self, connection: Waiting) -> None:
        kept = sum(
            each.place is not None and each.place.called for each in self.waiting
        )
        for other in self.waiting[: self.waiting.index(connection)]:
            assert other.place is not None
            if not other.place.called:
                # It was passed over because there is no room for it.
                room = self.room(self.choices(other.tried, other.only))
                assert room < kept
        self.choose(connection)

    def choose(self, connection: Waiting) -> None:
        """What an exchange does when it is its turn."""
        place = connection.place
        assert place is not None
        view = self.pool.candidates(self.now, connection.tried)
        self.comeBack()
        found = self.choices(connection.tried, connection.only)
        if connection.only is None:
            assert list(view) == found
        if not found:
            place.wait()
        elif connection.takesTime and connection.only is None:
            connection.offered = found
        else:
            self.take(found[0])
            self.leave(connection)

    def leave(self, connection: Waiting) -> None:
        assert connection.place is not None
        connection.place.leave()
        connection.place.leave()
        self.waiting.remove(connection)

    def choosing(self) -> list[Waiting]:
        return [each for each in self.waiting if each.place and each.place.called]

    @rule(data=DATA, later=LATER, refuses=st.booleans())
    @precondition(lambda self: self.choosing())
    def pickerAnswers(self, data: st.DataObject, later: float, refuses: bool) -> None:
        self.now += later
        connection = data.draw(st.sampled_from(self.choosing()))
        picked = data.draw(st.sampled_from(connection.offered))
        view = self.pool.candidates(self.now, connection.tried)
        self.comeBack()
        if refuses:
            self.leave(connection)
        elif picked in view:
            self.take(picked)
            self.leave(connection)
        else:
            self.choose(connection)

    @rule(data=DATA)
    @precondition(lambda self: self.waiting)
    def clientLeaves(self, data: st.DataObject) -> None:
        self.leave(data.draw(st.sampled_from(self.waiting)))

    # Checks, programs, reloads.

    @rule(data=DATA, later=LATER, down=st.booleans())
    @precondition(lambda self: self.model)
    def check(self, data: st.DataObject, later: float, down: bool) -> None:
        self.now += later
        member = data.draw(st.sampled_from(list(self.model)))
        if down:
            self.pool.wentDown(member, self.now, "no answer")
        else:
            self.pool.wentUp(member, self.now)
        if member in self.order:
            self.model[member].down = down
            if not down:
                self.endEjection(member)
                self.model[member].failures = 0

    @rule(data=DATA, later=LATER, state=st.none() | STATES)
    @precondition(lambda self: self.order)
    def setState(self, data: st.DataObject, later: float, state: str | None) -> None:
        self.now += later
        member = data.draw(st.sampled_from(self.order))
        self.pool.setState(member, state, self.now)
        self.model[member].heldState = state

    @rule(data=DATA, weight=st.none() | st.integers(1, 3))
    @precondition(lambda self: self.order)
    def setWeight(self, data: st.DataObject, weight: int | None) -> None:
        member = data.draw(st.sampled_from(self.order))
        self.pool.setWeight(member, weight)
        self.model[member].heldWeight = weight

    @rule(backends=CONFIGURATIONS, later=LATER)
    def update(self, backends: list[Backend], later: float) -> None:
        self.now += later
        before = self.order
        removed = self.pool.update(backends, self.now)
        known = {
            (member.name, expected.backend.connect): member
            for member, expected in self.model.items()
            if expected.active or member in before
        }
        self.order = list(self.pool.members)
        for member, backend in zip(self.order, backends, strict=True):
            same = known.get((backend.name, backend.connect))
            if same is None:
                assert member not in self.model
                self.model[member] = Expected(backend)
            else:
                assert member is same
                self.model[member].backend = backend
        assert removed == [each for each in before if each not in self.order]
        for member in removed:
            self.model[member].down = False
            self.endEjection(member)

    @rule(options=OPTIONS, ejection=EJECTIONS, later=LATER)
    def configure(
        self, options: PoolOptions, ejection: EjectionOptions, later: float
    ) -> None:
        self.now += later
        self.pool.configure(options, ejection)
        self.options, self.ejection = options, ejection

    @rule()
    def usePicker(self) -> None:
        before, self.picker = self.picker, Told()
        self.picker.loads.update(
            (each, expected.active) for each, expected in self.model.items()
        )
        self.pool.usePicker(self.picker)
        assert not before.weights

    # What holds after each step.

    def serve(self) -> None:
        """Let those pick that wait, as a pool's owner does in the next turn."""
        if self.pool.queue.places and self.now >= self.wake:
            self.due = True
        for _ in range(50):
            if not self.due:
                return
            self.due, self.wake = False, inf
            self.comeBack()
            self.pool.callWaiting(self.now)
            if self.pool.queue.places:
                self.wake = self.pool.nextDue
        raise AssertionError("those that wait are called without end")

    @invariant()
    def holds(self) -> None:
        self.serve()
        view = self.pool.candidates(self.now)
        self.comeBack()
        assert not (self.due and self.waiting), "nobody was told that there is room"
        self.membersAreAsExpected()
        assert list(view) == self.choices((), None)
        self.nobodyWaitsInVain()
        self.thePickerWasTold()

    def membersAreAsExpected(self) -> None:
        for member, expected in self.model.items():
            assert member.backend == expected.backend
            assert member.active == expected.active >= 0
            assert member.dials == expected.dials >= 0
            assert member.consecutiveFailures == expected.failures
            assert member.ejections == expected.ejections
            assert member.ejectedUntil == expected.until
            assert (member.downSince is not None) == expected.down
            assert 0.1 <= member.ramp <= 1.0
            if member in self.order:
                assert member.isFull == self.isFull(member)
                assert self.pool.has(member.backend)
        for member in self.order:
            expected = self.model[member]
            standing = Standing.FULL if self.isFull(member) else Standing.AVAILABLE
            if expected.until is not None:
                standing = Standing.EJECTED
            if expected.down:
                standing = Standing.DOWN
            if expected.state != "ready":
                standing = Standing(expected.state)
            assert member.standing is standing

    def nobodyWaitsInVain(self) -> None:
        queue = self.pool.queue
        assert list(queue.places) == [each.place for each in self.waiting]
        assert queue.called == len(self.choosing())
        assert queue.particular == sum(each.isParticular for each in self.waiting)
        for each in self.waiting:
            if each not in self.choosing():
                room = self.room(self.choices(each.tried, each.only))
                assert room <= queue.called

    def thePickerWasTold(self) -> None:
        current = self.groups()[0]
        assert set(self.picker.weights) == set(current)
        for member, weight in self.picker.weights.items():
            assert weight == member.effectiveWeight > 0
            expected = self.model[member]
            assert member.weight == (expected.heldWeight or expected.backend.weight)
        assert self.picker.full == {each for each in current if self.isFull(each)}
        for member, expected in self.model.items():
            assert self.picker.loads.get(member, 0) == expected.active
        assert self.picker.all == self.order

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.pool.close()
        assert not self.picker.weights
        loads = dict(self.picker.loads)
        for claim in list(self.claims):
            self.release(claim)
        assert all(each.active == 0 == each.dials for each in self.model)
        assert self.picker.loads == loads


PoolMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None
)
TestPoolMachine = PoolMachine.TestCase
