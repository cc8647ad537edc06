"""What tests of every room use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, globalLogPublisher


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """All log events of a test, as they come."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


@pytest.fixture
def loggedFailures(logged: list[LogEvent]) -> list[LogEvent]:
    """Those that carry a failure, filled in when the test is over or looks."""

    class Failures(list):
        def __bool__(self) -> bool:
            return any("log_failure" in event for event in logged)

    return Failures()
