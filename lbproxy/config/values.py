"""Parsers of lists, and of tables within tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..words.place import Place
from ..words.values import plainName
from .schema import Parser, Placed, Table, readAt

AT_LEAST_ONE = "expected a list of at least one"


def listOf(each: Parser, mayBeEmpty: bool = False) -> Placed:
    """Make a parser of a list, which returns a tuple."""

    def read(written: object, place: Place) -> tuple[Any, ...]:
        if not isinstance(written, list | tuple) or not (written or mayBeEmpty):
            raise place.refuse(
                written, "expected a list" if mayBeEmpty else AT_LEAST_ONE
            )
        return tuple(
            readAt(each, item, place.item(at)) for at, item in enumerate(written)
        )

    return Placed(read)


def oneOrListOf(each: Parser) -> Placed:
    """Make a parser of a list or of one value, which returns a tuple."""
    several = listOf(each)

    def read(written: object, place: Place) -> tuple[Any, ...]:
        if isinstance(written, list | tuple):
            return several.read(written, place)  # type: ignore[no-any-return]
        return (readAt(each, written, place),)

    return Placed(read)


def tables(table: Table) -> Placed:
    """
    Make a parser of an array of tables.

    It returns a tuple of what L{Table.read} returns, each with its C{place}.  The place
    of a table that has a name contains the name: C{listener.web}.
    """

    def read(written: object, place: Place) -> tuple[dict[str, Any], ...]:
        if not isinstance(written, list | tuple):
            raise place.refuse(written, f"expected an array of tables, {table.header}")
        found = []
        for at, item in enumerate(written):
            here = _named(item, place) or place.item(at)
            found.append({**table.read(item, here), "place": here})
        return tuple(found)

    return Placed(read)


def _named(item: object, place: Place) -> Place | None:
    """The place of a table by its name; L{None} if it has no valid name."""
    try:
        return place.key(
            plainName(item.get("name") if isinstance(item, Mapping) else 0)
        )
    except ValueError:
        return None


def tablesByName(table: Table) -> Placed:
    """
    Make a parser of a table of tables.

    It returns a tuple of what L{Table.read} returns, each with its C{place} and its
    C{name}.
    """

    def read(written: object, place: Place) -> tuple[dict[str, Any], ...]:
        if not isinstance(written, Mapping):
            raise place.refuse(written, f"expected tables, {table.header}")
        found = []
        for called, item in written.items():
            here = place.key(called)
            values = {"name": readAt(plainName, called, here), "place": here}
            found.append({**table.read(item, here), **values})
        return tuple(found)

    return Placed(read)
