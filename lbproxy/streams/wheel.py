"""
A timing wheel: thousands of deadlines on one alarm, by monotonic time.

It is the hierarchical wheel of G. Varghese and T. Lauck, "Hashed and Hierarchical
Timing Wheels" (SOSP 1987, scheme 7).  Time is counted in ticks of 1/128 s, exact in
binary.  There are three levels of 64 slots, 1 tick, 64 ticks (0.5 s) and 4096 ticks
(32 s) wide.  An entry is placed on the finest level that reaches as far as its time.
When a wide slot comes up, what is in it and is not due is placed again.  What lies
beyond the last level waits in its last slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, floor
from operator import attrgetter

from twisted.logger import Logger

from .alarm import Alarm

TICKS = 128  # in a second
_SHIFTS = (0, 6, 12)  # of each level: log2 of the ticks in a slot
_ALL = (1 << 64) - 1
_NEVER = 1 << 62


class Entry:
    """
    Something that is due at a set time.  Subclasses define what happens then.

    A subclass calls this C{__init__} in its own, and defines no C{__eq__}.  Once
    it is due or cancelled an entry refers to no slot: there is no reference
    cycle.
    """

    __slots__ = ("_slot", "_tick")

    _tick: int

    def __init__(self) -> None:
        self._slot: _Slot | None = None

    @property
    def scheduled(self) -> bool:
        """Whether its time is still to come."""
        return self._slot is not None

    def due(self) -> None:
        """Called when the entry is due; it may schedule the entry again."""
        raise NotImplementedError


class Timer(Entry):
    """One call of a function, made by L{Wheel.call}."""

    __slots__ = ("_callback", "_wheel")

    def __init__(self, wheel: Wheel, callback: Callable[[], object]) -> None:
        super().__init__()
        self._wheel = wheel
        self._callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Cancel the call; without effect once it was made."""
        self._callback = None
        self._wheel.cancel(self)

    def due(self) -> None:
        """Make the call."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class _Slot(dict[Entry, None]):
    """The entries in one slot of a level, and its bit in that level's mask."""

    # Links between entries would save 80 bytes an entry, but cost a quarter more time
    # (0.18 against 0.14 us a move, with 1000 entries).
    __slots__ = ("bit", "level")

    def __init__(self, level: int, bit: int) -> None:
        super().__init__()
        self.level = level
        self.bit = bit


class Wheel:
    """
    All the deadlines of one service, on one alarm.

    An entry is due at the first tick at or after its time: never earlier, and at
    most 1/128 s later as long as the alarm rings in time.

    @ivar now: Returns the monotonic time in seconds; the alarm's own function.
    """

    _log = Logger()

    # _passed: the last tick that is over; every entry that is placed is due later.
    # _wakes: the alarm rings at this tick or before, and nothing is due earlier.

    def __init__(self, alarm: Alarm) -> None:
        self.now: Callable[[], float] = alarm.now
        self._alarm = alarm
        alarm.ring = self._run
        self._levels = [[_Slot(n, 1 << bit) for bit in range(64)] for n in range(3)]
        self._ticks, self._halves, self._wide = self._levels
        self._masks = [0, 0, 0]
        self._passed = floor(self.now() * TICKS) - 1
        self._wakes = _NEVER
        self._batch = _Slot(0, 0)
        self._slots = [self._batch, *self._ticks, *self._halves, *self._wide]
        self._running = False

    def schedule(self, entry: Entry, when: float) -> None:
        """
        Schedule an entry for a time; if it is scheduled already, move it there.

        @param when: In the seconds of C{now}.  If it is past, the entry is due as
            soon as the alarm rings.  That is at the next tick at the latest, and
            always so when this is called within C{due}.
        """
        tick = ceil(when * TICKS)
        slot = entry._slot
        if slot is not None:
            entry._slot = None
            del slot[entry]
            if not slot:
                self._masks[slot.level] ^= slot.bit
        if tick < self._wakes:
            tick = self._sooner(tick)
        passed = self._passed
        # A level reaches 64 slots ahead, where the present slot's place is used
        # again.
        if tick - passed <= 64:
            slot = self._ticks[tick & 63]
        elif (tick >> 6) - (passed >> 6) <= 64:
            slot = self._halves[tick >> 6 & 63]
        else:
            slot = self._wide[min(tick >> 12, (passed >> 12) + 64) & 63]
        if not slot:
            self._masks[slot.level] |= slot.bit
        slot[entry] = None
        entry._slot = slot
        entry._tick = tick

    def cancel(self, entry: Entry) -> None:
        """Unschedule an entry; without effect if it is not scheduled."""
        slot = entry._slot
        if slot is not None:
            entry._slot = None
            del slot[entry]
            if not slot:
                self._masks[slot.level] ^= slot.bit
                if not any(self._masks):
                    self._wakes = _NEVER
                    self._alarm.clear()

    def call(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call a function once, after a delay in seconds."""
        timer = Timer(self, callback)
        self.schedule(timer, self.now() + delay)
        return timer

    def __len__(self) -> int:
        """How many entries are scheduled; this adds up 193 numbers."""
        return sum(map(len, self._slots))

    def close(self) -> None:
        """Drop all that is scheduled and close the alarm; it may be used again."""
        for slot in self._slots:
            for entry in slot:
                entry._slot = None
            slot.clear()
        self._masks[:] = 0, 0, 0
        self._wakes = _NEVER
        self._alarm.close()

    def _sooner(self, tick: int) -> int:
        """
        Set the alarm for a tick that comes before all others, and return that
        tick, or the next one if it has passed.
        """
        if self._running:  # The alarm is set at the end of the run.
            return max(tick, self._passed + 1)
        # Counting from now rather than from the last run finds a finer slot.
        # No slot that has something in it may be passed over.
        coming = min(floor(self.now() * TICKS), self._earliest(), self._wakes)
        self._passed = max(self._passed, coming - 1)
        tick = max(tick, self._passed + 1)
        if tick < self._wakes:
            self._alarm.set(tick / TICKS)
            self._wakes = tick
        return tick

    def _coming(self, level: int) -> Iterator[tuple[int, _Slot]]:
        """
        Yield the slots of a level that are not empty, in order, each with its
        first tick.
        """
        first = (self._passed >> _SHIFTS[level]) + 1
        mask, turn = self._masks[level], first & 63
        mask = (mask >> turn | mask << 64 - turn) & _ALL
        while mask:
            place = first + (mask & -mask).bit_length() - 1
            yield place << _SHIFTS[level], self._levels[level][place & 63]
            mask &= mask - 1

    def _earliest(self) -> int:
        """The first tick of the first slot that is not empty."""
        levels = [level for level, mask in enumerate(self._masks) if mask]
        return min([next(self._coming(level))[0] for level in levels], default=_NEVER)

    def _run(self) -> None:
        """
        Call C{due} of all entries whose time has come.  For those that become due
        meanwhile the alarm rings again at once, so that the reactor runs in
        between.
        """
        self._running = True
        self._gather(floor(self.now() * TICKS))
        batch = self._batch
        while batch:
            entry, _ = batch.popitem()
            entry._slot = None
            try:
                entry.due()
            except BaseException:  # As the reactor does with whatever it calls.
                self._log.failure("{kind}.due failed", kind=type(entry).__name__)
        self._running = False
        self._wakes = _NEVER
        if any(self._masks):
            earliest = self._earliest()
            self._alarm.set(earliest / TICKS)
            self._wakes = earliest

    def _gather(self, now: int) -> None:
        """
        Move the entries that are due into the batch, the earliest last.  Place
        again the other entries of the slots that have come up.
        """
        due: list[Entry] = []
        later: list[Entry] = []
        for level in range(3):
            for first, slot in self._coming(level):
                if first > now:
                    break
                self._masks[level] ^= slot.bit
                for entry in slot:
                    (due if entry._tick <= now else later).append(entry)
                slot.clear()
        self._passed = max(self._passed, now)
        self._wakes = self._passed + 1
        for entry in later:
            entry._slot = None
            self.schedule(entry, entry._tick / TICKS)
        due.sort(key=attrgetter("_tick"))
        for entry in reversed(due):
            entry._slot = self._batch
        self._batch.update(dict.fromkeys(reversed(due)))
