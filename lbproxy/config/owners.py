"""Reads users and groups of this system, given by name or by number."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable

_HIGHEST = 2**32 - 2
"""The highest number; to chown(2), the next one means "leave it as it is"."""


def userId(written: object) -> int | None:
    """Read a user by name or number; L{None} for C{""}."""
    return _id("user", lambda name: pwd.getpwnam(name).pw_uid, written)


def groupId(written: object) -> int | None:
    """Read a group by name or number; L{None} for C{""}."""
    return _id("group", lambda name: grp.getgrnam(name).gr_gid, written)


def _id(kind: str, lookUp: Callable[[str], int], written: object) -> int | None:
    if written == "":
        return None
    number = written
    if isinstance(written, str):
        try:
            return lookUp(written)
        except (KeyError, ValueError):
            # As in chown(1), digits are looked up as a name before they are read as a
            # number.
            if not written.isascii() or not written.isdigit():
                reason = f"there is no such {kind} on this system"
                raise ValueError(reason) from None
        number = int(written[:12])
    if (
        not isinstance(number, int)
        or isinstance(number, bool)
        or not 0 <= number <= _HIGHEST
    ):
        reason = f"expected the name or the number of a {kind}"
        raise ValueError(reason)
    return number
