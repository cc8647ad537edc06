"""
Parsers of the values of options: numbers, words and names.

Each takes a written value of any type, and returns the option's value, or raises
L{ValueError} with one line that says what was expected.  The parsers of durations are
in L{lbproxy.words.units}.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from ipaddress import ip_address

_TEXT = re.compile(r"[^\0]+")


def wholeNumber(lowest: int, highest: int | None = None) -> Callable[[object], int]:
    """Make a parser of an integer within limits, both included."""
    limits = f"from {lowest} to {highest}" if highest else f"of {lowest} or more"

    def parse(written: object) -> int:
        # True is an integer in Python, but not in a configuration.
        if (
            not isinstance(written, int)
            or isinstance(written, bool)
            or written < lowest
            or (highest is not None and written > highest)
        ):
            raise ValueError(f"expected a whole number {limits}")
        return written

    return parse


def offOrFactor(highest: int) -> Callable[[object], Fraction]:
    """
    Make a parser of a factor: 0, for off, or more than 1 and C{highest} at most.

    @return: A parser whose result is the decimal number exactly as it was written.
    """

    def parse(written: object) -> Fraction:
        if (
            isinstance(written, int | float)
            and not isinstance(written, bool)
            and (written == 0 or 1 < written <= highest)
        ):
            return Fraction(str(written))
        raise ValueError(f"expected 0 for off, or a number above 1, up to {highest}")

    return parse


def boolean(written: object) -> bool:
    """Read C{true} or C{false}."""
    if not isinstance(written, bool):
        raise ValueError("expected true or false")
    return written


def text(expected: str) -> Callable[[object], str]:
    """
    Make a parser of text that is not empty.

    @param expected: What the error says was expected: C{"a path"}.
    """
    return matching(_TEXT, expected)


def matching(pattern: re.Pattern[str], expected: str) -> Callable[[object], str]:
    """
    Make a parser of text that matches a pattern from end to end.

    @param expected: What the error says was expected: C{"a path"}.
    """

    def parse(written: object) -> str:
        if not isinstance(written, str) or not pattern.fullmatch(written):
            raise ValueError(f"expected {expected}")
        return written

    return parse


def addressOrEmpty(expected: str) -> Callable[[object], str]:
    """
    Make a parser of an IP address, or of empty text.

    @param expected: What the error says was expected: C{"an IP address"}.
    """

    def parse(written: object) -> str:
        if written == "":
            return ""
        try:
            if isinstance(written, str):
                return str(ip_address(written))
        except ValueError:
            pass
        raise ValueError(f"expected {expected}")

    return parse


def plainName(written: object) -> str:
    """Read a name for use in logs, where a space ends a word."""
    if (
        not isinstance(written, str)
        or not 1 <= len(written) <= 255
        or not written.isprintable()
        or " " in written
    ):
        raise ValueError(
            "expected a name: 1 to 255 printable characters without spaces"
        )
    return written


def oneOf(*allowed: str) -> Callable[[object], str]:
    """Make a parser of one of a few words."""
    expected = "expected " + " or ".join(f'"{word}"' for word in allowed)

    def parse(written: object) -> str:
        if not isinstance(written, str) or written not in allowed:
            raise ValueError(expected)
        return written

    return parse
