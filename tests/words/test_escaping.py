"""Text from elsewhere in a log: it stays on its line, and in its field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbproxy.words.escaping import oneLine, oneWord


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, und schön", "plain, und schön"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\u202eright to left", r"\u202eright to left"),
        ("half a pair: \udc80", r"half a pair: \udc80"),
    ],
)
def test_oneLine(text: str, shown: str) -> None:
    """What a terminal would act on is shown instead."""
    assert oneLine(text) == shown


def test_oneWord() -> None:
    """A blank does not end the field."""
    assert oneWord("a b\tc") == r"a\x20b\tc"


@given(st.text())
def test_anyText(text: str) -> None:
    """Whatever it is, it can be shown and encoded."""
    for shown in oneLine(text), oneWord(text):
        assert shown.isprintable()
        shown.encode("utf-8")
    assert " " not in oneWord(text)
