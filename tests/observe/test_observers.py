"""Several observers, and bad ones among them."""

from __future__ import annotations

from stories import A, Story
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from lbproxy import End, IConnectionObserver
from lbproxy.observe.observers import Observers
from lbproxy.proxy.pluginerrors import PluginErrors
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import Wheel


def test_interface() -> None:
    """It is an observer."""
    errors = PluginErrors(Wheel(ClockAlarm(Clock())))
    verifyObject(IConnectionObserver, Observers([], errors))


class Bad:
    def opened(self, connection) -> None:
        raise RuntimeError("no")

    closed = opened


def test_badObserver(logged) -> None:
    """An observer that raises disturbs neither the connection nor the others."""
    story = Story(A, observers=[Bad()])
    story.client(b"x").reset()
    story.settle(1)
    assert story.end.end is End.CLIENT_RESET
    story.stop()
    assert sum("log_failure" in event for event in logged) == 2


class Stops:
    """Has the service stopped as soon as a client comes."""

    story: Story

    def opened(self, connection) -> None:
        self.story.balancer.stopService()

    def closed(self, connection) -> None:
        """That was to be expected."""


def test_observerThatStopsTheService() -> None:
    """The very client that it was told of is cut off like all others."""
    stops = Stops()
    stops.story = story = Story(A, observers=[stops])
    assert story.client(b"x").wasReset
    assert story.end.end is End.DRAINED
    assert not story.backends[0].dials
