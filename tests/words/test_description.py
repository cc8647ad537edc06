"""Descriptions are taken apart as Twisted takes its own apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbproxy.words.description import Description, fieldsOf, written


@pytest.mark.parametrize(
    ("text", "positional", "named"),
    [
        ("", ("",), {}),
        ("tcp", ("tcp",), {}),
        ("tcp:80", ("tcp", "80"), {}),
        ("tcp::80:", ("tcp", "", "80", ""), {}),
        ("tcp:80:interface=::1", ("tcp", "80", "", "1"), {"interface": ""}),
        ("tcp:80:interface=\\:\\:1", ("tcp", "80"), {"interface": "::1"}),
        ("unix:path=/a=b", ("unix",), {"path": "/a=b"}),
        ("unix:/a\\=b\\\\c", ("unix", "/a=b\\c"), {}),
        ("=x", (), {"": "x"}),
    ],
)
def test_descriptionIsTakenApart(
    text: str, positional: tuple[str, ...], named: dict[str, str]
) -> None:
    """Colons separate, the first equals sign names, a backslash escapes."""
    parsed = Description.parse(text)
    assert (parsed.positional, parsed.named) == (positional, named)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tcp:80:a=1:a=2", '"a" is given twice'),
        ("tcp\\", "a backslash at the end takes nothing literally"),
    ],
)
def test_ambiguousDescription(text: str, reason: str) -> None:
    """What Twisted would take silently, or trip over, is told plainly."""
    with pytest.raises(ValueError) as raised:
        Description.parse(text)
    assert str(raised.value) == reason


@given(st.lists(st.text(), min_size=1))
def test_escapedTextComesOutWhole(parts: list[str]) -> None:
    """Any text can stand in a description, if it is escaped."""
    escaped = ["".join(f"\\{character}" for character in part) for part in parts]
    assert Description.parse(":".join(escaped)).positional == tuple(parts)


@given(st.lists(st.tuples(st.none() | st.text(), st.text()), min_size=1))
def test_fieldsAreWrittenAsTheyAreRead(fields: list[tuple[str | None, str]]) -> None:
    """What is suggested instead of a description means what it should."""
    assert fieldsOf(written(fields)) == fields


def test_nothingIsEscapedWithoutNeed() -> None:
    """A description that is suggested looks as a person would write it."""
    text = r"unix:/a\=b:path=/a=b:host=\:\:1"
    assert written(fieldsOf(text)) == text
