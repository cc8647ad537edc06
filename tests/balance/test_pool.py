"""Pools: who may be picked, who has been claimed, and who is forgotten."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
from pooled import ONE_STRIKE, fail, leased, poolOf, toldBy
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy.balance.candidates import LiveCandidates, NarrowedCandidates
from lbproxy.balance.direct import DirectPools
from lbproxy.balance.health import EjectionOptions
from lbproxy.balance.pickers import RoundRobin
from lbproxy.balance.pool import Pool
from lbproxy.interfaces import IBackendPicker, ICandidates
from lbproxy.words.backend import Backend, Member
from lbproxy.words.connection import Address, Connection


@implementer(IBackendPicker)
class LastOfAll:
    """Picks whoever is last, and wants to be told nothing."""

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        return candidates[len(candidates) - 1]


def strict(size: int) -> Pool:
    """A pool that ejects a member at its first failure."""
    return poolOf("abcde"[:size], ejection=ONE_STRIKE)


def assertShows(view: ICandidates, members: list[Member]) -> None:
    """Whichever way one looks at it, a view shows exactly these, in order."""
    assert list(view) == members
    assert len(view) == len(members)
    assert [view[at] for at in range(len(members))] == members
    assert all(member in view for member in members)
    for beyond in (len(members), -1):
        with pytest.raises(IndexError):
            view[beyond]


class TestViews:
    @pytest.mark.parametrize("tried", [False, True], ids=["live", "narrowed"])
    def test_interface(self, tried: bool) -> None:
        """Both kinds of candidates are what pickers expect."""
        pool = strict(2)
        view = pool.candidates(0.0, pool.members[:1] if tried else ())
        assert isinstance(view, NarrowedCandidates if tried else LiveCandidates)
        assert verifyObject(ICandidates, view)

    @pytest.mark.parametrize("thing", [None, 0, "a", [], Member(Backend("tcp:h:1"))])
    def test_whatIsNoCandidate(self, thing: object) -> None:
        """Whatever a picker returned, one can ask whether it is a candidate."""
        pool = strict(2)
        assert thing not in pool.candidates(0.0)
        assert thing not in pool.candidates(0.0, pool.members[:1])

    def test_sameObjectEachTime(self) -> None:
        """Nothing is built for a first try."""
        pool = strict(3)
        assert pool.candidates(0.0) is pool.candidates(1.0)

    def test_versionFollowsChanges(self) -> None:
        """A picker that caches sees from the version that it must not."""
        pool = strict(3)
        view = pool.candidates(0.0)
        retry = pool.candidates(0.0, pool.members[:1])
        before, beforeRetry = view.version, retry.version
        assert pool.candidates(0.0).version == before
        fail(pool, pool.members[2], 0.0)
        gone, goneRetry = view.version, retry.version
        pool.candidates(10.0)
        assert len({before, gone, view.version}) == 3
        assert len({beforeRetry, goneRetry, retry.version}) == 3

    def test_triedAreLeftOut(self) -> None:
        """A retry sees everybody but those that failed it, each only once."""
        pool = strict(5)
        a, b, c, d, e = pool.members
        assertShows(pool.candidates(0.0, [d, b, d]), [a, c, e])
        assertShows(pool.candidates(0.0, [a]), [b, c, d, e])
        assertShows(pool.candidates(0.0, [e, a]), [b, c, d])

    def test_narrowedViewIsLive(self) -> None:
        """While a picker awaits, a retry's candidates come and go as well."""
        pool = strict(4)
        a, b, c, d = pool.members
        view = pool.candidates(0.0, [b])
        fail(pool, a, 0.0)
        assert a not in view
        assertShows(view, [c, d])
        fail(pool, b, 5.0)
        assertShows(view, [c, d])
        pool.candidates(10.0)
        assertShows(view, [a, c, d])


class TestEjection:
    def test_outAndBackInPlace(self) -> None:
        """An ejected member is no candidate, and then one again where it was."""
        pool = strict(3)
        a, b, c = pool.members
        fail(pool, b, 0.0)
        assertShows(pool.candidates(9.9), [a, c])
        assertShows(pool.candidates(10.0), [a, b, c])

    def test_ejectedTwiceIsOutTwiceAsLong(self) -> None:
        """A member that fails again on its return is left alone for longer."""
        pool = strict(2)
        fail(pool, pool.members[0], 0.0)
        # Nobody asked for candidates meanwhile, and still it had come back.
        fail(pool, pool.members[0], 10.0)
        assert pool.members[0] not in pool.candidates(29.9)
        assert pool.members[0] in pool.candidates(30.0)

    def test_successIsTold(self) -> None:
        """A dial that works clears what failed before."""
        pool = poolOf("ab", ejection=EjectionOptions(2, maxEjected=1.0))
        a = pool.members[0]
        for _ in range(10):
            fail(pool, a, 0.0)
            lease = leased(pool, a)
            lease.succeeded()
            lease.release()
        assert a in pool.candidates(0.0)

    def test_poolOfOneNeverEjects(self) -> None:
        """By default the only backend there is stays in use."""
        pool = poolOf("a")
        for _ in range(100):
            fail(pool, pool.members[0], 0.0)
        assertShows(pool.candidates(0.0), list(pool.members))

    def test_allDownMeansTryAll(self) -> None:
        """With everybody ejected, connections try them rather than give up."""
        pool = strict(3)
        a, b, c = pool.members
        for member in (c, a, b):
            fail(pool, member, 0.0)
        assertShows(pool.candidates(1.0), [a, b, c])
        assertShows(pool.candidates(1.0, [b]), [a, c])
        assertShows(pool.candidates(1.0, [a, b, c]), [])

    def test_theEjectedAreTheLastResort(self) -> None:
        """When all that are available were tried, the others are."""
        pool = strict(3)
        a, b, c = pool.members
        fail(pool, b, 0.0)
        assertShows(pool.candidates(1.0, [a]), [c])
        assertShows(pool.candidates(1.0, [a, c]), [b])
        assertShows(pool.candidates(1.0, [a, c, b]), [])

    def test_noMembers(self) -> None:
        """A pool without members has no candidates."""
        assertShows(strict(0).candidates(0.0), [])

    def test_thePickerIsTold(self) -> None:
        """A picker that keeps its own structure hears of all that happens."""
        pool = strict(2)
        a, b = pool.members
        present = toldBy(pool).weights
        assert list(present) == [a, b]
        fail(pool, a, 0.0)
        assert list(present) == [b]
        pool.candidates(10.0)
        assert list(present) == [b, a]

    def test_aPickerThatDoesNotCareIsNotTold(self) -> None:
        """The simplest picker is one method."""
        pool = Pool("web", [Backend("a"), Backend("b")], LastOfAll(), ONE_STRIKE)
        fail(pool, pool.members[0], 0.0)
        assertShows(pool.candidates(0.0), [pool.members[1]])
        assertShows(pool.candidates(10.0), list(pool.members))

    def test_roundRobinSharesAnOutage(self) -> None:
        """With everybody ejected, round robin still spreads what comes."""
        backends = [Backend(name) for name in "abc"]
        pool = Pool("web", backends, RoundRobin(), ONE_STRIKE)
        for member in pool.members:
            fail(pool, member, 0.0)
        connection = Connection(1, "web", Address("h", 1), Address("h", 2), 0.0)
        picks = Counter(
            pool.picker.pick(pool.candidates(1.0), connection) for _ in range(30)
        )
        assert picks == dict.fromkeys(pool.members, 10)


class TestLease:
    def test_strangersCannotBeLeased(self) -> None:
        """A member of another pool is no choice at all: choose again."""
        stranger = strict(1).members[0]
        assert strict(1).lease(stranger) is None
        assert stranger.active == 0

    def test_ejectedMembersCan(self) -> None:
        """The last resort can be claimed like anybody else."""
        pool = strict(1)
        fail(pool, pool.members[0], 0.0)
        leased(pool, pool.members[0]).release()


class TestDirectPools:
    def test_aPoolOfOne(self) -> None:
        """A backend that is in no pool is the only member of one."""
        pool = DirectPools().pool(Backend("tcp:h:1"))
        assert pool.name == "direct"
        assert [member.backend for member in pool.members] == [Backend("tcp:h:1")]

    def test_equalBackendsShareOne(self) -> None:
        """Connections to equal backends are counted together."""
        pools = DirectPools()
        pool = pools.pool(Backend("tcp:h:1"))
        assert pools.pool(Backend("tcp:h:1")) is pool
        assert pools.pool(Backend("tcp:h:2")) is not pool
        assert pools.pool(Backend("tcp:h:1", weight=2)) is not pool

    def test_forgottenWithTheLastLease(self) -> None:
        """What nobody uses any more is gone, even if a spent lease is kept."""
        pools = DirectPools()
        backend = Backend("tcp:h:1")
        gc.disable()  # it must not take a collection of cycles
        try:
            leases = [
                leased(pool, pool.members[0])
                for pool in [pools.pool(backend), pools.pool(backend)]
            ]
            assert leases[0].member.active == 2
            leases[0].release()
            assert len(pools) == 1
            leases[1].release()
            assert len(pools) == 0
        finally:
            gc.enable()

    def test_neverLeased(self) -> None:
        """A router that names a new backend each time does not fill memory."""
        pools = DirectPools()
        for at in range(100):
            pools.pool(Backend(f"tcp:h:{at}")).candidates(0.0)
        assert len(pools) == 0
