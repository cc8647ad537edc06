"""
Reads and writes the units of configuration: durations and shares.

A duration that was written is read as the very same number.  So a value can go from a
file into the program, and from there into documentation or an admin page, without a
change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import isfinite

_SECONDS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")

_A_DURATION = (
    'expected a duration of 0 or more: a number of seconds, or such as "250ms", '
    '"5s", "10m", "1h"'
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


def moreThanNone(value: object) -> float:
    """
    Read a duration that must be more than 0.

    @raise ValueError: With one line that says what was expected.
    """
    seconds = parseDuration(value)
    if not seconds:
        raise ValueError("must be more than 0")
    return seconds


def offOrBetween(lowest: float, highest: float) -> Callable[[object], float]:
    """
    Make a parser of a duration that is 0, for off, or within limits.

    Both limits are included.
    """

    def parse(value: object) -> float:
        seconds = parseDuration(value)
        if seconds and not lowest <= seconds <= highest:
            limits = f"{formatDuration(lowest)} to {formatDuration(highest)}"
            raise ValueError(f"expected 0 for off, or {limits}")
        return seconds

    return parse


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
    # A float is printed in decimal, so 0.1 is a whole number of milliseconds although
    # its exact binary value is not.
    shown = Decimal(repr(float(seconds)))
    exact = Fraction(shown)
    units = ("h", "m", "s", "ms") if 0 < exact < 1 else ("h", "m", "s")
    for unit in units:
        count = exact / _SECONDS[unit]
        if exact and count.denominator == 1:
            return f"{count.numerator}{unit}"
    return f"{shown:f}s" if exact else "0s"


_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")


def parseShare(value: object) -> float:
    """
    Read a share as configuration writes it.

    @param value: Text: a number from 0 to 100 and, without a space, C{%}.
    @return: 0 to 1.
    @raise ValueError: With one line that says what was expected.
    """
    if isinstance(value, str) and (written := _SHARE.fullmatch(value)):
        share = float(Fraction(written[1]) / 100)
        if share <= 1:
            return share
    raise ValueError('expected a share from "0%" to "100%"')
