"""Log files that are moved away, as log rotation does, and begun anew."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

LOOK_EVERY = 1.0
"""Seconds between looks at whether a file was moved away."""


def moved(path: str, descriptor: int) -> bool:
    """
    Whether what is open is not, or no longer, the file of that name.

    @param descriptor: Of the open file.
    @raise OSError: If that cannot be found out.
    """
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return True
    return not os.path.samestat(there, os.fstat(descriptor))


def openAs(path: str, old: os.stat_result, flags: int) -> int:
    """
    Open a file to append to.  If it is not there it is made, with the permissions
    of an old one, and with its owner and group as far as that is allowed.

    @param flags: As for C{os.open}, without those that make it.
    @return: Its descriptor.
    @raise OSError: If it cannot be opened.
    """
    try:
        new = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    for owner in (-1, old.st_uid):
        # Of its own groups a user may give a file away to, to other users not.
        with suppress(OSError):
            os.fchown(new, owner, old.st_gid)
    os.fchmod(new, stat.S_IMODE(old.st_mode))
    return new
