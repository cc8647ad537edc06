"""Escapes text from outside, so that it is safe to show on one line."""

from __future__ import annotations


def oneLine(text: str) -> str:
    r"""
    Escape all characters that a terminal would not show plainly.

    An escape character becomes C{\x1b}, a line break C{\n}.  So text from outside
    cannot add lines to a log, or move the cursor of a terminal that shows it.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )


def oneWord(text: str) -> str:
    """
    Escape as L{oneLine} does, and blanks too, for logs where a blank ends a field.
    """
    return oneLine(text).replace(" ", "\\x20")
