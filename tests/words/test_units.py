"""Durations are read as people write them, and print back unharmed."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbproxy.words.units import formatDuration, parseDuration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (5, 5.0),
        (0.25, 0.25),
        (-0.0, 0.0),
        ("0s", 0.0),
        ("250ms", 0.25),
        ("5s", 5.0),
        ("1.5s", 1.5),
        ("0.1s", 0.1),
        ("100ms", 0.1),
        ("10m", 600.0),
        ("0.5m", 30.0),
        ("1h", 3600.0),
    ],
)
def test_durationIsRead(written: object, seconds: float) -> None:
    """Seconds may be a number; other units are said with it."""
    parsed = parseDuration(written)
    assert (parsed, str(parsed), type(parsed)) == (seconds, str(seconds), float)


@pytest.mark.parametrize(
    "nonsense",
    [
        *("", "5", "5 s", " 5s", "5s\n", "-5s", "+5s", "1h30m", "s", ".5s", "5.s"),
        *(
            "5S",
            "5 parsecs",
            "1e3s",
            "infs",
            "\u0665s",
            "9" * 400 + "h",
            "9" * 9999 + "s",
        ),
        *(-1, -0.5, inf, -inf, nan, True, False, None, 10**400, [], {}, b"5s"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_notADuration(nonsense: object) -> None:
    """Whatever else is written, the error says what would have been right."""
    with pytest.raises(ValueError) as raised:
        parseDuration(nonsense)
    assert str(raised.value) == (
        "expected a duration of 0 or more: a number of seconds, or such as "
        '"250ms", "5s", "10m", "1h"'
    )


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "0s"),
        (0.25, "250ms"),
        (0.1, "100ms"),
        (0.0005, "0.0005s"),
        (1.5, "1.5s"),
        (5.0, "5s"),
        (90.0, "90s"),
        (300.0, "5m"),
        (5400.0, "90m"),
        (3600.0, "1h"),
    ],
)
def test_durationIsPrintedAsPeopleWriteIt(seconds: float, written: str) -> None:
    """The largest unit that needs no fraction is used."""
    assert formatDuration(seconds) == written


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_everyDurationSurvives(seconds: float) -> None:
    """No duration changes by being printed and read again."""
    assert parseDuration(formatDuration(seconds)) == seconds


@given(st.integers(0, 10**9), st.sampled_from(["ms", "s", "m", "h"]))
def test_everyWrittenDurationSurvives(count: int, unit: str) -> None:
    """What a file may say means the same after it was printed back."""
    seconds = parseDuration(f"{count}{unit}")
    assert parseDuration(formatDuration(seconds)) == seconds
