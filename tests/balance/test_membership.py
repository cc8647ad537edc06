"""What changes who may be picked: reloads, checks, programs, slow starts, queues."""

from __future__ import annotations

import pytest
from pooled import (
    ONE_STRIKE,
    Heard,
    backendsOf,
    fail,
    leased,
    may,
    names,
    poolOf,
    toldBy,
)

from lbproxy.balance.health import DEFAULT_EJECTION
from lbproxy.balance.options import PoolOptions
from lbproxy.words.backend import Backend


class TestUpdate:
    def test_theBackupsServeWhenTheLastOtherIsRemoved(self) -> None:
        """A reload that takes the only primary away leaves the backup in use."""
        heard = Heard()
        pool = poolOf("aB", observer=heard)
        pool.update(backendsOf("B"), 0.0)
        assert may(pool) == "b"
        assert heard.since() == [("tierChanged", True)]

    def test_aReplacedPrimaryDoesNotOpenTheBackups(self) -> None:
        """While one reload is applied, nobody is told of what holds only in between."""
        heard = Heard()
        pool = poolOf("a", observer=heard)
        pool.update(backendsOf("Bc"), 0.0)
        assert may(pool) == "c"
        assert heard.since() == []

    def test_eachTierThatServesIsToldOf(self) -> None:
        """Who watches hears which backups serve, and when none do any more."""
        heard = Heard()
        pool = poolOf("", observer=heard)
        tiers = {"a": 10, "b": 20, "c": 30}
        backends = [backendsOf(name, tier=tier)[0] for name, tier in tiers.items()]
        pool.update(backends, 0.0)
        a, b, _ = pool.members
        assert heard.since() == []
        pool.wentDown(a, 0.0, "no answer")
        pool.wentDown(b, 0.0, "no answer")
        pool.wentUp(b, 0.0)
        pool.wentUp(a, 0.0)
        told = [each for each in heard.since() if each[0] == "tierChanged"]
        assert [tier for _, tier in told] == [20, 30, 20, 0]

    def test_backupsAreNoneWhenTheLowerTierIsRemoved(self) -> None:
        """The members of the lowest tier that is left are no backups any more."""
        heard = Heard()
        pool = poolOf("", observer=heard)
        first, second = (backendsOf(n, tier=t) for n, t in (("a", 10), ("b", 20)))
        pool.update([*first, *second], 0.0)
        pool.wentDown(pool.members[0], 0.0, "no answer")
        assert heard.since()[-1] == ("tierChanged", 20)
        pool.update(second, 0.0)
        assert (may(pool), heard.since()) == ("b", [("tierChanged", 0)])
        pool.update(backendsOf("b", tier=30), 0.0)
        assert (may(pool), heard.since()) == ("b", [])

    def test_slowStartsWithinATier(self) -> None:
        """A member starts slowly if others of its tier take the rest meanwhile."""
        pool = poolOf("a", slowStart=10.0)
        pool.update([*backendsOf("a"), *backendsOf("b", tier=2)], 0.0)
        assert [each.ramp for each in pool.members] == [1.0, 1.0]
        pool.update([*backendsOf("a"), *backendsOf("bc", tier=2)], 0.0)
        assert [each.ramp for each in pool.members] == [1.0, 1.0, 0.1]

    def test_thoseThatComeTogetherShareAlike(self) -> None:
        """The first members that discovery finds all have their whole weight."""
        pool = poolOf("", slowStart=10.0)
        pool.update(backendsOf("abc"), 0.0)
        assert [each.ramp for each in pool.members] == [1.0, 1.0, 1.0]
        pool.update(backendsOf("abcde"), 1.0)
        assert [each.ramp for each in pool.members] == [1.0, 1.0, 1.0, 0.1, 0.1]

    def test_slowStartAfterConfiguredMaintenance(self) -> None:
        """A member that a reload makes ready starts slowly, as one set by hand does."""
        pool = poolOf("ab", slowStart=10.0)
        pool.update([*backendsOf("a"), *backendsOf("b", state="maintenance")], 0.0)
        pool.update(backendsOf("ab"), 1.0)
        assert pool.members[1].ramp == 0.1

    def test_aReloadIsTakenBack(self) -> None:
        """A member replaced under its own name is known again, with its connections."""
        pool = poolOf("a")
        before = pool.members[0]
        leased(pool, before)
        assert pool.update([Backend("tcp:other:80", "a")], 0.0) == [before]
        pool.update(backendsOf("a"), 0.0)
        assert pool.members == (before,)
        assert before.active == 1

    def test_orderWhileOneIsFull(self) -> None:
        """A full member takes its new place when it is freed."""
        pool = poolOf("abc", limit=1)
        lease = leased(pool, pool.members[0])
        pool.update(backendsOf("cab", maxConnections=1), 0.0)
        assert may(pool) == "cb"
        lease.release()
        assert may(pool) == "cab"


class TestChecks:
    def test_toldOnce(self) -> None:
        """A member that is found down again has been down since the first time."""
        heard = Heard()
        pool = poolOf("ab", observer=heard)
        a = pool.members[0]
        pool.wentDown(a, 1.0, "refused")
        pool.wentDown(a, 5.0, "refused")
        pool.wentUp(a, 7.0)
        assert heard.since() == [("wentDown", "a", "refused"), ("wentUp", "a", 6.0)]

    def test_lateCheckOfARemovedMember(self) -> None:
        """A check that ends after its member was removed changes nothing."""
        pool = poolOf("ab")
        a = pool.members[0]
        leased(pool, a)
        pool.update(backendsOf("b"), 0.0)
        pool.wentDown(a, 0.0, "refused")
        pool.setState(a, "drain", 0.0)
        pool.setState(a, None, 0.0)
        assert may(pool) == "b"
        pool.update(backendsOf("ab"), 0.0)
        assert may(pool) == "ab"


class TestSlowStart:
    def test_switchedOff(self) -> None:
        """Without slow start from a reload on, pickers see the whole weight at once."""
        pool = poolOf("ab", slowStart=10.0)
        b = pool.members[1]
        pool.wentDown(b, 0.0, "refused")
        pool.wentUp(b, 1.0)
        assert toldBy(pool).weights[b] == pytest.approx(0.1)
        version = pool.candidates(1.0).version
        pool.configure(PoolOptions(), DEFAULT_EJECTION)
        assert toldBy(pool).weights[b] == 1.0
        assert pool.candidates(1.0).version != version


class TestQueue:
    @pytest.mark.parametrize("by", ["configure", "update"])
    def test_aReloadMakesRoom(self, by: str) -> None:
        """Those that wait are called when a reload raises the limit that they met."""
        pool = poolOf("a", limit=1 if by == "update" else 0, maxDials=1, queueLength=9)
        leased(pool, pool.members[0]).succeeded()
        if by == "configure":
            leased(pool, pool.members[0])
        called: list[str] = []
        pool.wait((), None, lambda: called.append("first"))
        pool.hasRoom = lambda: pool.callWaiting(0.0)
        if by == "configure":
            pool.configure(PoolOptions(queueLength=9), DEFAULT_EJECTION)
        else:
            pool.update(backendsOf("a"), 0.0)
        assert called == ["first"]

    def test_roomThatIsNotTaken(self) -> None:
        """When a picker refuses the one that was called, the next one is called."""
        pool = poolOf("a", limit=1, queueLength=9)
        lease = leased(pool, pool.members[0])
        called: list[str] = []
        first = pool.wait((), None, lambda: called.append("first"))
        pool.wait((), None, lambda: called.append("second"))
        pool.hasRoom = lambda: pool.callWaiting(0.0)
        lease.release()
        assert called == ["first"]
        assert first is not None
        first.leave()
        assert called == ["first", "second"]

    def test_oneLeavesWhileAnotherIsCalled(self) -> None:
        """A connection that is gone is not called, and keeps no room."""
        pool = poolOf("a", limit=2, queueLength=9)
        leases = [leased(pool, pool.members[0]) for _ in range(2)]
        called: list[str] = []
        second = None

        def callFirst() -> None:
            assert second is not None
            second.leave()

        pool.wait((), None, callFirst)
        second = pool.wait((), None, lambda: called.append("second"))
        for lease in leases:
            lease.release()
        pool.callWaiting(0.0)
        assert called == []
        assert pool.queue.called == 1

    def test_theLastResortIsFull(self) -> None:
        """One that has tried all that are up waits for those that are not."""
        pool = poolOf("ab", limit=1, ejection=ONE_STRIKE)
        a, b = pool.members
        fail(pool, b, 0.0)
        leased(pool, b)
        assert may(pool, 0.0, [a]) == ""
        assert pool.awaitsRoom([a])

    def test_theOnlyOneWasTried(self) -> None:
        """One does not wait for room in the only member, which it has tried."""
        pool = poolOf("a", limit=1)
        leased(pool, pool.members[0])
        assert pool.awaitsRoom((), pool.members[0])
        assert not pool.awaitsRoom(pool.members, pool.members[0])

    def test_timeThatIsDueIsTakenOnce(self) -> None:
        """Serving the queue leaves nothing due, even if all are picking already."""
        pool = poolOf("ab", limit=1, queueLength=9, ejection=ONE_STRIKE)
        a, b = pool.members
        lease = leased(pool, a)
        fail(pool, b, 0.0)
        pool.wait((), None, lambda: None)
        lease.release()
        pool.callWaiting(0.0)
        assert pool.queue.called == 1
        pool.callWaiting(10.0)
        assert pool.nextDue > 10.0


class TestLoad:
    def test_anEndedDialIsNoChangeOfLoad(self) -> None:
        """With max-dials, a picker is told of a load once when it comes and goes."""
        pool = poolOf("a", maxDials=1)
        a = pool.members[0]
        lease = leased(pool, a)
        lease.succeeded()  # The picker takes no change of load by nothing.
        assert toldBy(pool).loads == {a: 1}
        assert names(pool.candidates(0.0)) == "a"
        lease.release()
        assert toldBy(pool).loads == {a: 0}
