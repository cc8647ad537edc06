"""
What tests of every room use; also, on which reactor they run: Twisted's default
one, or that which LBPROXY_TEST_REACTOR names (poll, select or asyncio).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import pytest_twisted
from stories import Story
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.reflect import namedAny
from zope.interface import implementer

REACTORS = {
    "poll": "pollreactor.PollReactor",
    "select": "selectreactor.SelectReactor",
    "asyncio": "asyncioreactor.AsyncioSelectorReactor",
}


def _install(name: str) -> None:
    """Let pytest-twisted, which has the default reactor made, run another one."""
    reactor = namedAny(f"twisted.internet.{REACTORS[name]}")
    install = namedAny(reactor.__module__).install
    pytest_twisted.reactor_installers["default"] = lambda: (
        pytest_twisted._install_reactor(install, reactor)
    )


if "LBPROXY_TEST_REACTOR" in os.environ:
    _install(os.environ["LBPROXY_TEST_REACTOR"])


@contextmanager
def observing(events: list[LogEvent]) -> Iterator[None]:
    """Meanwhile, add all log events to a list."""

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(observe)
    yield
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """All log events of a test, as they come."""
    events: list[LogEvent] = []
    with observing(events):
        yield events


@pytest.fixture
def loggedFailures(logged: list[LogEvent]) -> list[LogEvent]:
    """Those that carry a failure, filled in when the test is over or looks."""

    class Failures(list):
        def __bool__(self) -> bool:
            return any("log_failure" in event for event in logged)

    return Failures()


@pytest.fixture(autouse=True)
def noFailures(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    Nothing fails unnoticed but plugins, whose failures are told as such; a test
    that expects others asks for the log.
    """
    events: list[LogEvent] = []
    with observing(events):
        yield
    if not {"logged", "loggedFailures"} & set(request.fixturenames):
        failures = [
            event
            for event in events
            if "log_failure" in event
            and event["log_namespace"] != "lbproxy.proxy.pluginerrors.PluginErrors"
        ]
        assert not failures, failures


@pytest.fixture(autouse=True)
def storiesAreOver(noFailures: None) -> Iterator[None]:
    """Every story that a test told is stopped, and nothing of it is left."""
    yield
    told = list(Story.told)
    Story.told.clear()
    for story in told:
        story.stop()
