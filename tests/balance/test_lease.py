"""Leases: what a connection's claim counts as, and what it tells of its member."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pooled import Heard, backendsOf, leased, may, poolOf

from lbproxy.balance.health import EjectionOptions
from lbproxy.balance.lease import DialLease, Lease
from lbproxy.balance.options import PoolOptions

STRICT = EjectionOptions(consecutiveFailures=2, maxEjected=1.0, emptyAnswer="failure")
LENIENT = EjectionOptions(consecutiveFailures=2, maxEjected=1.0)

KINDS = pytest.mark.parametrize(
    ("kind", "maxDials"), [(Lease, 0), (DialLease, 5)], ids=["plain", "dial"]
)
"""A pool's leases, and those of one that limits the dials under way."""


@KINDS
def test_countsFromTheStart(kind: type, maxDials: int) -> None:
    """A claim counts before the dial, so that a burst does not go to one member."""
    pool = poolOf("ab", maxDials=maxDials)
    a, b = pool.members
    first, second = leased(pool, a), leased(pool, a)
    assert type(first) is kind
    assert (a.active, b.active) == (2, 0)
    first.release()
    assert a.active == 1
    second.release()
    assert a.active == 0


@KINDS
def test_namesItsMember(kind: type, maxDials: int) -> None:
    """The record of a connection has the backend of its lease, as it is configured."""
    pool = poolOf("a", maxDials=maxDials)
    member = pool.members[0]
    lease = leased(pool, member)
    assert lease.member is member
    pool.update(backendsOf("a", weight=3), 0.0)
    assert lease.backend.weight == 3


@KINDS
@pytest.mark.parametrize(
    "use",
    [
        lambda lease: lease.release(),
        lambda lease: lease.succeeded(),
        lambda lease: lease.failed(0.0, "refused"),
        lambda lease: lease.endedEmpty(1.0),
    ],
    ids=["release", "succeeded", "failed", "ended"],
)
def test_onlyWhileItIsHeld(
    kind: type, maxDials: int, use: Callable[[Lease], object]
) -> None:
    """A use after the release is an error that names the member; nothing is counted."""
    heard = Heard()
    pool = poolOf("a", observer=heard, ejection=STRICT, maxDials=maxDials)
    member = pool.members[0]
    lease = leased(pool, member)
    lease.release()
    member.consecutiveFailures = 1
    with pytest.raises(RuntimeError, match="lease on a was released before"):
        use(lease)
    assert (member.active, member.dials, member.consecutiveFailures) == (0, 0, 1)
    assert heard.words == []


@KINDS
@pytest.mark.parametrize(
    ("ejection", "failures"), [(LENIENT, 0), (STRICT, 1)], ids=["ok", "failure"]
)
def test_aDialThatWorks(
    kind: type, maxDials: int, ejection: EjectionOptions, failures: int
) -> None:
    """
    It ends a row of failures; but where empty answers are failures, not before the
    member has sent a byte.
    """
    pool = poolOf("ab", ejection=ejection, maxDials=maxDials)
    a = pool.members[0]
    leased(pool, a).failed(0.0)
    answered = leased(pool, a).succeeded()
    assert a.consecutiveFailures == failures
    if answered is not None:
        answered()
    assert a.consecutiveFailures == 0


@KINDS
def test_anOldConnectionIsAnswered(kind: type, maxDials: int) -> None:
    """It does not speak for a member that has failed since it was made."""
    pool = poolOf("ab", ejection=STRICT, maxDials=maxDials)
    a = pool.members[0]
    leased(pool, a).failed(0.0)
    answered = leased(pool, a).succeeded()
    leased(pool, a).failed(0.0)
    assert answered is not None
    answered()
    assert a.consecutiveFailures == 2


@pytest.mark.parametrize(
    ("ejection", "told", "failures"),
    [
        (LENIENT, [("endedEmpty", "a")], 1),
        (STRICT, [("endedEmpty", "a"), ("ejected", "a")], 2),
    ],
)
def test_theMemberEndsEmpty(
    ejection: EjectionOptions, told: list[tuple[str, str]], failures: int
) -> None:
    """A member that says nothing is told of, and ejected where that is a failure."""
    heard = Heard()
    pool = poolOf("ab", observer=heard, ejection=ejection)
    a = pool.members[0]
    leased(pool, a).failed(0.0)
    heard.since()
    leased(pool, a).endedEmpty(1.0)
    assert [each[:2] for each in heard.words] == told
    assert a.consecutiveFailures == failures


def test_whyItFailed() -> None:
    """The log has the reason of the dial that failed, and of the ejection."""
    heard = Heard()
    pool = poolOf("ab", observer=heard, ejection=STRICT)
    leased(pool, pool.members[0]).failed(0.0, "no route to host")
    leased(pool, pool.members[0]).failed(0.0, "connection refused")
    assert heard.words == [
        ("dialFailed", "a", "no route to host"),
        ("dialFailed", "a", "connection refused"),
        ("ejected", "a", 30.0, 2, "connection refused"),
    ]


class TestDialLease:
    @pytest.mark.parametrize(
        "end",
        [
            lambda lease: lease.succeeded(),
            lambda lease: lease.release(),
            lambda lease: (lease.failed(0.0), lease.release()),
        ],
        ids=["succeeded", "released", "failed"],
    )
    def test_untilTheDialIsOver(self, end: Callable[[Lease], object]) -> None:
        """A member that is dialled by as many as may gets the next when one is over."""
        pool = poolOf("ab", maxDials=1)
        a = pool.members[0]
        lease = leased(pool, a)
        assert (a.dials, may(pool)) == (1, "b")
        end(lease)
        assert (a.dials, may(pool)) == (0, "ab")

    def test_itIsOverOnce(self) -> None:
        """A connection that is relayed and ends makes no room for two dials."""
        pool = poolOf("a", maxDials=2)
        a = pool.members[0]
        first = leased(pool, a)
        leased(pool, a)
        first.succeeded()
        first.succeeded()
        assert a.dials == 1
        first.release()
        assert (a.active, a.dials) == (1, 1)

    def test_aLeaseFromBeforeTheLimit(self) -> None:
        """A reload that limits dials counts none that began before it."""
        pool = poolOf("a")
        a = pool.members[0]
        before = leased(pool, a)
        pool.configure(PoolOptions(maxDials=1), LENIENT)
        leased(pool, a)
        before.succeeded()
        assert a.dials == 1
        before.release()
        assert (a.active, a.dials) == (1, 1)
