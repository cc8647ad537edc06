"""
Plugins that are installed, and those that cannot be imported.

Twisted imports all of them to find one, each time that it looks, and writes a
traceback for each that fails.  Here a module that fails costs one line.
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

from .causes import cause

_log = Logger()

_told: set[str] = set()
"""What was written already; as the installed plugins are, it is the process's."""


@frozen
class Installed:
    """
    What was found.

    @ivar plugins: Those that provide what was looked for.
    @ivar broken: A line for each module that cannot be imported: it may have had
        what was looked for.
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

    # An event with an empty text is written by no log file, and one below the
    # critical level is not shown on the terminal before the log begins.
    silent = {"log_format": "", "log_level": LogLevel.debug, "lookedForBy": broken}
    globalLogPublisher.addObserver(observe)
    try:
        found = log.callWithContext(silent, lambda: tuple(getPlugins(interface)))
    finally:
        globalLogPublisher.removeObserver(observe)
    return Installed(found, tuple(broken))


def tellBroken(broken: Iterable[str]) -> None:
    """Log what cannot be imported, each once in a process."""
    for line in broken:
        if line not in _told:
            _told.add(line)
            _log.warn("A plugin cannot be imported: {line}", line=line)


def _line(failure: Failure) -> str:
    assert failure.value is not None
    return f"{_file(failure)}: {cause(failure.value)}"


def _file(failure: Failure) -> str:
    """The plugin's file: it may be another one that it imports which fails."""
    files = [str(frame[1]) for frame in failure.frames]
    if isinstance(failure.value, SyntaxError) and failure.value.filename:
        files.append(failure.value.filename)
    plugins = [each for each in files if Path(each).parent.name == "plugins"]
    return (plugins or files or ["twisted.plugins"])[0]
