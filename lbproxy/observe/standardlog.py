"""Writes the log of C{twistd --logfile=-} without ever waiting for its reader."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from threading import RLock

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogPublisher,
)
from zope.interface import implementer

from .linefile import LineFile


@implementer(ILogObserver)
class StandardLog:
    """
    Writes log events to standard output without blocking.

    An event is written at once if standard output takes it; otherwise it waits until
    the next event.  When too many wait, further ones are dropped.  Their number is
    written as soon as there is room.

    No thread is used, so that the last events before a crash are written.
    """

    _log = Logger()

    def __init__(
        self,
        formatEvent: Callable[[LogEvent], str | None],
        file: LineFile,
        most: int = 1000,
    ) -> None:
        """
        @param formatEvent: Formats an event as text.
        @param file: Standard output, which is open.
        @param most: How many events may wait.
        """
        self._formatEvent = formatEvent
        self._file = file
        self._most = most
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        # Reentrant, since signal handlers log, and this object logs while it writes.
        self._lock = RLock()
        self._writing = False

    def __call__(self, event: LogEvent) -> None:
        """Write an event now, or keep it until the next one."""
        text = self._formatEvent(event)
        if not text:
            return
        with self._lock:
            if len(self._waiting) < self._most:
                self._waiting.append(text.encode("utf-8", "backslashreplace"))
            else:
                self._lost += 1
            if self._writing:
                return
            self._writing = True
            try:
                self._write()
            finally:
                self._writing = False

    def _write(self) -> None:
        try:
            while self._waiting:
                text = self._waiting[0]
                taken = self._file.write(memoryview(text), 0)
                if not taken:
                    return
                if taken == len(text):
                    self._waiting.popleft()
                else:
                    self._waiting[0] = text[taken:]
                if self._lost and not self._waiting:
                    lost, self._lost = self._lost, 0
                    self._log.warn(
                        "Standard output takes lines again; {lost} events were lost",
                        lost=lost,
                    )
        except OSError:
            # The reader is gone, and there is no other place to report it.
            return


def freeStandardLog(publisher: LogPublisher) -> None:
    """
    Keep a log that is written to standard output from ever blocking.

    @param publisher: One that writes elsewhere is not changed.
    """
    for observer in list(publisher._observers):
        if (
            isinstance(observer, FileLogObserver)
            and observer._outFile is sys.__stdout__
            and observer._outFile is not None
        ):
            file = LineFile(None)
            file.open()
            publisher.removeObserver(observer)
            publisher.addObserver(StandardLog(observer.formatEvent, file))
