"""
What may stand behind a key: the parsers that the tables are declared with.

Each is a L{Parser<lbproxy.config.schema.Parser>} or makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..words.units import formatDuration, parseDuration
from .place import Place
from .schema import Parser, Table


def said(parse: Callable[[object], object]) -> Parser:
    """
    A parser from a function that knows nothing of places.

    @param parse: Raises L{ValueError} with one line that says what was expected.
    """

    def parser(written: object, place: Place) -> object:
        try:
            return parse(written)
        except ValueError as error:
            raise place.refuse(written, str(error)) from None

    return parser


duration = said(parseDuration)
"""Seconds as a float; often 0 means that it is off."""


def moreThanNone(written: object, place: Place) -> float:
    """A duration that cannot be off."""
    seconds: float = duration(written, place)
    if not seconds:
        raise place.refuse(written, "must be more than 0")
    return seconds


def offOrBetween(lowest: float, highest: float) -> Parser:
    """A duration that is 0, for off, or within limits, both included."""

    def parser(written: object, place: Place) -> float:
        seconds: float = duration(written, place)
        if seconds and not lowest <= seconds <= highest:
            limits = f"{formatDuration(lowest)} to {formatDuration(highest)}"
            raise place.refuse(written, f"expected 0 for off, or {limits}")
        return seconds

    return parser


def wholeNumber(lowest: int, highest: int | None = None) -> Parser:
    """An integer within limits, both included."""
    limits = f"from {lowest} to {highest}" if highest else f"of {lowest} or more"

    def parser(written: object, place: Place) -> int:
        # To Python, true is an integer; to people it is not.
        if (
            not isinstance(written, int)
            or isinstance(written, bool)
            or written < lowest
            or (highest is not None and written > highest)
        ):
            raise place.refuse(written, f"expected a whole number {limits}")
        return written

    return parser


def boolean(written: object, place: Place) -> bool:
    """C{true} or C{false}."""
    if not isinstance(written, bool):
        raise place.refuse(written, "expected true or false")
    return written


def text(expected: str) -> Parser:
    """
    Text that is not empty.

    @param expected: What it is, for the error: C{"a path"}.
    """

    def parser(written: object, place: Place) -> str:
        if not isinstance(written, str) or not written or "\0" in written:
            raise place.refuse(written, f"expected {expected}")
        return written

    return parser


def name(written: object, place: Place) -> str:
    """What something is called in logs, where a space ends a word."""
    if not isinstance(written, str) or not _isName(written):
        raise place.refuse(
            written, "expected a name: 1 to 255 printable characters without spaces"
        )
    return written


def _isName(written: str) -> bool:
    return 1 <= len(written) <= 255 and written.isprintable() and " " not in written


def oneOf(*allowed: str) -> Parser:
    """One of a few words."""
    expected = "expected " + " or ".join(f'"{word}"' for word in allowed)

    def parser(written: object, place: Place) -> str:
        if not isinstance(written, str) or written not in allowed:
            raise place.refuse(written, expected)
        return written

    return parser


def listOf(each: Parser) -> Parser:
    """A list that is not empty, as a tuple."""

    def parser(written: object, place: Place) -> tuple[Any, ...]:
        if not isinstance(written, list | tuple) or not written:
            raise place.refuse(written, "expected a list of at least one")
        return tuple(each(item, place.item(at)) for at, item in enumerate(written))

    return parser


def oneOrListOf(each: Parser) -> Parser:
    """The same, where a value alone stands for a list of just that."""
    several = listOf(each)

    def parser(written: object, place: Place) -> tuple[Any, ...]:
        if isinstance(written, list | tuple):
            return several(written, place)  # type: ignore[no-any-return]
        return (each(written, place),)

    return parser


def tables(table: Table) -> Parser:
    """
    An array of tables, as a tuple of what L{Table.read} returns, each with its
    C{place}.  One that has a name is called by it: C{listener.web}.
    """

    def parser(written: object, place: Place) -> tuple[dict[str, Any], ...]:
        if not isinstance(written, list | tuple):
            raise place.refuse(written, f"expected an array of tables, {table.header}")
        found = []
        for at, item in enumerate(written):
            called = item.get("name") if isinstance(item, Mapping) else None
            known = isinstance(called, str) and _isName(called)
            here = place.key(str(called)) if known else place.item(at)
            found.append({**table.read(item, here), "place": here})
        return tuple(found)

    return parser


def tablesByName(table: Table) -> Parser:
    """
    A table of tables, as a tuple of what L{Table.read} returns, each with its
    C{place} and its C{name}.
    """

    def parser(written: object, place: Place) -> tuple[dict[str, Any], ...]:
        if not isinstance(written, Mapping):
            raise place.refuse(written, f"expected tables, {table.header}")
        found = []
        for called, item in written.items():
            here = place.key(called)
            values = {"name": name(called, here), "place": here}
            found.append({**table.read(item, here), **values})
        return tuple(found)

    return parser
