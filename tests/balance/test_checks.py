"""A member goes down and comes back as its health checks say, and not by turns."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbproxy.balance.checks import ActiveHealth, CheckOptions, CheckVerdict

UP, DOWN = CheckVerdict.WENT_UP, CheckVerdict.WENT_DOWN


def verdicts(checks: str, **options) -> list[CheckVerdict | None]:
    """What each check says: C{+} is a pass, C{-} a failure."""
    health = ActiveHealth(CheckOptions(**options))
    return [health.feed(check == "+") for check in checks]


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ("---", [None, None, DOWN]),
        ("----", [None, None, DOWN, None]),
        ("---++", [None, None, DOWN, None, UP]),
        ("--+--", [None] * 5),
        ("---+-+-+", [None, None, DOWN, *[None] * 5]),
        ("---++---", [None, None, DOWN, None, UP, None, None, DOWN]),
        ("+", [None]),
    ],
)
def test_defaults(checks: str, expected: list[CheckVerdict | None]) -> None:
    """Three failures in a row take a member down; two passes bring it back."""
    assert verdicts(checks) == expected


def test_aFlappingMemberStaysWhatItIs() -> None:
    """Checks that fail and pass by turns change nothing, from either state."""
    assert verdicts("-+" * 50) == [None] * 100
    assert verdicts("---" + "+-" * 50)[3:] == [None] * 100


def test_initiallyDown() -> None:
    """A member may have to earn its first connection."""
    assert verdicts("+-++", initial="down") == [None, None, None, UP]


def test_newOptionsKeepTheCounts() -> None:
    """A reload that asks for fewer failures counts those that there were."""
    health = ActiveHealth(CheckOptions(fall=5))
    assert [health.feed(False) for _ in range(3)] == [None] * 3
    health.options = CheckOptions(fall=2)
    assert health.up
    assert health.feed(False) is DOWN


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "3"])
@pytest.mark.parametrize("key", ["rise", "fall"])
def test_numbersAreChecked(key: str, wrong: object) -> None:
    """None in a row, or a part of one, is refused in code as in a file."""
    with pytest.raises(ValueError, match=key):
        CheckOptions(**{key: wrong})  # type: ignore[arg-type]


def test_initialIsChecked() -> None:
    """There are two states to begin in."""
    with pytest.raises(ValueError, match="initial"):
        CheckOptions(initial="sideways")


@given(
    st.lists(st.booleans(), max_size=60),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(["up", "down"]),
)
def test_itIsWhatItsLastLongRunSays(
    checks: list[bool], rise: int, fall: int, initial: str
) -> None:
    """Whatever came before, the last run that was long enough decides."""
    health = ActiveHealth(CheckOptions(rise=rise, fall=fall, initial=initial))
    seen = [health.feed(passed) for passed in checks]
    up = initial == "up"
    for passed, run in groupby(checks):
        if len(list(run)) >= (rise if passed else fall):
            up = passed
    assert health.up == up
    changes = [each for each in seen if each is not None]
    assert all(a is not b for a, b in pairwise(changes))
    assert 0 in (health.passes, health.failures)
