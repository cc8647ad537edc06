"""
Alarms: call the timing wheel at a set time, by the monotonic clock.

Twisted's C{callLater} goes by the wall clock (its C{seconds} is C{time.time}), so
a step of the wall clock delays or hastens every call.  If it is set back by ten
seconds, a call that was one second away comes after eleven (Twisted 26.10).
Deadlines must not move with it.  So on Linux the reactor watches a timer
descriptor; elsewhere a thread waits.  Simulated reactors have only one clock, and
their C{callLater} is used.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from math import inf
from threading import Condition, Thread
from typing import Protocol

from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorFDSet,
    IReactorFromThreads,
    IReactorThreads,
    IReactorTime,
    IReadDescriptor,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from . import timerfd


class Alarm(Protocol):
    """
    Calls a function once, at a set time.

    @ivar now: Returns the monotonic time in seconds.
    @ivar ring: What is called in the reactor's thread when it rings, never
        before its time; the wheel puts its own function here.
    """

    now: Callable[[], float]
    ring: Callable[[], object]

    def set(self, when: float) -> None:
        """
        Ring at a time, instead of any that was set before.  If the time is past,
        ring as soon as possible, but not within this call.

        @param when: In the seconds of C{now}.
        """

    def clear(self) -> None:
        """Do not ring."""

    def close(self) -> None:
        """
        Do not ring, and release the descriptor or thread until the alarm is set
        again.
        """


def alarmFor(reactor: object) -> Alarm:
    """
    Make the alarm that suits a reactor.

    @param reactor: It provides one of L{IReactorFDSet}, L{IReactorThreads} and
        L{IReactorTime}.
    """
    # Twisted's MemoryReactorClock claims to watch descriptors.
    if not isinstance(reactor, Clock):
        if IReactorFDSet.providedBy(reactor) and timerfd.works():
            return TimerAlarm(reactor)
        if IReactorThreads.providedBy(reactor):
            return ThreadAlarm(reactor)
    return ClockAlarm(IReactorTime(reactor))


class ClockAlarm:
    """Rings by the time of a simulated reactor, with one delayed call."""

    ring: Callable[[], object]

    def __init__(self, clock: IReactorTime) -> None:
        self.now: Callable[[], float] = clock.seconds
        self._clock = clock
        self._call: IDelayedCall | None = None

    def set(self, when: float) -> None:
        """Ring at a time."""
        self.clear()
        delay = max(0.0, when - self.now())
        self._call = self._clock.callLater(delay, self._rings)

    def clear(self) -> None:
        """Do not ring."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    close = clear

    def _rings(self) -> None:
        self._call = None
        self.ring()


@implementer(IReadDescriptor)
class TimerAlarm:
    """
    Rings by a timer descriptor (timerfd_create(2)) that the reactor watches.

    The descriptor is made when it is first needed, and again when it is needed
    after L{close} or after the reactor has dropped it.  The kernel's timer is set
    only if the new time is earlier than its present one: a system call costs 2
    us, and the deadline of each short connection is set and cleared.
    """

    ring: Callable[[], object]

    def __init__(self, reactor: IReactorFDSet) -> None:
        self.now: Callable[[], float] = time.monotonic
        self._reactor = reactor
        self._descriptor = -1
        self._when = inf
        self._wakes = inf

    def set(self, when: float) -> None:
        """
        Ring at a time.

        @raise OSError: There is no descriptor left.
        """
        if self._descriptor < 0:
            self._descriptor = timerfd.create()
            self._reactor.addReader(self)
        self._when = when
        if when < self._wakes:
            timerfd.settime(self._descriptor, when)
            self._wakes = when

    def clear(self) -> None:
        """Do not ring."""
        self._when = inf

    def close(self) -> None:
        """Do not ring, and close the descriptor."""
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            self._forget()

    def fileno(self) -> int:
        """The descriptor; -1 if there is none."""
        return self._descriptor

    def logPrefix(self) -> str:
        """What the reactor calls this in its log."""
        return type(self).__name__

    def doRead(self) -> None:
        """
        The timer is due: ring if the alarm's time has come, or else set the timer
        again.
        """
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            # It was set anew since the reactor looked.
            return
        when, self._when, self._wakes = self._when, inf, inf
        if when <= self.now():
            self.ring()
        elif when < inf:
            self.set(when)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has dropped this: close the descriptor."""
        if self._descriptor >= 0:
            self._forget()

    def _forget(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        self._when = self._wakes = inf
        os.close(descriptor)


class ThreadAlarm:
    """
    Rings by a thread that waits, on systems without timer descriptors.

    The thread is started when it is first needed and ends with L{close}.
    """

    ring: Callable[[], object]

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self.now: Callable[[], float] = time.monotonic
        self._reactor = reactor
        self._changed = Condition()
        self._thread: Thread | None = None
        # The reactor's thread reads the first, the waiting thread the others.
        self._when: float | None = None
        self._waitsFor: float | None = None
        self._ends = False

    def set(self, when: float) -> None:
        """Ring at a time."""
        self._tell(when)
        if self._thread is None:
            self._thread = Thread(target=self._wait, name="lbproxy alarm", daemon=True)
            self._thread.start()

    def clear(self) -> None:
        """Do not ring."""
        self._tell(None)

    def close(self) -> None:
        """Do not ring, and end the thread."""
        self._tell(None, ends=True)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _tell(self, when: float | None, ends: bool = False) -> None:
        with self._changed:
            self._when = self._waitsFor = when
            self._ends = ends
            self._changed.notify()

    def _wait(self) -> None:
        with self._changed:
            while not self._ends:
                when = self._waitsFor
                left = None if when is None else when - self.now()
                if left is None or left > 0:
                    self._changed.wait(left)
                else:
                    self._waitsFor = None
                    self._reactor.callFromThread(self._rings)

    def _rings(self) -> None:
        # It may have been cleared, or set anew, since the thread called.
        if self._when is not None and self._when <= self.now():
            self._when = None
            self.ring()
