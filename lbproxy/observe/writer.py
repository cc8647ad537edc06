"""Writes lines in a thread, so that the reactor never waits for a disk or a reader."""

from __future__ import annotations

import atexit
from collections import deque
from contextlib import suppress
from threading import Event, Lock, Thread
from time import monotonic

from twisted.logger import Logger

from .linefile import LineFile

MOST = 10_000
"""How many lines may wait, of some 200 bytes each; further ones are dropped."""

_BATCH = 1000
"""How many lines are written in one go."""

_GATHER = 0.02
"""
Seconds to wait for more lines before writing.

A thread that woke for each line would take the interpreter from the reactor as often.
"""

_LOOK = 0.05
"""Seconds between two checks for other work, while the thread waits for a reader."""

_RETRY = 1.0
"""Seconds after an error, such as a full disk, until the next try."""

_PATIENCE = 1.0
"""Seconds that C{close} and C{follow} wait for a file that takes nothing."""


class Writer:
    """
    Writes lines to a file, in a thread of its own.

    A limited number of lines may wait.  Lines beyond that, and lines that can never be
    written, are counted.  The log says when the loss begins, and when it is over how
    many lines were lost.

    The thread does not keep the process alive.
    """

    _log = Logger()

    # Only the thread uses _text, _done, _progress, _refused and _lookAgain.  Both
    # threads count lost lines, under the lock.

    def __init__(self, file: LineFile, name: str, most: int = MOST) -> None:
        """
        @param file: An open file; the thread closes it.
        @param name: The name of the file in the log.
        @param most: How many lines may wait.
        """
        self._file = file
        self._name = name
        self._most = most
        self._lines: deque[bytes] = deque()
        self._wake = Event()
        self._hurry = Event()
        self._followed = Event()
        self._following = False
        self._closing = 0.0
        self._text = b""
        self._done = 0
        self._progress = monotonic()
        self._refused = False
        self._lookAgain = 0.0
        self._lock = Lock()
        self._lost = 0
        self._troubled = False
        self._thread = Thread(target=self._run, name="lbproxy-log", daemon=True)
        self._thread.start()
        # For a program that ends without stopping its services.
        atexit.register(self.close)

    def put(self, line: bytes) -> None:
        """
        Queue a line, which the thread writes soon.

        @param line: The line with its newline.
        """
        if len(self._lines) >= self._most:
            with self._lock:
                self._lost += 1
            self._complain("it takes lines more slowly than they come")
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def follow(self) -> None:
        """
        Have the thread check now whether the file was moved away; wait for it.

        This takes a second at most.
        """
        self._followed.clear()
        self._following = True
        self._hurry.set()
        self._wake.set()
        self._followed.wait(_PATIENCE)

    def close(self) -> None:
        """
        Write the lines that are left, and close the file.

        This takes a second at most.  Lines that are not taken by then are lost.
        """
        atexit.unregister(self.close)
        self._closing = monotonic()
        self._hurry.set()
        self._wake.set()
        self._thread.join(_PATIENCE + 4 * _LOOK)
        if self._thread.is_alive():
            # It is in a system call that cannot be interrupted.
            with self._lock:
                self._lost += self._forget()
            self._tellClosed()

    # In the thread.

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait()
            self._hurry.wait(_GATHER)
            self._wake.clear()
            # Read before the lines are taken: once it is set, no more lines come.
            closing = bool(self._closing)
            self._answer()
            self._writeAll()
        with self._lock:
            self._lost += self._forget()
        try:
            self._file.close()
        except OSError as error:
            self._complain(error.strerror or str(error))
        self._tellClosed()

    def _writeAll(self) -> None:
        """Write all lines that wait, or when closing as many as possible."""
        self._progress = monotonic()
        while self._text or self._lines:
            if not self._text:
                some = min(len(self._lines), _BATCH)
                self._text = b"".join([self._lines.popleft() for _ in range(some)])
            try:
                self._look()
                taken = self._file.write(memoryview(self._text)[self._done :], _LOOK)
            except OSError as error:
                self._complain(error.strerror or str(error))
                if self._closing:
                    return
                self._hurry.wait(_RETRY)
            else:
                self._took(taken)
            if self._closing and self._givesUp():
                return
            self._answer()
        self._allWritten()

    def _took(self, taken: int) -> None:
        if not taken:
            return
        self._progress = monotonic()
        self._done += taken
        # A line that was written in part is kept as a whole: if a new file follows, it
        # is written there from its beginning.
        whole = self._text.rfind(b"\n", 0, self._done) + 1
        self._text = self._text[whole:]
        self._done -= whole

    def _givesUp(self) -> bool:
        now = monotonic()
        return now - self._progress >= _PATIENCE or now - self._closing >= _PATIENCE

    def _answer(self) -> None:
        """Check whether the file was moved away, if C{follow} asked for that."""
        if self._following:
            self._following = False
            self._hurry.clear()
            if self._closing:
                self._hurry.set()
            self._lookAgain = 0.0
            # The error of a deleted file is logged with the next line.
            with suppress(OSError):
                self._look()
            self._followed.set()

    def _look(self) -> None:
        """
        Follow the file if it was moved away; if that fails, go on in the old one.

        @raise OSError: If the old one is deleted.
        """
        if monotonic() < self._lookAgain:
            return
        try:
            if self._file.follow():
                self._done = 0
        except OSError as error:
            if self._file.deleted:
                raise
            self._lookAgain = monotonic() + _RETRY
            if not self._refused:
                self._log.error(
                    "The access log {path} cannot be begun anew and goes on in the "
                    "old file: {error}",
                    path=self._name,
                    error=error.strerror or str(error),
                )
            self._refused = True
        else:
            self._refused = False

    # Lost lines.

    def _forget(self) -> int:
        """Drop all lines that wait, and return their number."""
        lines = self._text.count(b"\n") + len(self._lines)
        self._text, self._done = b"", 0
        self._lines.clear()
        return lines

    def _complain(self, reason: str) -> None:
        with self._lock:
            told, self._troubled = self._troubled, True
        if not told:
            self._log.error(
                "The access log {path} cannot be written: {error}",
                path=self._name,
                error=reason,
            )

    def _allWritten(self) -> None:
        with self._lock:
            troubled, self._troubled = self._troubled, False
            lost, self._lost = self._lost, 0
        if troubled:
            self._log.warn(
                "The access log {path} is written again; {lost} lines were lost",
                path=self._name,
                lost=lost,
            )

    def _tellClosed(self) -> None:
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            self._log.warn(
                "The access log {path} is closed; {lost} lines were lost",
                path=self._name,
                lost=lost,
            )
