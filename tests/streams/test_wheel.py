"""Whatever is scheduled is due at its time, once, and costs one alarm."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from lbproxy.streams.alarm import Alarm, ClockAlarm
from lbproxy.streams.wheel import TICKS, Entry, Wheel

TICK = 1 / TICKS


class Note(Entry):
    """Writes down when it is due."""

    __slots__ = ("_now", "times")

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        self.times: list[float] = []

    def due(self) -> None:
        assert not self.scheduled
        self.times.append(self._now())


class Doing(Entry):
    """Does something when it is due."""

    __slots__ = ("_do",)

    def __init__(self, do: Callable[[], object]) -> None:
        super().__init__()
        self._do = do

    def due(self) -> None:
        self._do()


class Bell:
    """An alarm that rings when a test says so, and tells what was asked of it."""

    ring: Callable[[], object]

    def __init__(self) -> None:
        self.time = 1000.0
        self.now: Callable[[], float] = lambda: self.time
        self.asked: list[float | str] = []

    def set(self, when: float) -> None:
        self.asked.append(when)

    def clear(self) -> None:
        self.asked.append("clear")

    def close(self) -> None:
        self.asked.append("close")

    def at(self, time: float) -> None:
        """Ring late, or in time."""
        self.time = time
        self.ring()

    def asks(self) -> list[float | str]:
        """What was asked since this was last asked."""
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def wheel(bell: Bell) -> Wheel:
    alarm: Alarm = bell
    return Wheel(alarm)


@pytest.fixture
def note(wheel: Wheel) -> Note:
    return Note(wheel.now)


def sleep(clock: Clock, until: float) -> None:
    """Let time pass as it does in life: from one delayed call to the next."""
    while calls := clock.getDelayedCalls():
        (call,) = calls
        if call.getTime() > until:
            break
        clock.advance(call.getTime() - clock.seconds())
    clock.advance(until - clock.seconds())


# Like a list of times.

AHEAD = st.one_of(
    st.integers(-128, 128).map(lambda n: n / TICKS),
    st.floats(-1, 1),
    st.floats(0, 70),
    st.floats(1900, 2200),
    st.floats(0, 10000),
)
PASSES = st.one_of(
    st.integers(0, 5),
    st.integers(0, 64 * TICKS),
    st.integers(1900 * TICKS, 2200 * TICKS),
    st.integers(0, 40000 * TICKS),
).map(lambda n: n / TICKS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("schedule"), st.integers(0, 7), AHEAD),
        st.tuples(st.just("cancel"), st.integers(0, 7), st.just(0.0)),
        st.tuples(st.sampled_from(["sleep", "jump"]), st.just(0), PASSES),
    ),
    max_size=50,
)


def masks(wheel: Wheel) -> list[int]:
    """What the masks have to be: a bit for each slot that is not empty."""
    return [sum(slot.bit for slot in level if slot) for level in wheel._levels]


@given(STEPS, st.integers(0, 300000))
def test_likeAListOfTimes(steps: list[tuple[str, int, float]], begin: int) -> None:
    """
    Whatever is scheduled, moved and cancelled, each entry is due once, never
    before its time and at most one tick after it, if the clock is not late; and
    after a jump of the clock, all that lay in between.
    """
    clock = Clock()
    clock.advance(begin / TICKS)
    wheel = Wheel(ClockAlarm(clock))
    notes = [Note(clock.seconds) for _ in range(8)]
    times: dict[int, float] = {}
    # What is scheduled in the past is late from the start.
    latest: dict[int, float] = {}
    for what, which, amount in steps:
        before = clock.seconds()
        if what == "schedule":
            times[which] = before + amount
            latest[which] = max(before, times[which]) + TICK
            wheel.schedule(notes[which], times[which])
        elif what == "cancel":
            wheel.cancel(notes[which])
            times.pop(which, None)
        elif what == "sleep":
            sleep(clock, before + amount)
        else:
            clock.advance(amount)
        now = clock.seconds()
        for number, note in enumerate(notes):
            if note.times:
                (came,) = note.times
                assert came >= times.pop(number)
                assert what == "jump" or came <= latest[number]
                note.times.clear()
            elif what in ("sleep", "jump") and number in times:
                assert now < latest[number]
            assert note.scheduled == (number in times)
        assert len(wheel) == len(times)
        assert len(clock.getDelayedCalls()) == bool(times)
        assert wheel._masks == masks(wheel)


@given(st.lists(st.floats(0, 9000), max_size=30))
def test_inOrder(times: list[float]) -> None:
    """After a long sleep entries are due in the order of their ticks."""
    clock = Clock()
    wheel = Wheel(ClockAlarm(clock))
    came: list[int] = []
    for when in times:
        tick = math.ceil(when * TICKS)
        wheel.schedule(Doing(partial(came.append, tick)), when)
    clock.advance(9001)
    assert came == sorted(came)
    assert len(came) == len(times)


@given(st.integers(0, 300000), st.sets(st.integers(1, 300000), min_size=1))
def test_nextWake(begin: int, ticks: set[int]) -> None:
    """The masks alone tell which slot comes next: none that comes earlier exists."""
    bell = Bell()
    bell.time = begin / TICKS
    wheel = Wheel(bell)
    for tick in ticks:
        wheel.schedule(Note(bell.now), (begin + tick) / TICKS)
    while len(wheel):
        earliest = wheel._earliest()
        bell.asks()
        bell.at(earliest / TICKS - TICK)
        assert bell.asks() == [earliest / TICKS]
        left = len(wheel)
        first = min(entry._tick for slot in wheel._slots for entry in slot)
        assert earliest <= first
        bell.at(earliest / TICKS)
        assert len(wheel) == left - (earliest == first)
        bell.asks()


# The alarm.


def test_emptyWheel(wheel: Wheel, bell: Bell, note: Note) -> None:
    """While nothing is scheduled no alarm is set."""
    wheel.schedule(note, 1001.0)
    wheel.cancel(note)
    assert bell.asks() == [1001.0, "clear"]
    wheel.schedule(note, 1001.0)
    bell.at(1001.0)
    assert bell.asks() == [1001.0]
    assert note.times == [1001.0]


def test_later(wheel: Wheel, bell: Bell, note: Note) -> None:
    """What is due after the alarm does not touch it, and what is cancelled neither."""
    first = Note(wheel.now)
    wheel.schedule(first, 1001.0)
    bell.asks()
    for when in (1001.0, 1001.1, 1003.0, 1100.0, 9000.0, 1002.0):
        wheel.schedule(note, when)
        assert note.scheduled
    wheel.cancel(first)
    assert bell.asks() == []
    bell.at(1001.0)
    assert len(bell.asks()) == 1
    wheel.schedule(note, 1001.5)
    assert bell.asks() == [1001.5]


def test_tenHours(wheel: Wheel, bell: Bell) -> None:
    """A machine that slept for ten hours catches up in one go."""
    notes = [Note(wheel.now) for _ in range(100)]
    for hour, note in enumerate(notes):
        wheel.schedule(note, 1000.0 + hour * 3600)
    bell.asks()
    bell.at(1000.0 + 10 * 3600)
    assert [bool(note.times) for note in notes] == [True] * 11 + [False] * 89
    assert len(bell.asks()) == 1


def test_lateAlarm(wheel: Wheel, bell: Bell, note: Note) -> None:
    """While the alarm is late, what is scheduled in the past comes when it rings."""
    cancelled, second = Note(wheel.now), Note(wheel.now)
    wheel.schedule(cancelled, 1000 + 10 * TICK)
    wheel.schedule(Note(wheel.now), 1000 + 100 * TICK)
    wheel.cancel(cancelled)
    bell.asks()
    bell.time = 1000 + 50 * TICK
    wheel.schedule(note, 1000 + 5 * TICK)
    wheel.schedule(second, 1000 + 20 * TICK)
    assert bell.asks() == []
    bell.ring()
    assert note.times == second.times == [1000 + 50 * TICK]


def test_wideSlotAhead() -> None:
    """
    A wide slot may begin before the alarm although what is in it is due later.
    It is not passed over when something is scheduled in between.
    """
    bell = Bell()
    bell.time = 3978 * TICK
    wheel = Wheel(bell)
    notes = {tick: Note(wheel.now) for tick in (8070, 8130, 6010)}
    wheel.schedule(notes[8070], 8070 * TICK)
    wheel.schedule(notes[8130], 8130 * TICK)
    bell.time = 6000 * TICK
    wheel.schedule(notes[6010], 6010 * TICK)
    while len(wheel):
        when = bell.asks()[-1]
        assert isinstance(when, float)
        bell.at(max(when, bell.time))
    for tick, note in notes.items():
        assert note.times == [tick * TICK]


def test_alarmFails(note: Note) -> None:
    """Without a descriptor for the alarm it is told, and it may be tried again."""

    class Broken(Bell):
        def set(self, when: float) -> None:
            raise OSError("no descriptor left")

    wheel = Wheel(Broken())
    for _ in range(2):
        with pytest.raises(OSError, match="no descriptor left"):
            wheel.schedule(note, 1001.0)
    assert not note.scheduled
    wheel.cancel(note)
    assert len(wheel) == 0


@pytest.mark.parametrize("when", [math.inf, math.nan])
def test_noTime(wheel: Wheel, note: Note, when: float) -> None:
    """What is no time is refused, and moves nothing."""
    wheel.schedule(note, 1001.0)
    with pytest.raises((OverflowError, ValueError)):
        wheel.schedule(note, when)
    assert note.scheduled


# While a batch runs.


def test_failing(wheel: Wheel, bell: Bell, note: Note, logged) -> None:
    """What one entry raises is logged, and the others are due all the same."""

    def leave() -> None:
        raise SystemExit(1)

    wheel.schedule(Doing(lambda: 1 / 0), 1001.0)
    wheel.schedule(Doing(leave), 1001.0)
    wheel.schedule(note, 1001.0)
    wheel.schedule(Note(wheel.now), 1002.0)
    bell.asks()
    bell.at(1001.0)
    assert note.times == [1001.0]
    failures = [event["log_failure"].type for event in logged if "log_failure" in event]
    assert failures == [ZeroDivisionError, SystemExit]
    assert len(bell.asks()) == 1


def test_schedulesItself(wheel: Wheel, bell: Bell) -> None:
    """An entry that schedules itself in the past comes with each tick, no faster."""
    times: list[float] = []

    def again() -> None:
        times.append(wheel.now())
        wheel.schedule(entry, 5.0)

    entry = Doing(again)
    wheel.schedule(entry, 1001.0)
    bell.at(1001.0)
    assert (times, bell.asks()[-1]) == ([1001.0], 1001.0 + TICK)
    bell.at(1001.0 + TICK)
    assert times == [1001.0, 1001.0 + TICK]
    assert len(wheel) == 1


def test_longBatch(wheel: Wheel, bell: Bell, note: Note) -> None:
    """What comes due while a batch takes its time has the alarm ring at once."""

    def takeTime() -> None:
        bell.time += 5

    wheel.schedule(Doing(takeTime), 1001.0)
    wheel.schedule(note, 1001.5)
    bell.at(1001.0)
    assert bell.time == 1006.0
    asked = bell.asks()[-1]
    assert isinstance(asked, float)
    assert asked <= bell.time
    bell.ring()
    assert note.times == [1006.0]


@pytest.mark.parametrize("moved", [False, True])
def test_withinABatch(wheel: Wheel, bell: Bell, note: Note, moved: bool) -> None:
    """One entry may cancel or move another that would be due next."""
    wheel.schedule(
        Doing(lambda: wheel.schedule(note, 1002.0) if moved else wheel.cancel(note)),
        1001.0,
    )
    wheel.schedule(note, 1001.0)
    bell.at(1001.0)
    assert not note.times
    assert note.scheduled == moved
    bell.at(1002.0)
    assert note.times == [1002.0] * moved


def test_closedWithinABatch(wheel: Wheel, bell: Bell, note: Note) -> None:
    """Whoever closes the wheel sees nothing more come; it may be used again."""
    wheel.schedule(Doing(wheel.close), 1001.0)
    wheel.schedule(note, 1001.0)
    wheel.schedule(Note(wheel.now), 2000.0)
    bell.asks()
    bell.at(1001.0)
    assert not note.times
    assert not note.scheduled
    assert len(wheel) == 0
    assert bell.asks() == ["close"]
    wheel.schedule(note, 1002.0)
    assert bell.asks() == [1002.0]
    bell.at(1002.0)
    assert note.times == [1002.0]


# Timers.


def test_call() -> None:
    """A function is called once, after a delay, unless that is cancelled."""
    clock = Clock()
    wheel = Wheel(ClockAlarm(clock))
    called: list[str] = []
    kept = wheel.call(2, lambda: called.append("kept"))
    wheel.call(1, lambda: called.append("dropped")).cancel()
    clock.advance(1)
    assert called == []
    clock.advance(1)
    assert called == ["kept"]
    assert not kept.scheduled
    kept.cancel()
    wheel.schedule(kept, 3)
    clock.advance(1)
    assert called == ["kept"]
    assert not clock.getDelayedCalls()


class Owner:
    """Has a timer that calls it, as sessions do."""

    def __init__(self, wheel: Wheel) -> None:
        self.timer = wheel.call(1, self.called)

    def called(self) -> None:
        """Nothing."""


@pytest.mark.parametrize("cancelled", [False, True])
def test_noCycle(wheel: Wheel, bell: Bell, cancelled: bool) -> None:
    """A timer that is over goes at once, and so does what it would have called."""
    gc.disable()
    try:
        owner = Owner(wheel)
        gone = weakref.ref(owner)
        if cancelled:
            owner.timer.cancel()
        bell.at(1001.0)
        del owner
        assert gone() is None
    finally:
        gc.enable()


def test_entryAlone(wheel: Wheel, bell: Bell, logged) -> None:
    """An entry that does not say what is to happen is reported."""
    wheel.schedule(Entry(), 1001.0)
    bell.at(1001.0)
    (failure,) = [event["log_failure"] for event in logged if "log_failure" in event]
    assert failure.check(NotImplementedError)
