"""A file, a pipe or a terminal that lines are appended to."""

from __future__ import annotations

import errno
import os
import select
import stat
from contextlib import suppress

from .moved import moved, openAs

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK
"""C{O_NONBLOCK}: without it, opening a FIFO would wait for a reader."""

_STDOUT = 1

_PAGE = 4096
"""
How many bytes are written to a pipe at once: C{PIPE_BUF} of pipe(7).

A pipe that poll(2) calls writable takes so many bytes without blocking.  A pipe that is
shared with other processes cannot be made non-blocking.
"""


class LineFile:
    """
    A file that lines are appended to, which is opened anew after log rotation.

    It is used by one thread at a time.
    """

    def __init__(self, path: str | None) -> None:
        """
        @param path: A file; L{None} for standard output.
        """
        self._path = path
        self._descriptor = -1
        self._paged = False
        self._made = False

    def open(self) -> None:
        """
        Open the file.

        @raise OSError: If it cannot be opened, or is a FIFO without a reader.
        """
        if self._path is None:
            self._use(os.dup(_STDOUT))
            return
        try:
            self._use(os.open(self._path, _FLAGS))
        except FileNotFoundError:
            self._use(os.open(self._path, _FLAGS | os.O_CREAT, 0o666))
            self._made = not os.path.islink(self._path)
        except OSError as error:
            raise _named(error, self._path) from None

    def close(self) -> None:
        """
        Close the file.

        @raise OSError: If what was written has not reached the disk.
        """
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    @property
    def deleted(self) -> bool:
        """
        Whether the open file has been deleted, so that what is written to it is lost.
        """
        return self._path is not None and not os.fstat(self._descriptor).st_nlink

    def follow(self) -> bool:
        """
        Open a file of the old name, if the open one was moved away.

        @return: Whether it was moved away.
        @raise OSError: If the new file cannot be opened; lines still go to the old one.
        """
        if self._path is None:
            return False
        self._own(self._path)
        if not moved(self._path, self._descriptor):
            return False
        before = self._descriptor
        try:
            self._use(openAs(self._path, os.fstat(before), _FLAGS))
        except OSError as error:
            raise _named(error, self._path) from None
        os.close(before)
        return True

    def write(self, text: memoryview, patience: float) -> int:
        """
        Write as much of a text as the file takes.  A pipe is given whole lines.

        @param patience: How many seconds to wait for a pipe to take anything.
        @return: How many bytes were taken; 0 if none were in that time.
        @raise OSError: If the file cannot be written to.
        """
        if self._paged:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            if not poll.poll(patience * 1000):
                return 0
            text = text[: bytes(text[:_PAGE]).rfind(b"\n") + 1 or _PAGE]
        try:
            return os.write(self._descriptor, text)
        except BlockingIOError:
            return 0

    def _own(self, path: str) -> None:
        """
        Remove the file if it is new and empty, and another user made it.

        That user is root, before privileges were dropped.  The file is then made again
        by the user who will make it after each rotation.
        """
        if not self._made:
            return
        self._made = False
        now = os.fstat(self._descriptor)
        if now.st_uid == os.geteuid() or now.st_size or moved(path, self._descriptor):
            return
        # A user who may not remove it may not make a new one either.
        with suppress(PermissionError):
            os.unlink(path)

    def _use(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._paged = not stat.S_ISREG(os.fstat(descriptor).st_mode)


def _named(error: OSError, path: str) -> OSError:
    """The error, with a clear message if it is ENXIO."""
    if error.errno != errno.ENXIO:
        return error
    return OSError(errno.ENXIO, "a FIFO or socket that nobody reads", path)
