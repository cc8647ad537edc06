"""Says in errors that privileges were dropped, where that may be the cause."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .ports import CannotStart
from .words.place import ConfigurationError

_FORBIDDEN = tuple(os.strerror(each) for each in (errno.EACCES, errno.EPERM))


class Privileges:
    """The privileges that the process has at first, and perhaps drops later."""

    def __init__(self, user: Callable[[], int] = os.geteuid) -> None:
        """
        @param user: Returns the number of the user that the process is now.
        """
        self._user = user
        self._startedAs = user()

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """
        Add that privileges were dropped to an error that may come from that.

        @raise ConfigurationError: If the block raises one.
        @raise CannotStart: If the block raises one.
        """
        try:
            yield
        except (CannotStart, ConfigurationError) as error:
            said = str(error)
            if self._user() == self._startedAs:
                raise
            if not any(each in said for each in _FORBIDDEN):
                raise
            raise type(error)(f"{said} (privileges were dropped)") from None
