"""
The timer descriptors of Linux (timerfd_create(2)), on CLOCK_MONOTONIC: the clock
of L{time.monotonic}.

Python has had them since 3.13; before, the functions of the C library are called.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from math import ceil
from typing import Any


def works() -> bool:
    """Whether this system has timer descriptors."""
    try:
        os.close(create())
    except (AttributeError, OSError):
        return False
    return True


if sys.version_info >= (3, 13) and sys.platform == "linux":

    def create() -> int:
        """Make a timer descriptor that is closed on exec and does not block."""
        flags = os.TFD_NONBLOCK | os.TFD_CLOEXEC
        return os.timerfd_create(time.CLOCK_MONOTONIC, flags=flags)

    def settime(descriptor: int, when: float) -> None:
        """Make the descriptor readable from a time on, in seconds."""
        os.timerfd_settime_ns(
            descriptor, flags=os.TFD_TIMER_ABSTIME, initial=_nanoseconds(when)
        )

else:
    _ABSOLUTE = 1
    """TFD_TIMER_ABSTIME of Linux."""

    class _Setting(ctypes.Structure):
        """struct itimerspec: the interval, then the first time."""

        _fields_ = [
            (name, ctypes.c_long)
            for name in ("every", "everyNanosecond", "second", "nanosecond")
        ]

    def _libc(name: str, *arguments: Any) -> int:
        """
        Call a function of the C library.

        @raise AttributeError: It has no such function.
        @raise OSError: It failed.
        """
        result: int = getattr(_library, name)(*arguments)
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    _library = ctypes.CDLL(None, use_errno=True)

    def create() -> int:
        """
        Make a timer descriptor that is closed on exec and does not block.

        @raise OSError: There is no descriptor left, or the kernel has no timers.
        """
        # Linux gives TFD_NONBLOCK and TFD_CLOEXEC the values of open's flags.
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        return _libc("timerfd_create", time.CLOCK_MONOTONIC, flags)

    def settime(descriptor: int, when: float) -> None:
        """Make the descriptor readable from a time on, in seconds."""
        setting = _Setting(0, 0, *divmod(_nanoseconds(when), 10**9))
        _libc("timerfd_settime", descriptor, _ABSOLUTE, ctypes.byref(setting), None)


def _nanoseconds(when: float) -> int:
    # Rounded up, so that the timer is never early; 0 would switch it off.
    return max(1, ceil(when * 10**9))
