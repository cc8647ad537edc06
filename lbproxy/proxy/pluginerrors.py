"""
What plugins raise, in the log: the first of a kind in full, then their number.

Wherever a plugin is called any C{BaseException} is caught: asyncio's
C{CancelledError} is no C{Exception}, and a plugin that awaits what is asyncio's
may well raise it.
"""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure

from ..streams.wheel import Wheel
from .windows import Windows

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
        self._windows: Windows[tuple[str, str]] = Windows(wheel, _WINDOW, 1, self._more)

    def tell(self, plugin: object, failure: Failure, doing: str) -> None:
        """
        Log one.

        @param plugin: The object that raised; its class names it.
        @param doing: What it was asked to do: C{"pick"}.
        """
        name = f"{type(plugin).__qualname__}.{doing}"
        if self._windows.admits((name, type(failure.value).__name__)):
            self._log.failure("{plugin} failed", failure=failure, plugin=name)

    def close(self) -> None:
        """Write the counts that are still to be written."""
        self._windows.close()

    def _more(self, kind: tuple[str, str], more: int) -> None:
        self._log.error(
            "{plugin} failed {more} more times within a minute: {error}",
            plugin=kind[0],
            more=more,
            error=kind[1],
        )
