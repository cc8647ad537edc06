"""Renders the reference of all configuration keys from the tables that declare them."""

from __future__ import annotations

from collections.abc import Sequence

from ..words.options import REQUIRED, Unset
from ..words.place import shown
from .keys import TABLES
from .schema import Key, Table


def referenceText(tables: Sequence[Table] = TABLES) -> str:
    """
    Render the reference of all keys.

    @return: reStructuredText: a section for each table, underlined with C{~},
        with a list of its keys, their defaults as a file has them, and their
        meanings.
    """
    return "\n".join(_section(table) for table in tables)


def _section(table: Table) -> str:
    title = f"``{table.header}``"
    lines = [
        title,
        "~" * len(title),
        "",
        table.doc,
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - Key",
        "     - Default",
        "     - Meaning",
    ]
    for key in table.keys:
        lines += [
            f"   * - ``{key.name}``",
            f"     - {defaultText(key)}",
            f"     - {_escaped(key.doc)}",
        ]
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    """Text in which an asterisk does not begin an emphasis."""
    return text.replace("*", r"\*")


def defaultText(key: Key) -> str:
    """A key's default as the reference shows it."""
    if key.default is REQUIRED:
        return "required"
    if isinstance(key.default, Unset):
        return key.default.meaning
    return f"``{shown(key.default)}``"
