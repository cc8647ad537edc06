"""
Limit how fast input that is discarded may be read.

A side that closes in good order reads its peer's stream to the end.  So a peer in
the middle of a large upload gets an early answer.  A peer that sends for ever
would use a whole core if it were read as fast as it sends.
"""

from __future__ import annotations

from itertools import islice
from typing import Protocol

from .wheel import Entry, Wheel

_SLICE = 1 / 16
"""Seconds of one slice of time; an integral number of the wheel's ticks."""

_SIDE = (64 << 20) // 16
"""
Bytes that one side may discard in one slice, at 64 MiB/s: an upload of 100 MB is
over within two seconds.
"""

_PROCESS = (256 << 20) // 16
"""Bytes that all may discard in one slice, at 256 MiB/s: about a tenth of a core."""

_READ = 65536
"""Bytes that one read brings, at most."""


class Paced(Protocol):
    """A stream that discards its input."""

    def pauseProducing(self) -> None:
        """Stop reading."""

    def resumeProducing(self) -> None:
        """Go on reading."""


class Pace(Entry):
    """
    The pace at which the sides of one process discard.

    It is one entry of the wheel, scheduled only while something is discarded.
    """

    __slots__ = ("_left", "_spent", "_waiting", "_wheel")

    def __init__(self, wheel: Wheel) -> None:
        super().__init__()
        self._wheel = wheel
        self._left = _PROCESS
        self._spent: dict[Paced, int] = {}
        self._waiting: dict[Paced, None] = {}

    def spend(self, side: Paced, length: int) -> None:
        """
        Count what a side has discarded, and pause it when it has reached its
        share of this slice.

        @param length: In bytes.
        """
        if not self.scheduled:
            self._wheel.schedule(self, self._wheel.now() + _SLICE)
        self._left -= length
        spent = self._spent[side] = self._spent.get(side, 0) + length
        if spent >= _SIDE or self._left <= 0:
            self._waiting[side] = None
            side.pauseProducing()

    def forget(self, side: Paced) -> None:
        """A side is gone, or is not read any more."""
        self._spent.pop(side, None)
        self._waiting.pop(side, None)

    def due(self) -> None:
        """
        Begin a new slice: resume as many paused sides, in turn, as it has room
        for.
        """
        self._spent.clear()
        self._left = _PROCESS
        for side in list(islice(self._waiting, _PROCESS // _READ)):
            del self._waiting[side]
            side.resumeProducing()
        if self._waiting and not self.scheduled:
            self._wheel.schedule(self, self._wheel.now() + _SLICE)
