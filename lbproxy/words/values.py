"""
What an option may be: parsers of numbers, words and names.

Each takes what was written, of whatever type, and returns the value, or raises
L{ValueError} with one line that says what was expected.  Those of durations are
in L{lbproxy.words.units}.
"""

from __future__ import annotations

from collections.abc import Callable


def wholeNumber(lowest: int, highest: int | None = None) -> Callable[[object], int]:
    """An integer within limits, both included."""
    limits = f"from {lowest} to {highest}" if highest else f"of {lowest} or more"

    def parse(written: object) -> int:
        # To Python, true is an integer; to people it is not.
        if (
            not isinstance(written, int)
            or isinstance(written, bool)
            or written < lowest
            or (highest is not None and written > highest)
        ):
            raise ValueError(f"expected a whole number {limits}")
        return written

    return parse


def boolean(written: object) -> bool:
    """C{true} or C{false}."""
    if not isinstance(written, bool):
        raise ValueError("expected true or false")
    return written


def text(expected: str) -> Callable[[object], str]:
    """
    Text that is not empty.

    @param expected: What it is, for the error: C{"a path"}.
    """

    def parse(written: object) -> str:
        if not isinstance(written, str) or not written or "\0" in written:
            raise ValueError(f"expected {expected}")
        return written

    return parse


def plainName(written: object) -> str:
    """What something is called in logs, where a space ends a word."""
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
    """One of a few words."""
    expected = "expected " + " or ".join(f'"{word}"' for word in allowed)

    def parse(written: object) -> str:
        if not isinstance(written, str) or written not in allowed:
            raise ValueError(expected)
        return written

    return parse
