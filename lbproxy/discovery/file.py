"""The kind of discovery C{file}: a list of backends in a file that is replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, BinaryIO

from attrs import frozen
from zope.interface import implementer

from ..interfaces import IDiscovery, IDiscoveryObserver
from ..words.backend import Backend
from ..words.place import ConfigurationError

if TYPE_CHECKING:
    from ..streams.wheel import Timer, Wheel

LOOK_EVERY = 1.0
"""Seconds between two looks at the file."""

LARGEST = 16 << 20
"""The most bytes of a file that is read: the reactor's thread reads it at once."""

RESTLESS = 10
"""How many looks in a row at a file that is written to, until that is told of."""


@frozen
class _Version:
    """
    What is another if the file is.

    The time of the last change (C{changed}) cannot be chosen, and renaming sets it.  So
    a file is noticed that has the number, the size and the time of writing of another,
    and one that may be read only now.
    """

    device: int
    inode: int
    size: int
    written: int
    changed: int

    @classmethod
    def of(cls, there: os.stat_result) -> _Version:
        """What the system says of a file."""
        return cls(
            there.st_dev,
            there.st_ino,
            there.st_size,
            there.st_mtime_ns,
            there.st_ctime_ns,
        )

    def hasReplaced(self, before: _Version | None) -> bool:
        """
        Whether this file was renamed to where another one was, or none.

        A file that is written to where it is was changed last when it was written.
        """
        isAnother = before is None or (before.device, before.inode) != (
            self.device,
            self.inode,
        )
        return isAnother and self.changed > self.written


@implementer(IDiscovery)
class FileDiscovery:
    """
    The backends of a file, which is looked at once a second.

    A file that was put in the place of another is read at once.  One that is written to
    is read when it has not changed for a second, since it may be half written.
    """

    def __init__(
        self, wheel: Wheel, path: str, read: Callable[[bytes, str], Sequence[Backend]]
    ) -> None:
        """
        @param read: Makes the backends of the content of a file and its path.  It
            raises L{ConfigurationError} if it cannot be used.
        """
        self._wheel = wheel
        self._path = path
        self._read = read
        self._timer: Timer | None = None
        self._seen: _Version | None = None
        self._used: _Version | None = None
        self._restless = 0

    def start(self, observer: IDiscoveryObserver) -> None:
        """Read the file, and look at it again and again."""
        self._observer = observer
        self._look(first=True)

    def stop(self) -> None:
        """Look at it no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, first: bool = False) -> None:
        self._timer = self._wheel.call(LOOK_EVERY, self._look)
        try:
            version = self._version()
        except OSError as error:
            self._used = self._seen = None
            self._observer.failed(str(error.strerror))
            return
        seen, self._seen = self._seen, version
        if version == self._used:
            return
        if first or seen == version or version.hasReplaced(seen):
            self._restless = 0
            self._use(version)
        else:
            self._wait()

    def _version(self) -> _Version:
        there = os.stat(self._path)
        if not S_ISREG(there.st_mode) and not S_ISDIR(there.st_mode):
            # To open a FIFO waits until somebody writes to it.
            raise OSError(0, "it is not a file")
        return _Version.of(there)

    def _wait(self) -> None:
        """The file may be half written."""
        self._restless += 1
        if self._restless == RESTLESS:
            self._observer.failed(
                f"it has changed for {RESTLESS} s; it is read when it no longer does"
            )

    def _use(self, version: _Version) -> None:
        self._used = version
        try:
            with open(self._path, "rb") as file:
                tell = self._heard(file)
                isSame = _Version.of(os.fstat(file.fileno())) == version
        except OSError as error:
            # Such as that there are too many open files; the next look tries again.
            self._used = None
            self._observer.failed(str(error.strerror))
            return
        if isSame:
            tell()
        else:
            # It was written to meanwhile; what was read may be half of it.
            self._used = None

    def _heard(self, file: BinaryIO) -> Callable[[], None]:
        """Read the file, and return what tells the observer of it."""
        content = file.read(LARGEST + 1)
        try:
            if len(content) > LARGEST:
                raise ConfigurationError(f"{self._path}: more than {LARGEST} bytes")
            backends = self._read(content, self._path)
        except ConfigurationError as error:
            reason = str(error).removeprefix(f"{self._path}: ")
            return partial(self._observer.failed, reason)
        return partial(self._observer.found, backends, f"{self._path} is another")
