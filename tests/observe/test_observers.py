"""Several observers, and bad ones among them."""

from __future__ import annotations

from stories import A, Story
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy import Connection, End, IConnectionObserver, IPoolObserver
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


@implementer(IConnectionObserver, IPoolObserver)
class Watches:
    """Keeps what it is told of members; and raises at the last."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def opened(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...

    def ejected(self, pool, member, seconds, failures, reason) -> None:
        self.told.append(("ejected", pool, member.name, seconds, failures, reason))

    def notEjected(self, pool, member, share) -> None:
        self.told.append(("notEjected", pool, member.name, share))

    def returned(self, pool, member, seconds) -> None:
        self.told.append(("returned", pool, member.name, seconds))

    def wentDown(self, pool, member, reason) -> None:
        self.told.append(("wentDown", member.name, reason))

    def wentUp(self, pool, member, seconds) -> None:
        self.told.append(("wentUp", member.name, seconds))

    def stateSet(self, pool, member, before) -> None:
        self.told.append(("stateSet", member.name, before, member.state))

    def nobodyLeft(self, pool, ejected, down, tryingAll) -> None:
        self.told.append(("nobodyLeft", pool, ejected, down, tryingAll))

    def tierChanged(self, pool, backups) -> None:
        self.told.append(("tierChanged", pool, backups))

    def dialFailed(self, pool, member, reason) -> None:
        self.told.append(("dialFailed", member.name, reason))

    def endedEmpty(self, pool, member) -> None:
        self.told.append(("endedEmpty", member.name))
        raise LookupError("no such thing")


def test_membersAreToldOf(logged) -> None:
    """An observer that provides the interface hears of members, and may fail."""
    watches = Watches()
    ejection = 'ejection = {consecutive-failures = 1, max-ejected = "100%"}'
    story = Story(A, pool=f"retries = 0\n{ejection}", observers=[watches])
    verifyObject(IPoolObserver, watches)
    story.backends[0].answer = "refuse"
    story.client(b"x").end()
    story.backends[0].answer = "accept"
    story.settle(31)
    story.client(b"x")
    story.backends[0].accepted[0].end()
    story.settle()
    assert watches.told == [
        ("dialFailed", A, "connection refused"),
        ("ejected", "web", A, 30.0, 1, "connection refused"),
        ("nobodyLeft", "web", 1, 0, True),
        ("returned", "web", A, 31.0),
        ("endedEmpty", A),
    ]
    story.stop()
    assert sum("log_failure" in event for event in logged) == 1
