"""Deadlines come when they are due, once, and cost one delayed call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from lbproxy.streams.deadlines import Deadlines


def test_oneDelayedCall() -> None:
    """However many deadlines there are, the reactor knows of one call."""
    clock = Clock()
    deadlines = Deadlines(clock)
    come: list[int] = []
    for number in (3, 1, 2):
        deadlines.after(number, lambda number=number: come.append(number))
    assert len(clock.getDelayedCalls()) == 1
    assert len(deadlines) == 3
    clock.pump([1, 1, 1])
    assert come == [1, 2, 3]
    assert not clock.getDelayedCalls()


def test_failingCallback(logged) -> None:
    """What one callback raises is logged and holds up no other."""
    clock = Clock()
    deadlines = Deadlines(clock)
    come: list[int] = []
    deadlines.after(1, lambda: 1 / 0)
    deadlines.after(1, lambda: come.append(1))
    clock.advance(1)
    assert come == [1]
    assert any("log_failure" in event for event in logged)


def test_cancelledOnesAreSwept() -> None:
    """A thousand that were cancelled do not stay until their time."""
    clock = Clock()
    deadlines = Deadlines(clock)
    for _ in range(1000):
        deadlines.after(3600, int).cancel()
    last = deadlines.after(1, int)
    many = [deadlines.after(3600, int) for _ in range(1000)]
    for each in many:
        each.cancel()
        each.cancel()
    assert len(deadlines._heap) < 200
    last.cancel()
    assert not clock.getDelayedCalls()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["after", "move", "cancel", "pass"]),
            st.integers(0, 9),
            st.integers(0, 20),
        ),
        max_size=60,
    )
)
def test_likeSimpleOnes(steps: list[tuple[str, int, int]]) -> None:
    """They do what a list of times would do that is gone through every second."""
    clock = Clock()
    deadlines = Deadlines(clock)
    made: list = []
    due: dict[int, float] = {}
    come: set[int] = set()
    for what, which, amount in steps:
        if what == "after":
            number = len(made)
            made.append(deadlines.after(amount, lambda n=number: come.add(n)))
            due[number] = clock.seconds() + amount
        elif what == "pass":
            for _ in range(amount):
                clock.advance(1)
        elif which < len(made) and what == "move":
            made[which].move(clock.seconds() + amount)
            if which in due and made[which].active:
                due[which] = clock.seconds() + amount
        elif which < len(made):
            made[which].cancel()
            if which not in come:
                due.pop(which, None)
        clock.advance(0)
        expected = {n for n, at in due.items() if at <= clock.seconds()}
        assert come == expected
        assert len(deadlines) == len(due) - len(expected)
