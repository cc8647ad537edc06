"""The kind of discovery C{file}: a list of backends in a file that is replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

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

_Version = tuple[int, int, int]


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

    def start(self, observer: IDiscoveryObserver) -> None:
        """Read the file, and look at it again and again."""
        self._observer = observer
        self._look()

    def stop(self) -> None:
        """Look at it no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
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
        isAnother = seen is None or seen[0] != version[0]
        if isAnother or seen == version:
            self._use(version)

    def _version(self) -> _Version:
        there = os.stat(self._path)
        return there.st_ino, there.st_mtime_ns, there.st_size

    def _use(self, version: _Version) -> None:
        self._used = version
        try:
            with open(self._path, "rb") as file:
                content = file.read(LARGEST + 1)
            if len(content) > LARGEST:
                raise ConfigurationError(f"{self._path}: more than {LARGEST} bytes")
            backends = self._read(content, self._path)
        except OSError as error:
            self._observer.failed(str(error.strerror))
        except ConfigurationError as error:
            self._observer.failed(str(error).removeprefix(f"{self._path}: "))
        else:
            self._observer.found(backends, f"{self._path} is another")
