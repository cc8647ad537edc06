"""What may stand behind a key, and what is said about everything else."""

from __future__ import annotations

import re
from math import inf

import pytest

from lbproxy.config.schema import Key, Parser, Table, readAt
from lbproxy.config.values import listOf, oneOrListOf, tables, tablesByName
from lbproxy.words.options import REQUIRED
from lbproxy.words.place import ConfigurationError, Place
from lbproxy.words.units import moreThanNone, offOrBetween, parseDuration
from lbproxy.words.values import boolean, matching, oneOf, plainName, text, wholeNumber

PLACE = Place("lb.toml", "key")
NAMED = Table("[[thing]]", "A thing.", (Key("name", plainName, "it", "Its name."),))
SIZED = Table("[thing.NAME]", "A thing.", (Key("size", boolean, REQUIRED, "Big."),))

A_DURATION = (
    "expected a duration of 0 or more: a number of seconds, or such as "
    '"250ms", "5s", "10m", "1h"'
)
A_NAME = "expected a name: 1 to 255 printable characters without spaces"


@pytest.mark.parametrize(
    ("parser", "written", "value"),
    [
        (parseDuration, "1m", 60.0),
        (parseDuration, 0, 0.0),
        (moreThanNone, "1ms", 0.001),
        (offOrBetween(1, 60), 0, 0.0),
        (offOrBetween(1, 60), "1s", 1.0),
        (offOrBetween(1, 60), "1m", 60.0),
        (wholeNumber(0), 0, 0),
        (wholeNumber(1, 9), 9, 9),
        (boolean, False, False),
        (text("a path"), "a b", "a b"),
        (text("a path"), "a\nb", "a\nb"),
        (matching(re.compile("a+"), "an a"), "aa", "aa"),
        (plainName, "ä/1", "ä/1"),
        (oneOf("a", "b"), "b", "b"),
        (listOf(boolean), [True, False], (True, False)),
        (oneOrListOf(boolean), [True], (True,)),
        (oneOrListOf(boolean), True, (True,)),
        (tables(NAMED), [], ()),
        (
            tables(NAMED),
            [{"name": "a"}, {}],
            (
                {"name": "a", "place": Place("lb.toml", "key.a")},
                {"name": "it", "place": Place("lb.toml", "key[1]")},
            ),
        ),
        (
            tablesByName(SIZED),
            {"a": {"size": True}},
            ({"name": "a", "size": True, "place": Place("lb.toml", "key.a")},),
        ),
    ],
)
def test_goodValue(parser: Parser, written: object, value: object) -> None:
    """What is right is taken as it was meant."""
    assert readAt(parser, written, PLACE) == value


@pytest.mark.parametrize(
    ("parser", "written", "line"),
    [
        (parseDuration, "1d", f'key = "1d": {A_DURATION}'),
        (parseDuration, -1, f"key = -1: {A_DURATION}"),
        (parseDuration, inf, f"key = inf: {A_DURATION}"),
        (moreThanNone, 0, "key = 0: must be more than 0"),
        (moreThanNone, "0ms", 'key = "0ms": must be more than 0'),
        (moreThanNone, True, f"key = true: {A_DURATION}"),
        (
            offOrBetween(1, 60),
            "500ms",
            'key = "500ms": expected 0 for off, or 1s to 1m',
        ),
        (offOrBetween(1, 60), 61, "key = 61: expected 0 for off, or 1s to 1m"),
        (wholeNumber(1, 9), 0, "key = 0: expected a whole number from 1 to 9"),
        (wholeNumber(1, 9), 10, "key = 10: expected a whole number from 1 to 9"),
        (wholeNumber(0), -1, "key = -1: expected a whole number of 0 or more"),
        (wholeNumber(0), 1.0, "key = 1.0: expected a whole number of 0 or more"),
        (wholeNumber(0), True, "key = true: expected a whole number of 0 or more"),
        (wholeNumber(0), "1", 'key = "1": expected a whole number of 0 or more'),
        (boolean, 1, "key = 1: expected true or false"),
        (boolean, "true", 'key = "true": expected true or false'),
        (text("a path"), "", 'key = "": expected a path'),
        (text("a path"), "a\0", 'key = "a\\u0000": expected a path'),
        (text("a path"), 1, "key = 1: expected a path"),
        (matching(re.compile("a+"), "an a"), "ab", 'key = "ab": expected an a'),
        (matching(re.compile("a+"), "an a"), 1, "key = 1: expected an a"),
        (plainName, "", f'key = "": {A_NAME}'),
        (plainName, "a b", f'key = "a b": {A_NAME}'),
        (plainName, "a\n", f'key = "a\\n": {A_NAME}'),
        (plainName, "a" * 256, f'key = "{"a" * 76}...: {A_NAME}'),
        (plainName, 1, f"key = 1: {A_NAME}"),
        (oneOf("a", "b"), "c", 'key = "c": expected "a" or "b"'),
        (oneOf("a"), ["a"], 'key = ["a"]: expected "a"'),
        (listOf(boolean), True, "key = true: expected a list of at least one"),
        (listOf(boolean), [], "key = []: expected a list of at least one"),
        (listOf(boolean), [True, 2], "key[1] = 2: expected true or false"),
        (oneOrListOf(boolean), 2, "key = 2: expected true or false"),
        (oneOrListOf(boolean), [2], "key[0] = 2: expected true or false"),
        (oneOrListOf(boolean), [], "key = []: expected a list of at least one"),
        (tables(NAMED), {}, "key = {}: expected an array of tables, [[thing]]"),
        (tables(NAMED), [1], "key[0] = 1: expected a table, [[thing]]"),
        (tables(NAMED), [{"name": ""}], f'key[0].name = "": {A_NAME}'),
        (
            tables(NAMED),
            [{"name": "a", "nmae": 1}],
            'key.a.nmae = 1: unknown key; the nearest known one is "name"',
        ),
        (tablesByName(SIZED), [], "key = []: expected tables, [thing.NAME]"),
        (tablesByName(SIZED), {"a": 1}, "key.a = 1: expected a table, [thing.NAME]"),
        (tablesByName(SIZED), {"a b": {}}, f'key."a b" = "a b": {A_NAME}'),
        (tablesByName(SIZED), {"a": {}}, "key.a.size: this key is required"),
    ],
)
def test_badValue(parser: Parser, written: object, line: str) -> None:
    """What is wrong is named with its place and what was expected."""
    with pytest.raises(ConfigurationError) as raised:
        readAt(parser, written, PLACE)
    assert str(raised.value) == f"lb.toml: {line}"
