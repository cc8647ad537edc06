"""What is known of a name survives a resolver that fails or wavers."""

from __future__ import annotations

import pytest

from lbproxy.discovery.answers import HOLD, Answer, Known

GOOD = Answer(("10.0.0.2", "10.0.0.1"))
OTHER = Answer(("10.0.0.3",))
NOTHING: Answer[str] = Answer((), reason="no such name")
FAILED: Answer[str] = Answer(None, reason="the server failed")


def told(*story: tuple[float, Answer[str]]) -> Known[str]:
    """What is known after some answers, each with its time."""
    known: Known[str] = Known()
    for now, answer in story:
        known.heard(answer, now)
    return known


def test_firstAnswer() -> None:
    """Addresses are known from the first answer on, in an order of their own."""
    known: Known[str] = Known()
    assert known.heard(GOOD, 0.0)
    assert list(known.found) == ["10.0.0.1", "10.0.0.2"]
    assert not known.heard(Answer(("10.0.0.1", "10.0.0.2")), 1.0)
    assert known.heard(OTHER, 2.0)
    assert list(known.found) == ["10.0.0.3"]


@pytest.mark.parametrize(
    ("story", "left"),
    [
        ([(1.0, FAILED), (9e9, FAILED)], True),
        ([(1.0, NOTHING)], True),
        ([(1.0, NOTHING), (HOLD, NOTHING)], True),
        ([(1.0, NOTHING), (HOLD + 1, NOTHING)], False),
        # Another answer in between, and it has to last from the beginning again.
        ([(1.0, NOTHING), (20.0, FAILED), (HOLD + 1, NOTHING)], True),
        ([(1.0, NOTHING), (20.0, GOOD), (HOLD + 1, NOTHING)], True),
        ([(1.0, NOTHING), (2.0, FAILED), (3.0, NOTHING), (HOLD + 3, NOTHING)], False),
    ],
)
def test_whatIsKept(story: list[tuple[float, Answer[str]]], left: bool) -> None:
    """A failure keeps the addresses for ever, and an empty answer for a while."""
    known = told((0.0, GOOD), *story)
    assert known.found == (("10.0.0.1", "10.0.0.2") if left else ())


@pytest.mark.parametrize(
    ("answer", "answered", "reason"),
    [
        (GOOD, True, ""),
        (NOTHING, True, "no such name"),
        (FAILED, False, "the server failed"),
    ],
)
def test_whetherThereWasAnAnswer(
    answer: Answer[str], answered: bool, reason: str
) -> None:
    """An answer that there is nothing is one, and a failure is none."""
    known = told((0.0, answer))
    assert (known.answered, known.reason) == (answered, reason)
