"""Lines written by a thread, so that nobody waits for a disk or for a reader."""

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
Seconds that more lines are waited for.  A thread that woke for each line would
take the interpreter from the reactor as often.
"""

_LOOK = 0.05
"""Seconds between looks at what else there is to do, while a reader is waited for."""

_RETRY = 1.0
"""Seconds after an error, such as a full disk, until the next try."""

_PATIENCE = 1.0
"""Seconds that closing, or following, waits for a file that takes nothing."""


class Writer:
    """
    Writes lines to a file, in a thread of its own.

    At most some thousand lines wait for it.  What is dropped beyond that, or can
    never be written, is counted and told in the log: when it begins, and with the
    number of lines when it is over.

    The thread does not keep the process alive.
    """

    _log = Logger()

    # _text, _done, _progress, _refused and _lookAgain are the thread's own; what was
    # lost is counted by both sides, under the lock.

    def __init__(self, file: LineFile, name: str, most: int = MOST) -> None:
        """
        @param file: Open; it is closed by the thread.
        @param name: What the file is called in the log.
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
        Have a line written soon.

        @param line: With its newline.
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
        """Have the file followed now, and wait until that is done, for a second."""
        self._followed.clear()
        self._following = True
        self._hurry.set()
        self._wake.set()
        self._followed.wait(_PATIENCE)

    def close(self) -> None:
        """
        Write what is left, and close the file.  That takes a second at most; what
        is not taken until then is lost.
        """
        atexit.unregister(self.close)
        self._closing = monotonic()
        self._hurry.set()
        self._wake.set()
        self._thread.join(_PATIENCE + 4 * _LOOK)
        if self._thread.is_alive():
            # It is within a system call, which nothing can end.
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
            # Before the lines are taken: after it there are no more.
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
        """Write all there is, or when closing as much as can be."""
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
        # Of a line that was written in part the beginning is kept: it is begun
        # anew in the next file.
        whole = self._text.rfind(b"\n", 0, self._done) + 1
        self._text = self._text[whole:]
        self._done -= whole

    def _givesUp(self) -> bool:
        now = monotonic()
        return now - self._progress >= _PATIENCE or now - self._closing >= _PATIENCE

    def _answer(self) -> None:
        """Do what is to be done at once."""
        if self._following:
            self._following = False
            self._hurry.clear()
            if self._closing:
                self._hurry.set()
            self._lookAgain = 0.0
            # What is wrong with a deleted file is told with the next line.
            with suppress(OSError):
                self._look()
            self._followed.set()

    def _look(self) -> None:
        """
        Follow the file; if that cannot be, go on in the old one.

        @raise OSError: If that one is deleted.
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

    # What was lost.

    def _forget(self) -> int:
        """Let go of all lines; how many they were."""
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
