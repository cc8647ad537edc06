"""As many connections as there are descriptors for."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from zope.interface import implementer

from lbproxy.proxy.capacity import Capacity, affordable
from lbproxy.streams.deadlines import Deadlines


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
    capacity = Capacity(Deadlines(clock), limit)
    port = Port()
    capacity.watch(port)
    capacity.watch(object())
    return capacity, port, clock


def test_limit(logged) -> None:
    """At the limit ports pause; with the first end they go on; it is said once."""
    capacity, port, _ = capacityFor(2)
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


def test_exhausted() -> None:
    """Without descriptors ports rest for a moment, even if nothing ends."""
    capacity, port, clock = capacityFor(5)
    capacity.exhausted()
    capacity.exhausted()
    assert not port.accepting
    clock.advance(1)
    assert port.accepting
    assert not clock.getDelayedCalls()


def test_affordable() -> None:
    """There is always one, and never more than half the descriptors."""
    assert affordable() >= 1
