"""
Log the exceptions of plugins: the first from each place in full, then a count.

Wherever a plugin is called, any C{BaseException} is caught.  asyncio's
C{CancelledError} is no C{Exception}, and a plugin that awaits a future of
asyncio's may raise it.
"""

from __future__ import annotations

from functools import partial
from inspect import unwrap
from typing import Any

from attrs import frozen
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..streams.wheel import Wheel
from .wait import NeedsAsyncio, lacksLoop
from .windows import Windows

_WINDOW = 60.0
"""Seconds over which further failures from a known place are counted for one line."""

_MOST = 100
"""Places that are remembered; failures from others are counted by plugin and type."""


@frozen
class Fault:
    """
    An exception of a plugin, and where it was raised.

    @ivar plugin: Its name, and the method that was called.
    @ivar error: The type of the exception.
    @ivar place: The file and line that raised it, or empty if that is not known.
    """

    plugin: str
    error: str
    place: str

    def __str__(self) -> str:
        return f"{self.error} at {self.place}" if self.place else self.error


class PluginErrors:
    """
    Logs what pickers, routers and observers raise.

    The first failure at a place is written with its traceback.  Further failures
    at the same place are counted.  Each minute in which there were any has one
    line.
    """

    _log = Logger()

    def __init__(self, wheel: Wheel) -> None:
        self._told: set[Fault] = set()
        self._windows: Windows[Fault] = Windows(wheel, _WINDOW, 0, self._more)

    def tell(self, plugin: object, failure: Failure, doing: str) -> None:
        """
        Log one failure, or count it if its place is known.

        @param plugin: The object that raised.
        @param doing: The method that was called, such as C{"pick"}.
        """
        name = f"{nameOf(plugin)}.{doing}"
        fault = Fault(name, type(failure.value).__name__, _place(failure))
        if fault not in self._told:
            if len(self._told) < _MOST:
                self._told.add(fault)
                self._tellFirst(name, failure)
                return
            fault = Fault(name, fault.error, "")
        self._windows.admits(fault)

    def close(self) -> None:
        """Write the counts that were not written yet, and forget all places."""
        self._windows.close()
        self._told.clear()

    def _tellFirst(self, name: str, failure: Failure) -> None:
        if isinstance(failure.value, NeedsAsyncio) or lacksLoop(failure.value):
            # A traceback would not help: only the reactor is the wrong one.
            text = str(NeedsAsyncio())
            self._log.error("{plugin} failed: {error}", plugin=name, error=text)
        else:
            self._log.failure("{plugin} failed", failure=failure, plugin=name)

    def _more(self, fault: Fault, more: int) -> None:
        self._log.error(
            "{plugin} failed {more} more times within a minute: {error}",
            plugin=fault.plugin,
            more=more,
            error=str(fault),
        )


def nameOf(plugin: Any) -> str:
    """
    The name of a plugin in the log: the full name of the function or class that
    it is, or else of its class.
    """
    plugin = unwrap(plugin)
    while isinstance(plugin, partial):
        plugin = plugin.func
    named = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    return f"{named.__module__}.{named.__qualname__}"


def _place(failure: Failure) -> str:
    """The file and line of the innermost frame of a failure's traceback."""
    if not failure.frames:
        return ""
    _, file, line, *_ = failure.frames[-1]
    return f"{file}:{line}"
