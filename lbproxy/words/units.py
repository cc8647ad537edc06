"""
The units of configuration: durations and sizes, parsed once and printed back.

What is printed parses to the very same number, so a value can go from a file
into the program, and from there into documentation or an admin page, unharmed.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from math import isfinite

_SECONDS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}

_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SIZE = re.compile(r"([0-9]+)(B|KiB|MiB|GiB)")

_A_DURATION = (
    'expected a duration of 0 or more: a number of seconds, or such as "250ms", '
    '"5s", "10m", "1h"'
)
_A_SIZE = (
    'expected a size of 0 or more: a whole number of bytes, or such as "512B", '
    '"64KiB", "1MiB", "1GiB"'
)


def parseDuration(value: object) -> float:
    """
    Read a duration as configuration writes it.

    @param value: A number of seconds, or text: a decimal number and, without
        a space, C{ms}, C{s}, C{m} or C{h}.
    @return: Seconds; finite, 0 or more.
    @raise ValueError: With one line that says what was expected.
    """
    try:
        seconds = _seconds(value)
    except (ValueError, OverflowError):
        # Thousands of digits: too many for int, or too large for a float.
        seconds = None
    if seconds is None or not isfinite(seconds) or seconds < 0:
        raise ValueError(_A_DURATION)
    return seconds + 0.0  # -0.0 becomes 0.0


def _seconds(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and (written := _DURATION.fullmatch(value)):
        # Fractions are rounded once, at the end: "0.1s" and "100ms" are equal.
        return float(Fraction(written[1]) * _SECONDS[written[2]])
    return None


def formatDuration(seconds: float) -> str:
    """
    Write a duration as a file would have it, in the largest unit of which it
    is a whole number.

    @param seconds: Finite, 0 or more.
    @return: Text that L{parseDuration} turns into exactly C{seconds}.
    """
    # What a float shows is decimal, so 0.1 is a whole number of milliseconds
    # although its exact binary value is not.
    shown = Decimal(repr(float(seconds)))
    exact = Fraction(shown)
    units = ("h", "m", "s", "ms") if 0 < exact < 1 else ("h", "m", "s")
    for unit in units:
        count = exact / _SECONDS[unit]
        if exact and count.denominator == 1:
            return f"{count.numerator}{unit}"
    return f"{shown:f}s" if exact else "0s"


def parseSize(value: object) -> int:
    """
    Read a size as configuration writes it.

    @param value: A whole number of bytes, or text: a whole number and, without
        a space, C{B}, C{KiB}, C{MiB} or C{GiB}.
    @return: Bytes, 0 or more.
    @raise ValueError: With one line that says what was expected.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (written := _SIZE.fullmatch(value)):
        try:
            return int(written[1]) * _BYTES[written[2]]
        except ValueError:
            pass  # More digits than int reads; said below, in our own words.
    raise ValueError(_A_SIZE)


def formatSize(size: int) -> str:
    """
    Write a size as a file would have it, in the largest unit of which it is a
    whole number.

    @param size: Bytes, 0 or more.
    @return: Text that L{parseSize} turns into exactly C{size}.
    """
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"
