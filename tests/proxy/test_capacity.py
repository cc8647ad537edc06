"""As many connections as there are descriptors for."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from zope.interface import implementer

from lbproxy.proxy.capacity import Capacity, affordable
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import Wheel


@implementer(IPushProducer)
class Port:
    accepting = True

    def pauseProducing(self) -> None:
        self.accepting = False

    def resumeProducing(self) -> None:
        self.accepting = True

    def stopProducing(self) -> None: ...


def capacityFor(limit: int) -> tuple[Capacity, Port, Clock]:
    clock = Clock()
    capacity = Capacity(Wheel(ClockAlarm(clock)), limit)
    port = Port()
    capacity.watch(port)
    capacity.watch(object())
    return capacity, port, clock


def test_limit(logged) -> None:
    """
    At the limit ports pause; with the first end they go on.  It is said once when
    that begins, once when it is over, and anew when it happens again.
    """
    capacity, port, clock = capacityFor(2)
    for _ in range(3):
        capacity.taken()
        capacity.taken()
        late = Port()
        capacity.watch(late)
        assert not port.accepting
        assert not late.accepting
        capacity.taken()
        capacity.released()
        assert not port.accepting
        capacity.released()
        assert port.accepting
        assert late.accepting
        capacity.released()
    assert len(logged) == 1
    clock.advance(4)
    capacity.taken()
    capacity.taken()
    clock.advance(10)
    assert len(logged) == 1
    capacity.released()
    capacity.released()
    clock.advance(6)
    capacity.taken()
    capacity.taken()
    said = [formatEvent(event) for event in logged]
    assert said[0] == said[2]
    assert said[0].startswith("All connections are in use that there are descriptors")
    assert said[1].startswith("New clients wait no longer, after 1")
    capacity.close()
    assert not clock.getDelayedCalls()


def test_configuredLimit(logged) -> None:
    """A limit that was configured is another sentence than descriptors."""
    capacity, _, _ = capacityFor(1)
    capacity.allow(3)
    assert capacity.limit == 3
    for _ in range(3):
        capacity.taken()
    (event,) = logged
    assert formatEvent(event) == (
        "max-connections is reached, with 3 connections: new clients wait"
    )
    capacity.allow(0)
    assert capacity.limit == affordable(3)


def test_exhausted(logged) -> None:
    """
    When the system has nothing left ports rest for a moment, even if nothing
    ends; the log says of what, once for each.
    """
    capacity, port, clock = capacityFor(5)
    capacity.taken()
    for why in ("Too many open files", "Cannot allocate memory") * 2:
        capacity.exhausted(why)
        capacity.exhausted(why)
        assert not port.accepting
        clock.advance(1)
        assert port.accepting
    clock.advance(6)
    assert not clock.getDelayedCalls()
    said = [formatEvent(event) for event in logged]
    assert [line.split(", with 1 ")[0] for line in said[:2]] == [
        "Too many open files",
        "Cannot allocate memory",
    ]
    assert len(said) == 4


def test_exhaustedAtTheLimit(logged) -> None:
    """Ports that pause because there are enough connections go on pausing."""
    capacity, port, clock = capacityFor(1)
    capacity.taken()
    capacity.exhausted("Too many open files")
    clock.advance(1)
    assert not port.accepting
    assert "Too many" not in formatEvent(logged[-1])
    capacity.released()
    assert port.accepting


def test_affordable() -> None:
    """There is always one, and never more than half the descriptors."""
    assert affordable() >= 1
    assert affordable(1_000_000) >= affordable(1) >= affordable()
