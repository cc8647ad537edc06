"""Slow start: how the share of a member that comes up grows."""

from __future__ import annotations

from math import inf
from random import Random

import pytest
from picking import CRITICAL, aConnection, chiSquared
from pooled import poolOf
from twisted.internet.task import Clock

from lbproxy.balance.pickers import RandomChoice
from lbproxy.balance.pool import Pool
from lbproxy.balance.slowstart import FIRST, SlowStart
from lbproxy.words.backend import Backend, Member


def aMember(name: str = "a") -> Member:
    return Member(Backend(f"tcp:{name}:80", name))


@pytest.mark.parametrize(
    ("passed", "ramp"),
    [(0.0, 0.1), (1.0, 0.19), (5.0, 0.55), (9.5, 0.955), (10.0, 1.0), (99.0, 1.0)],
)
def test_itGrowsFromATenth(passed: float, ramp: float) -> None:
    """From a tenth a member's weight grows evenly, and never above the whole."""
    slow, member = SlowStart(10.0), aMember()
    slow.begin(member, 100.0)
    assert member.ramp == FIRST
    assert slow.step(100.0 + passed) == [member]
    assert member.ramp == pytest.approx(ramp)


def test_inAFewSteps() -> None:
    """A picker is told twenty times, however many connections come; then no more."""
    slow, member = SlowStart(10.0), aMember()
    slow.begin(member, 0.0)
    times = []
    for _ in range(20):
        times.append(slow.nextStep)
        slow.step(slow.nextStep)
    assert times == pytest.approx([at / 2 for at in range(1, 21)])
    assert (member.ramp, slow.nextStep) == (1.0, inf)
    assert slow.step(20.0) == []


def test_eachFromItsOwnTime() -> None:
    """One that comes later starts later, and delays no step of the one before."""
    slow, first, second = SlowStart(10.0), aMember("a"), aMember("b")
    slow.begin(first, 0.0)
    slow.begin(second, 0.4)
    assert slow.nextStep == 0.5
    assert slow.step(5.0) == [first, second]
    assert [first.ramp, second.ramp] == pytest.approx([0.55, 0.514])
    assert slow.step(10.0) == [first, second]
    assert first.ramp == 1.0
    assert slow.nextStep == 10.5
    assert slow.step(10.5) == [second]
    assert slow.nextStep == inf


def test_itGoesDownAgain() -> None:
    """One that goes down keeps nothing of its start: it begins with a tenth again."""
    slow, other, member = SlowStart(10.0), aMember("a"), aMember("b")
    slow.begin(other, 0.0)
    slow.begin(member, 0.0)
    slow.step(8.0)
    assert slow.end(member)
    assert member.ramp == 1.0
    assert not slow.end(member)  # The picker need not be told again.
    assert slow.step(8.5) == [other]
    slow.begin(member, 9.0)
    assert member.ramp == FIRST
    slow.end(member)
    slow.end(other)
    assert slow.nextStep == inf


def test_off() -> None:
    """By default a member has its whole weight at once."""
    slow, member = SlowStart(0.0), aMember()
    slow.begin(member, 0.0)
    assert (member.ramp, slow.nextStep) == (1.0, inf)
    assert not slow.end(member)


def picks(pool: Pool, clock: Clock, number: int) -> dict[str, int]:
    """How often each member is picked at this time."""
    drawn = {each.name: 0 for each in pool.members}
    for _ in range(number):
        member = pool.picker.pick(pool.candidates(clock.seconds()), aConnection())
        assert isinstance(member, Member)
        drawn[member.name] += 1
    return drawn


def test_clientsComeSlowly() -> None:
    """
    A member that was down gets a tenth of its share, then more, then all, as time
    passes and without any call in between.
    """
    clock = Clock()
    pool = poolOf("ab", picker=RandomChoice(Random(1)), slowStart=30.0)
    b = pool.members[1]
    pool.wentDown(b, clock.seconds(), "refused")
    clock.advance(5.0)
    pool.wentUp(b, clock.seconds())
    for passed, ramp in ((0.0, 0.1), (15.0, 0.55), (15.0, 1.0)):
        clock.advance(passed)
        drawn = picks(pool, clock, 5000)
        assert b.ramp == pytest.approx(ramp)
        assert chiSquared(drawn, pool.members) < CRITICAL[1]


def test_nobodyElseIsThere() -> None:
    """The only member that is up needs no slow start: nobody would take the rest."""
    pool = poolOf("a", slowStart=30.0)
    a = pool.members[0]
    pool.wentDown(a, 0.0, "refused")
    pool.wentUp(a, 1.0)
    assert a.ramp == 1.0
