"""Finds log files that log rotation has moved away, and opens new ones."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

LOOK_EVERY = 1.0
"""Seconds between two checks whether a file was moved away."""


def moved(path: str, descriptor: int) -> bool:
    """
    Whether the open file is not the file of that name, or not any more.

    @param descriptor: The descriptor of the open file.
    @raise OSError: If that cannot be found out.
    """
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return True
    return not os.path.samestat(there, os.fstat(descriptor))


def openAs(path: str, old: os.stat_result, flags: int) -> int:
    """
    Open a file to append to; make it like an old one if it does not exist.

    A new file has the permissions of the old one, and its owner and group as far as
    that is allowed.

    @param old: The status of the old file.
    @param flags: As for C{os.open}, without those that make the file.
    @return: The descriptor.
    @raise OSError: If it cannot be opened.
    """
    try:
        new = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    for owner in (-1, old.st_uid):
        # A user may give a file to one of its own groups, but not to another user.
        with suppress(OSError):
            os.fchown(new, owner, old.st_gid)
    os.fchmod(new, stat.S_IMODE(old.st_mode))
    return new
