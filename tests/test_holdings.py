"""Things that several may hold."""

from __future__ import annotations

import pytest

from lbproxy.holdings import Holdings


def test_counted() -> None:
    """It is made once, and given up with the last release."""
    holdings: Holdings[object] = Holdings()
    thing = holdings.take("a", object)
    assert holdings.take("a", object) is thing
    assert holdings.take("b", object) is not thing
    assert len(holdings) == 2
    assert holdings.release("a") is None
    assert holdings.release("a") is thing
    assert holdings.take("a", object) is not thing


def test_notMade() -> None:
    """What cannot be made is not held."""
    holdings: Holdings[object] = Holdings()
    with pytest.raises(ZeroDivisionError):
        holdings.take("a", lambda: 1 / 0)
    assert not len(holdings)
    with pytest.raises(KeyError):
        holdings.release("a")
