"""
The log that C{twistd --logfile} writes, begun anew when it was moved away.

twistd itself opens the file once, and goes on in it wherever it was moved.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import RLock

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogPublisher,
)
from twisted.python.logfile import BaseLogFile, LogFile
from zope.interface import implementer

from .config.causes import cause
from .observe.moved import LOOK_EVERY, moved, openAs


@implementer(ILogObserver)
class FollowedLog:
    """
    Stands before the observer that writes to a log file, and sees to it that
    this is the file of its name: it looks once a second, before a line is
    written, so that no timer is needed.

    When the file cannot be begun anew, logging goes on in the one that was
    moved away.  Events that cannot be written, as on a full disk, are counted, and
    the next one that can be is followed by their number.
    """

    _log = Logger()

    def __init__(
        self,
        observer: ILogObserver,
        file: BaseLogFile,
        seconds: Callable[[], float],
    ) -> None:
        """
        @param observer: What writes the lines.
        @param file: What it writes them to.
        @param seconds: The clock.
        """
        self._observer = observer
        self._file = file
        self._seconds = seconds
        self._looked = seconds()
        # Of all that write, since the file may be rotated by its size meanwhile;
        # reentrant, since Twisted logs in its signal handlers.
        self._lock = RLock()
        self._failed = False
        self._lost = 0

    def __call__(self, event: LogEvent) -> None:
        """Write an event, to the right file."""
        with self._lock:
            if self._seconds() - self._looked >= LOOK_EVERY:
                self.follow()
            try:
                self._observer(event)
            except OSError:
                self._lost += 1
                return
            lost, self._lost = self._lost, 0
            if lost:
                self._log.warn(
                    "The log is written again; {lost} events were lost", lost=lost
                )

    def follow(self) -> None:
        """Begin the file anew under its name, if it was moved away."""
        with self._lock:
            # First, since what is logged below comes here again.
            self._looked = self._seconds()
            try:
                descriptor = self._file._file.fileno()
                if moved(self._file.path, descriptor):
                    self._beginAnew(descriptor)
            except (OSError, ValueError) as error:
                self._fail(error)
            else:
                self._failed = False

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._log.error(
                "The log cannot be begun anew and goes on in the old file: {error}",
                error=cause(error),
            )

    def _beginAnew(self, descriptor: int) -> None:
        new = openAs(self._file.path, os.fstat(descriptor), os.O_RDWR | os.O_APPEND)
        # The new file takes the place of the old one beneath Twisted's object,
        # whose own reopen() closes the old one first: there would be none when
        # opening fails, and none for what other threads log meanwhile.
        try:
            os.dup2(new, descriptor, inheritable=False)
        finally:
            os.close(new)
        if isinstance(self._file, LogFile):
            self._file.size = os.fstat(descriptor).st_size


def followLog(
    publisher: LogPublisher, seconds: Callable[[], float]
) -> FollowedLog | None:
    """
    Follow the log file that a publisher's events are written to.

    @param seconds: The clock.
    @return: L{None} if they go elsewhere, to standard output or to syslog; or if
        the file is not to be found under its name, as after C{--chroot}.
    """
    for observer in list(publisher._observers):
        file = getattr(observer, "_outFile", None)
        if (
            isinstance(observer, FileLogObserver)
            and isinstance(file, BaseLogFile)
            and _isThere(file)
        ):
            followed = FollowedLog(observer, file, seconds)
            publisher.removeObserver(observer)
            publisher.addObserver(followed)
            return followed
    return None


def _isThere(file: BaseLogFile) -> bool:
    try:
        return not moved(file.path, file._file.fileno())
    except OSError:
        return False
