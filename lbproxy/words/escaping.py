"""Text that others chose, made safe to show on one line."""

from __future__ import annotations


def oneLine(text: str) -> str:
    r"""
    C{text} with all that a terminal would not show plainly escaped: an escape
    character becomes C{\x1b}, a line break C{\n}.

    Nobody whose text is logged this way can write lines of their own, or move
    the cursor of whoever reads the log.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )


def oneWord(text: str) -> str:
    """The same, with blanks escaped too, for logs where a blank ends a field."""
    return oneLine(text).replace(" ", "\\x20")
