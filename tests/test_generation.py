"""The life of a running configuration: start, failed start, drain, stop, restart."""

from __future__ import annotations

from typing import Any

import pytest
from stories import A, B, Picks, Routes, Story, processOf
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import formatEvent
from zope.interface import implementer

from lbproxy import End, IBackendPicker, IMembershipObserver, LoadBalancer
from lbproxy.ports import CannotStart
from lbproxy.testing import MemoryNetwork


@implementer(IBackendPicker, IMembershipObserver)
class Watcher:
    """A picker that chooses among those it was told of."""

    def __init__(self) -> None:
        self.members: list = []

    def added(self, member) -> None:
        self.members.append(member)

    def removed(self, member) -> None:
        self.members.remove(member)

    def changed(self, member) -> None: ...

    def pick(self, candidates, connection):
        return self.members[0]


def held(balancer: LoadBalancer) -> tuple[int, int, int]:
    """How many ports, pools and deadlines a process has."""
    process = processOf(balancer)
    return len(process.ports), len(process.pools), len(process.wheel)


def test_restartWithoutWaiting() -> None:
    """
    Stopped and started again in one go, later connections are served, recorded,
    and cut off by the next stop.
    """
    story = Story(A)
    first = story.client(b"x")
    story.balancer.stopService()
    story.balancer.startService()
    second = story.client(b"y")
    assert first.wasReset
    assert story.backends[0].accepted[-1].received == b"y"
    story.stop()
    assert second.wasReset
    assert [each.end for each in story.records.closes] == [End.DRAINED] * 2
    assert held(story.balancer) == (0, 0, 0)


def test_watchingPickerIsUsedAgain() -> None:
    """A picker that was handed in sees the members go, and those of the next start."""
    watcher = Watcher()
    story = Story(A, B, pickers={"web": watcher})
    before = list(watcher.members)
    story.client(b"x")
    story.balancer.stopService()
    assert watcher.members == []
    story.balancer.startService()
    assert len(watcher.members) == 2
    assert not set(watcher.members) & set(before)
    story.client(b"y")
    assert story.backends[0].accepted[-1].received == b"y"
    story.stop()
    assert watcher.members == []


def test_failedStart(tmp_path) -> None:
    """A start that fails leaves nothing open or held, and can be tried again."""
    network = MemoryNetwork()
    other = network.listenTCP(8081, Factory())
    watcher = Watcher()
    balancer = LoadBalancer.fromEndpoints(
        network, ["tcp:8080", "tcp:8081"], [A], picker=watcher
    )
    for _ in range(2):
        with pytest.raises(CannotStart):
            balancer.startService()
        assert held(balancer) == (0, 0, 0)
        assert balancer.addresses == []
        assert watcher.members == []
        assert not network.getDelayedCalls()
    other.stopListening()
    balancer.startService()
    assert len(balancer.addresses) == 2
    assert balancer.stopService().called


def test_stopIsDoneOnce() -> None:
    """Stopping what has not started, or has stopped, is done at once."""
    story = Story(A)
    story.stop()
    assert story.balancer.stopService().called


def test_drain() -> None:
    """Draining takes no new clients and lets those that are there finish."""
    story = Story(A)
    client = story.client(b"x")
    drained = story.balancer.drain(30)
    assert story.balancer.addresses == []
    with pytest.raises(KeyError):
        story.client()
    story.settle(20)
    (backend,) = story.backends[0].accepted
    backend.send(b"the end")
    backend.end()
    story.settle()
    assert not drained.called
    client.end()
    story.settle()
    assert client.received == b"the end"
    assert drained.called
    assert story.end.end is End.BACKEND_CLOSED
    assert held(story.balancer) == (0, 0, 0)
    assert not story.network.getDelayedCalls()


def test_drainIsOver() -> None:
    """Those that do not finish in time are cut off."""
    story = Story(A)
    story.client(b"x")
    drained = story.balancer.drain(30)
    story.settle(29)
    assert not drained.called
    story.settle(1.1)
    assert drained.called
    assert story.end.end is End.DRAINED
    assert not story.network.getDelayedCalls()


def messages(logged) -> list[str]:
    """The lines of a log that are about a stop."""
    lines = [formatEvent(event) for event in logged]
    return [each for each in lines if each.startswith(("Clients", "Drain", "Cut"))]


def test_drainAsConfigured(logged) -> None:
    """
    Without arguments it takes clients for shutdown-delay, and drains for
    drain-timeout; the log says so, and how many were cut off.
    """
    story = Story(A, process='shutdown-delay = "5s"\ndrain-timeout = "20s"')
    story.client(b"early")
    drained = story.balancer.drain()
    story.settle(4.9)
    story.client(b"late")
    story.settle(0.2)
    with pytest.raises(KeyError):
        story.client()
    story.settle(19.7)
    assert not drained.called
    story.settle(0.4)
    assert drained.called
    assert messages(logged) == [
        "Clients are accepted for another 5s, before connections are drained",
        "Draining: 2 connections may take 20s to finish",
        "Cut off 2 connections",
    ]
    assert not story.network.getDelayedCalls()


@pytest.mark.parametrize(("delay", "seconds"), [(None, 5), (0, 0), (2, 2)])
def test_drainWithATimeout(delay: float | None, seconds: float) -> None:
    """A timeout says nothing of the delay, which is the configured one by default."""
    story = Story(A, process='shutdown-delay = "5s"\ndrain-timeout = "20s"')
    story.client(b"early")
    drained = story.balancer.drain(30, delay)
    story.settle(max(0.0, seconds - 0.1))
    assert (8080 in story.network._listening) is (seconds > 0)
    story.settle(0.2)
    with pytest.raises(KeyError):
        story.client()
    story.settle(29.7)
    assert not drained.called
    story.settle(0.4)
    assert drained.called


def test_drainOfNothing() -> None:
    """Without a connection a drain is over at once."""
    assert Story(A).balancer.drain().called


def test_drainWithoutTimeout() -> None:
    """A drain-timeout of 0 cuts connections off at once."""
    story = Story(A, process="drain-timeout = 0")
    story.client(b"x")
    drained = story.balancer.drain()
    story.settle(0.1)
    assert drained.called
    assert story.end.end is End.DRAINED


def test_stopDuringTheDelay() -> None:
    """A stop while clients are still accepted ends that, and cuts them off."""
    story = Story(A)
    story.client(b"x")
    drained = story.balancer.drain(30, delay=10)
    story.stop()
    assert drained.called
    assert held(story.balancer) == (0, 0, 0)
    assert not story.network.getDelayedCalls()


def test_startDuringTheDelay() -> None:
    """A start while clients are still accepted begins the drain, and goes on."""
    story = Story(A)
    story.client(b"old")
    drained = story.balancer.drain(30, delay=10)
    story.balancer.startService()
    story.client(b"new")
    story.settle(31)
    assert drained.called
    assert story.end.end is End.DRAINED
    assert [member.active for member in story.pool.members] == [1]
    story.stop()


def test_drainTwice() -> None:
    """A second drain ends the delay of the first; the sooner deadline counts."""
    story = Story(A)
    story.client(b"x")
    first = story.balancer.drain(30, delay=10)
    second = story.balancer.drain(5)
    with pytest.raises(KeyError):
        story.client()
    story.settle(5.1)
    assert first.called
    assert second.called


def test_drainAndStartAgain() -> None:
    """While the old connections finish, new ones are served by the same pool."""
    story = Story(A)
    story.client(b"old")
    story.balancer.drain(30)
    story.balancer.startService()
    story.client(b"new")
    assert [each.received for each in story.backends[0].accepted] == [b"old", b"new"]
    assert [member.active for member in story.pool.members] == [2]
    story.settle(31)
    assert story.end.end is End.DRAINED
    assert [member.active for member in story.pool.members] == [1]
    story.stop()
    assert held(story.balancer) == (0, 0, 0)


def test_stopWhileDraining() -> None:
    """A stop cuts off what is still draining."""
    story = Story(A)
    story.client(b"x")
    drained = story.balancer.drain(3000)
    story.stop()
    assert drained.called
    assert held(story.balancer) == (0, 0, 0)


def test_twoInOneProcess() -> None:
    """Two balancers in one network know nothing of each other."""
    one = Story(A)
    other = LoadBalancer.fromEndpoints(one.network, ["tcp:9090"], [A])
    other.startService()
    assert other.stopService().called
    one.client(b"x")
    assert one.backends[0].accepted[-1].received == b"x"
    one.stop()


def test_shortageLeavesNothing() -> None:
    """What a shortage has scheduled goes with the stop."""
    story = Story(A)
    processOf(story.balancer).capacity.exhausted("Too many open files")
    story.stop()
    assert held(story.balancer) == (0, 0, 0)


def test_stopsInTime() -> None:
    """
    However dead a transport is, the service has stopped close-timeout and a
    second later, and each end was told.
    """
    story = Story(
        A, process='close-timeout = "4s"', routers={"front": Routes(Deferred)}
    )
    story.client(b"x")
    (session,) = story.sessions
    assert session.client is not None
    session.client.transport.abortConnection = lambda: None
    stopped = story.balancer.stopService()
    story.settle(3.9)
    assert not stopped.called
    story.settle(1.1)
    assert stopped.called
    assert story.end.end is End.DRAINED
    assert not story.network.getDelayedCalls()


def canceller(_: Deferred) -> None:
    raise RuntimeError("cannot be cancelled")


@pytest.mark.parametrize("plugin", ["pickers", "routers"])
def test_cancellerThatRaises(plugin: str, loggedFailures) -> None:
    """A plugin's answer that cannot be cancelled holds nothing up."""
    answer: dict[str, Any] = {
        "pickers": {"web": Picks(lambda _: Deferred(canceller))},
        "routers": {"front": Routes(lambda: Deferred(canceller))},
    }
    story = Story(A, **{plugin: answer[plugin]})
    story.client(b"x").reset()
    story.settle()
    assert story.end.end is End.CLIENT_RESET
    story.client(b"x")
    story.stop()
    assert loggedFailures


def test_anyFreePortTwice() -> None:
    """Two listeners on C{tcp:0} are two ports, both closed by the stop."""
    from twisted.internet import reactor

    listen = ["tcp:0:interface=127.0.0.1"] * 2
    balancer = LoadBalancer.fromEndpoints(reactor, listen, ["tcp:127.0.0.1:9"])
    balancer.startService()
    assert len({each.port for each in balancer.addresses}) == 2
    assert held(balancer)[0] == 2
    balancer.stopService()
    assert held(balancer) == (0, 0, 0)
