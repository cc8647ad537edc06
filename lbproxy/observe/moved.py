"""Whether a log file was moved away, as log rotation does."""

from __future__ import annotations

import os

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
