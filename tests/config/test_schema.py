"""A table that is declared can be read, and says what is wrong with a file."""

from __future__ import annotations

import pytest

from lbproxy.config.schema import Key, Table
from lbproxy.words.options import REQUIRED, Unset
from lbproxy.words.place import ConfigurationError, Place
from lbproxy.words.values import boolean, wholeNumber

TABLE = Table(
    "[door]",
    "How one comes in.",
    (
        Key("open-at-night", boolean, False, "Whether."),
        Key("height", wholeNumber(1), REQUIRED, "How high."),
        Key("width", wholeNumber(1), Unset("as high as wide"), "How wide."),
    ),
)
PLACE = Place("house.toml", "door")


def test_whatIsNotWrittenHasItsDefault() -> None:
    """Only what is required has to be written."""
    assert TABLE.read({"height": 2}, PLACE) == {"openAtNight": False, "height": 2}


def test_whatIsWrittenIsRead() -> None:
    """Keys are kebab-case in the file and camelCase in Python."""
    written = {"height": 2, "width": 1, "open-at-night": True}
    assert TABLE.read(written, PLACE) == {"openAtNight": True, "height": 2, "width": 1}


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ({}, "house.toml: door.height: this key is required"),
        (
            {"height": 0},
            "house.toml: door.height = 0: expected a whole number of 1 or more",
        ),
        (
            {"heigth": 2},
            (
                "house.toml: door.heigth = 2: unknown key; the nearest known one is "
                '"height"'
            ),
        ),
        (
            {"open_at_night": True},
            (
                "house.toml: door.open_at_night = true: unknown key; the nearest known "
                'one is "open-at-night"'
            ),
        ),
        ([], "house.toml: door = []: expected a table, [door]"),
        ("open", 'house.toml: door = "open": expected a table, [door]'),
    ],
)
def test_whatIsWrongIsNamed(written: object, line: str) -> None:
    """File, key, value and reason are on the one line."""
    with pytest.raises(ConfigurationError) as raised:
        TABLE.read(written, PLACE)
    assert str(raised.value) == line
