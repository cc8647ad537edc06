"""Several observers, and bad ones among them."""

from __future__ import annotations

from stories import A, Story
from zope.interface.verify import verifyObject

from lbproxy import End, IConnectionObserver
from lbproxy.observe.observers import Observers


def test_interface() -> None:
    """It is an observer."""
    verifyObject(IConnectionObserver, Observers([]))


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
