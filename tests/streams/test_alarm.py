"""Alarms ring at their time by the monotonic clock, and leave nothing behind."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IReactorFDSet,
    IReactorThreads,
    IReactorTime,
    IReadDescriptor,
)
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy.streams import timerfd
from lbproxy.streams.alarm import (
    Alarm,
    ClockAlarm,
    ThreadAlarm,
    TimerAlarm,
    alarmFor,
)
from lbproxy.streams.wheel import TICKS, Wheel

PATIENCE = 10.0
SOON = 0.03

linux = pytest.mark.skipif(not timerfd.works(), reason="there are no timers here")
REAL = pytest.mark.parametrize(
    "make", [pytest.param(TimerAlarm, marks=linux), ThreadAlarm]
)


def held() -> tuple[int, int, int]:
    """What an alarm may hold: descriptors, readers of the reactor, threads."""
    descriptors = len(os.listdir("/dev/fd"))
    return descriptors, len(reactor.getReaders()), threading.active_count()


def rung(alarm: Alarm) -> Deferred[float]:
    """When it rings next."""
    rings: Deferred[float] = Deferred()
    alarm.ring = lambda: rings.callback(alarm.now())
    return rings.addTimeout(PATIENCE, reactor)


@REAL
@pytest_twisted.inlineCallbacks
def test_rings(make: Callable[..., Alarm]):
    """It rings once, not before its time, and again when it is set again."""
    before = held()
    alarm = make(reactor)
    assert held() == before
    for delay in (SOON, 0.0, -5.0, -1e12, SOON):
        when = alarm.now() + delay
        rings = rung(alarm)
        alarm.set(when)
        assert not rings.called
        assert (yield rings) >= when
    assert held() != before
    alarm.close()
    assert held() == before


@REAL
@pytest_twisted.inlineCallbacks
def test_setAgain(make: Callable[..., Alarm]):
    """It rings at the time that it was set to last, be it earlier or later."""
    alarm = make(reactor)
    for first, second in ((3600, SOON), (SOON / 2, SOON)):
        now = alarm.now()
        rings = rung(alarm)
        alarm.set(now + first)
        alarm.set(now + second)
        assert now + second <= (yield rings) < now + PATIENCE
    alarm.close()


@REAL
@pytest.mark.parametrize("silence", ["clear", "close"])
@pytest_twisted.inlineCallbacks
def test_silent(make: Callable[..., Alarm], silence: str):
    """It does not ring after it was cleared or closed, not even if it was due."""
    alarm, other = make(reactor), make(reactor)
    rings: list[float] = []
    alarm.ring = lambda: rings.append(alarm.now())
    for delay in (SOON / 2, -1.0):
        alarm.set(alarm.now() + delay)
        getattr(alarm, silence)()
        heard = rung(other)
        other.set(other.now() + SOON)
        yield heard
    assert rings == []
    again = rung(alarm)
    alarm.set(alarm.now())
    yield again
    alarm.close()
    alarm.close()
    other.close()


@REAL
@pytest_twisted.inlineCallbacks
def test_clearedAtTheLastMoment(make: Callable[..., Alarm]):
    """What happens in the turn in which it was to ring can still clear it."""
    first, second, third = make(reactor), make(reactor), make(reactor)
    rings: list[Alarm] = []
    heard = rung(third)

    def clearOther(this: Alarm, other: Alarm) -> None:
        rings.append(this)
        other.clear()

    first.ring = lambda: clearOther(first, second)
    second.ring = lambda: clearOther(second, first)
    now = first.now()
    first.set(now + SOON)
    second.set(now + SOON)
    third.set(now + 2 * SOON)
    # By then the time of both has come.
    while first.now() < now + SOON:
        pass
    yield heard
    assert len(rings) == 1
    for alarm in (first, second, third):
        alarm.close()


@linux
@pytest_twisted.inlineCallbacks
def test_closedWhileItRings():
    """It may be closed, and even be set again, by what it calls."""
    before = held()
    alarm = TimerAlarm(reactor)
    first: Deferred[None] = Deferred()

    def closeAndSet() -> None:
        alarm.close()
        first.callback(None)

    alarm.ring = closeAndSet
    alarm.set(0.0)
    yield first
    assert held() == before
    again = rung(alarm)
    alarm.set(0.0)
    yield again
    alarm.close()
    assert held() == before


@linux
@pytest_twisted.inlineCallbacks
def test_droppedByTheReactor(logged):
    """
    A reactor drops whatever fails when it is read.  The descriptor is closed
    then, once, and the alarm can be set again.
    """
    before = held()
    alarm = TimerAlarm(reactor)
    failed: Deferred[None] = Deferred()

    def fail() -> None:
        reactor.callLater(0, failed.callback, None)
        raise ZeroDivisionError

    alarm.ring = fail
    alarm.set(0.0)
    yield failed
    assert held() == before
    assert any(event.get("isError") or "log_failure" in event for event in logged)
    alarm.connectionLost(Failure(ConnectionLost()))
    again = rung(alarm)
    alarm.set(0.0)
    yield again
    alarm.close()
    assert held() == before


@implementer(IReactorFDSet, IReactorTime)
class SteppedReactor:
    """The reactor, on a machine whose wall clock somebody sets."""

    def __init__(self) -> None:
        self.step = 0.0
        self.addReader = reactor.addReader
        self.removeReader = reactor.removeReader

    def seconds(self) -> float:
        return time.time() + self.step

    def callLater(self, *arguments: object) -> None:
        raise AssertionError("this would go by the wall clock")


@linux
@pytest.mark.parametrize("step", [-3600.0, 3600.0])
@pytest_twisted.inlineCallbacks
def test_wallClock(step: float):
    """A step of the wall clock, back or ahead, moves no deadline."""
    stepped = SteppedReactor()
    alarm = alarmFor(stepped)
    wheel = Wheel(alarm)
    called: Deferred[float] = Deferred()
    begin = time.monotonic()
    wheel.call(SOON, lambda: called.callback(time.monotonic()))
    stepped.step = step
    took = (yield called.addTimeout(PATIENCE, reactor)) - begin
    assert SOON <= took < PATIENCE
    wheel.close()
    assert alarm not in reactor.getReaders()


@REAL
@pytest_twisted.inlineCallbacks
def test_wheel(make: Callable[..., Alarm]):
    """A wheel on a real alarm is on time, whatever the size of the wait."""
    before = held()
    wheel = Wheel(make(reactor))
    late: list[float] = []
    last: Deferred[None] = Deferred()
    delays = [n * 0.0067 for n in range(100)]
    begin = wheel.now()
    for delay in delays:
        wheel.call(delay, lambda d=delay: late.append(wheel.now() - begin - d))
    wheel.call(0.7, lambda: last.callback(None))
    wheel.call(5000, lambda: 1 / 0)
    yield last.addTimeout(PATIENCE, reactor)
    assert len(late) == len(delays)
    assert min(late) >= 0
    # Most are on time even on a busy machine.
    assert sorted(late)[10] < 2 / TICKS
    assert len(wheel) == 1
    wheel.close()
    assert held() == before


@linux
def test_errors() -> None:
    """What the kernel refuses is told with its reason."""
    with open(os.devnull) as other, pytest.raises(OSError) as caught:
        timerfd.settime(other.fileno(), 1.0)
    assert caught.value.errno == errno.EINVAL


@linux
def test_descriptor() -> None:
    """The reactor can watch it; it is not inherited and does not block."""
    alarm = TimerAlarm(reactor)
    verifyObject(IReadDescriptor, alarm)
    assert alarm.fileno() == -1
    assert alarm.logPrefix() == "TimerAlarm"
    alarm.clear()
    alarm.set(alarm.now() + 3600)
    assert not os.get_inheritable(alarm.fileno())
    assert not os.get_blocking(alarm.fileno())
    alarm.doRead()
    alarm.close()


def test_clockAlarm() -> None:
    """Under a simulated clock it is one delayed call."""
    clock = Clock()
    alarm = ClockAlarm(clock)
    rings: list[float] = []
    alarm.ring = lambda: rings.append(clock.seconds())
    alarm.clear()
    alarm.set(5)
    alarm.set(2)
    assert len(clock.getDelayedCalls()) == 1
    clock.pump([1, 1, 4])
    assert rings == [2]
    alarm.set(1)
    clock.advance(0)
    assert rings == [2, 6]
    alarm.set(7)
    alarm.close()
    assert not clock.getDelayedCalls()


@implementer(IReactorThreads)
class ThreadedReactor:
    """A reactor that cannot watch descriptors."""


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        pytest.param(reactor, TimerAlarm, marks=linux),
        pytest.param(SteppedReactor(), TimerAlarm, marks=linux),
        (ThreadedReactor(), ThreadAlarm),
        (Clock(), ClockAlarm),
        (MemoryReactorClock(), ClockAlarm),
    ],
    ids=lambda each: getattr(each, "__name__", type(each).__name__),
)
def test_alarmFor(other: object, kind: type) -> None:
    """Each kind of reactor has its alarm."""
    assert type(alarmFor(other)) is kind
