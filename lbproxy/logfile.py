"""
Follows log rotation of the file that C{twistd --logfile} writes.

twistd itself opens the file once, and keeps writing to it after it was moved away.
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

from .causes import cause
from .observe.moved import LOOK_EVERY, moved, openAs


@implementer(ILogObserver)
class FollowedLog:
    """
    A log observer that follows log rotation, in front of the one that writes the file.

    Once a second, before a line is written, it checks that the open file is the file of
    its name.  If not, it opens a new one.  It needs no timer.

    If the new file cannot be opened, logging goes on in the one that was moved away.
    Events that cannot be written, as on a full disk, are counted.  The count is logged
    after the next event that can be written.
    """

    _log = Logger()

    def __init__(
        self,
        observer: ILogObserver,
        file: BaseLogFile,
        seconds: Callable[[], float],
    ) -> None:
        """
        @param observer: The observer that writes the lines.
        @param file: The file that it writes to.
        @param seconds: The clock.
        """
        self._observer = observer
        self._file = file
        self._seconds = seconds
        self._looked = seconds()
        # It covers every write, since the file may be rotated by its size meanwhile.
        # It is reentrant, since Twisted logs in its signal handlers.
        self._lock = RLock()
        self._failed = False
        self._lost = 0

    def __call__(self, event: LogEvent) -> None:
        """Write an event, to a new file if the old one was moved away."""
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
        """Open a new file of the old name, if the old one was moved away."""
        with self._lock:
            # First, since the events that are logged below may call this method again.
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
        # The new file replaces the old one under the same descriptor.  Twisted's own
        # reopen() closes the old one first.  Then no file would be open if opening
        # fails, and none for what other threads log meanwhile.
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
    Make the log file of a publisher follow log rotation.

    @param seconds: The clock.
    @return: L{None} if its events go elsewhere, to standard output or to syslog; or if
        the file is not found under its name, as after C{--chroot}.
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
