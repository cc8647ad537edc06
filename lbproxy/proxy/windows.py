"""Log the first few events of a kind, and then only how many more there were."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from ..streams.wheel import Timer, Wheel

_Kind = TypeVar("_Kind", bound=Hashable)


class Windows(Generic[_Kind]):
    """
    Counts events of many kinds, each in a window of time of its own.

    The window of a kind begins with its first event.  When the window is over,
    the number of events that were not written in full is reported, if there were
    any.
    """

    def __init__(
        self,
        wheel: Wheel,
        seconds: float,
        few: int,
        over: Callable[[_Kind, int], object],
    ) -> None:
        """
        @param seconds: How long a window lasts.
        @param few: How many events of a window are written in full.
        @param over: Called with a kind and how many more there were, if any.
        """
        self._wheel = wheel
        self._seconds = seconds
        self._few = few
        self._tellOver = over
        self._counts: dict[_Kind, int] = {}
        self._timers: dict[_Kind, Timer] = {}

    def admits(self, kind: _Kind) -> bool:
        """Count an event, and return whether it is to be written in full."""
        count = self._counts.get(kind, 0)
        self._counts[kind] = count + 1
        if not count:
            self._timers[kind] = self._wheel.call(
                self._seconds, lambda: self._over(kind)
            )
        return count < self._few

    def close(self) -> None:
        """End all windows, and report their counts."""
        for kind in list(self._timers):
            self._over(kind)

    def _over(self, kind: _Kind) -> None:
        self._timers.pop(kind).cancel()
        more = self._counts.pop(kind) - self._few
        if more > 0:
            self._tellOver(kind, more)
