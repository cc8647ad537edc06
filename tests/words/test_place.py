"""Errors point at one value, on one line, however odd the value is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbproxy.words.escaping import oneLine
from lbproxy.words.place import (
    ConfigurationError,
    Place,
    knownHint,
    knownOnes,
    shown,
)


def test_aKeyIsFoundAgain() -> None:
    """The path is written as TOML writes it, so that one can search for it."""
    place = Place("lb.toml").key("pool").key("web").key("backends").item(1)
    assert place.path == "pool.web.backends[1]"
    assert str(place.key("weight").refuse(0, "too little")) == (
        "lb.toml: pool.web.backends[1].weight = 0: too little"
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("web", "pool.web"),
        ("a b", 'pool."a b"'),
        ("a.b", 'pool."a.b"'),
        ("", 'pool.""'),
        ('"', 'pool."\\""'),
        ("über", 'pool."über"'),
    ],
)
def test_oddKeysAreQuoted(name: str, path: str) -> None:
    """A key that TOML would have to quote is quoted."""
    assert Place("lb.toml", "pool").key(name).path == path


def test_theWholeSourceIsAPlaceToo() -> None:
    """Without a key only the source is named, as for an option."""
    place = Place("--picker")
    assert str(place.refuse("x", "unknown")) == '--picker: "x": unknown'
    assert str(place.lack("say which")) == "--picker: say which"
    assert str(place.key("name").lack("say which")) == "--picker: name: say which"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        ('say "a"\n', '"say \\"a\\"\\n"'),
        ("naïve", '"naïve"'),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (1.5, "1.5"),
        (1 << 400, "0x1" + "0" * 74 + "..."),
        ([], "[]"),
        ({}, "{}"),
        (["a", 1], '["a", 1]'),
        ({"a": {"b": [1, [2]]}}, "{ a = { b = [1, [ ... ]] } }"),
        ([[[{"a": 1}]]], "[[[{ ... }]]]"),
        (["x" * 20] * 5, '["' + '", "'.join(["x" * 20] * 3) + '", "xxx...'),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_valuesAreShownAsTomlWritesThem(value: object, text: str) -> None:
    """What is repeated in an error looks like what was written, cut to size."""
    assert shown(value) == text


_JUNK = st.recursive(
    st.text() | st.integers() | st.floats() | st.booleans(),
    lambda within: st.lists(within) | st.dictionaries(st.text(), within),
)


@settings(deadline=None)
@given(st.text(), st.text(), _JUNK)
def test_anErrorIsOneLine(source: str, key: str, value: object) -> None:
    """No file name, key or value breaks the line."""
    line = str(Place(source).key(key).refuse(value, "no"))
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_anyErrorIsOneLine() -> None:
    """Even a reason that came from elsewhere does not break it."""
    assert str(ConfigurationError("a\r\nb\u2028c\ud800")) == "a\\r\\nb\\u2028c\\ud800"
    assert oneLine("plain") == "plain"


def test_theNearestNameIsSuggested() -> None:
    """A slip of the finger is recognised; else all that there are is shown."""
    known = ["listen", "idle-timeout", "pool"]
    for slip in ("idle_timeout", "Idle-Timeout", "idletimeout", "idle-timout"):
        assert knownHint(slip, known) == 'the nearest known one is "idle-timeout"'
    assert knownHint("listne", known) == 'the nearest known one is "listen"'
    for stranger in ("tls", "", "balance"):
        assert knownHint(stranger, known) == "known: idle-timeout, listen, pool"


def test_knownNamesAreSorted() -> None:
    """A list of names reads the same each time."""
    assert knownOnes({"b", "c", "a"}) == "known: a, b, c"
    assert knownOnes([]) == "known: none"
