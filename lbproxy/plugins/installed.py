"""
Finds the installed plugins, and those that cannot be imported.

Twisted imports all plugins on each search, and logs a traceback for each one that
fails.  Here a module that fails is logged as one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    globalLogPublisher,
)
from twisted.plugin import getPlugins
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import implementer

from ..causes import cause

_log = Logger()

_told: set[str] = set()
"""
The lines that were logged already.

Installed plugins are the same for the whole process, so this is global.
"""


@frozen
class Installed:
    """
    The result of a search for plugins.

    @ivar plugins: The plugins that provide the interface.
    @ivar broken: A line for each module that cannot be imported.  A plugin that was
        searched for may be in it.
    """

    plugins: tuple[Any, ...]
    broken: tuple[str, ...]


def installed(interface: Any) -> Installed:
    """Find the installed plugins that provide an interface, and log nothing."""
    broken: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event.get("lookedForBy") is broken and "failure" in event:
            broken.append(_line(event["failure"]))

    # No log file writes an event with an empty text.  Before the log begins, the
    # terminal shows critical events only.
    silent = {"log_format": "", "log_level": LogLevel.debug, "lookedForBy": broken}
    globalLogPublisher.addObserver(observe)
    try:
        found = log.callWithContext(silent, lambda: tuple(getPlugins(interface)))
    finally:
        globalLogPublisher.removeObserver(observe)
    return Installed(found, tuple(broken))


def tellBroken(broken: Iterable[str]) -> None:
    """Log each module that cannot be imported, once in a process."""
    for line in broken:
        if line not in _told:
            _told.add(line)
            _log.warn("A plugin cannot be imported: {line}", line=line)


def _line(failure: Failure) -> str:
    assert failure.value is not None
    return f"{_file(failure)}: {cause(failure.value)}"


def _file(failure: Failure) -> str:
    """The file of the plugin.  It may have failed in another module that it imports."""
    files = [str(frame[1]) for frame in failure.frames]
    if isinstance(failure.value, SyntaxError) and failure.value.filename:
        files.append(failure.value.filename)
    plugins = [each for each in files if Path(each).parent.name == "plugins"]
    return (plugins or files or ["twisted.plugins"])[0]
