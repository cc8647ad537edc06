"""Whatever a client and a backend do, in memory, where it takes no time."""

from __future__ import annotations

from hypothesis import given, settings
from journeys import SCHEDULES, Journey, MemoryWorld


@given(SCHEDULES)
@settings(max_examples=300, deadline=None)
def test_whatTheyDo(schedule) -> None:
    """
    What arrives is a prefix of what was sent, all of it after a clean end; the
    reason is right; and nothing is left behind.
    """
    Journey(MemoryWorld()).run(*schedule)


@given(SCHEDULES)
@settings(max_examples=300, deadline=None)
def test_withEveryLimitShort(schedule) -> None:
    """The same when any limit may come first."""
    Journey(MemoryWorld(short=True)).run(*schedule)
