"""
What plugins raise, in the log: the first of a kind in full, then their number.

Wherever a plugin is called any C{BaseException} is caught: asyncio's
C{CancelledError} is no C{Exception}, and a plugin that awaits what is asyncio's
may well raise it.
"""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure

from ..streams.wheel import Timer, Wheel

_WINDOW = 60.0
"""Seconds after the first of a kind in which further ones are only counted."""


class PluginErrors:
    """
    Logs what pickers, routers and observers raise.

    Of each plugin and type of exception the first is written with its traceback;
    those that follow within a minute are counted, and the count is written when
    the minute is over.
    """

    _log = Logger()

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._counts: dict[tuple[str, str], int] = {}
        self._windows: dict[tuple[str, str], Timer] = {}

    def tell(self, plugin: object, failure: Failure, doing: str) -> None:
        """
        Log one.

        @param plugin: The object that raised; its class names it.
        @param doing: What it was asked to do: C{"pick"}.
        """
        name = type(plugin).__qualname__
        kind = (f"{name}.{doing}", type(failure.value).__name__)
        if kind in self._counts:
            self._counts[kind] += 1
            return
        self._counts[kind] = 0
        self._windows[kind] = self._wheel.call(_WINDOW, lambda: self._windowOver(kind))
        self._log.failure("{plugin} failed", failure=failure, plugin=kind[0])

    def close(self) -> None:
        """Write the counts that are still to be written."""
        for kind in list(self._windows):
            self._windowOver(kind)

    def _windowOver(self, kind: tuple[str, str]) -> None:
        self._windows.pop(kind).cancel()
        more = self._counts.pop(kind)
        if more:
            self._log.error(
                "{plugin} failed {more} more times within a minute: {error}",
                plugin=kind[0],
                more=more,
                error=kind[1],
            )
