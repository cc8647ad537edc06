"""Two sides joined: back-pressure, and how it ends."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from lbproxy.streams.deadlines import Deadlines
from lbproxy.streams.relay import Ending, Relay, RelayOptions, join
from lbproxy.streams.side import Side
from lbproxy.testing import MemoryNetwork, MemoryTransport

HERE = IPv4Address("TCP", "127.0.0.1", 1)


class Owner:
    def sideReady(self, side) -> None: ...
    def sideEnded(self, side) -> None: ...


class Joined:
    """A client and a backend that are joined."""

    def __init__(self, options: RelayOptions | None = None) -> None:
        self.network = MemoryNetwork()
        self.done: list[Relay] = []
        sides = [Side(Owner()), Side(Owner())]
        self.transports = []
        for side in sides:
            self.transports.append(MemoryTransport(self.network, HERE, HERE))
            self.transports[-1].connect(side)
        self.client, self.backend = (each.far for each in self.transports)
        self.relay = join(
            *sides,
            Deadlines(self.network),
            options or RelayOptions(),
            self.done.append,
        )


def test_producer() -> None:
    """Each side is the other's producer."""
    joined = Joined()
    for transport in joined.transports:
        assert verifyObject(IPushProducer, transport._producer)
        transport._producer.stopProducing()


def test_backPressure() -> None:
    """A side that takes nothing stops the other, and gets all when it goes on."""
    joined = Joined()
    joined.backend.stall()
    for _ in range(50):
        joined.client.send(b"x" * 10_000)
    joined.network.settle()
    assert len(joined.transports[1].dataBuffer) <= 65536 + 10_000
    joined.backend.take()
    joined.network.settle()
    assert len(joined.backend.received) == 500_000
    joined.relay.abort()
    joined.network.settle()


def test_abort() -> None:
    """Cut off, both sides are reset; and it is over once."""
    joined = Joined()
    joined.relay.abort()
    joined.relay.abort(Ending.IDLE)
    joined.network.settle()
    assert joined.client.wasReset
    assert joined.backend.wasReset
    assert joined.done == [joined.relay]
    assert joined.relay.ending is Ending.ABORTED
    assert not joined.network.getDelayedCalls()


def test_noDeadlines() -> None:
    """With every timeout off a relay waits for nobody, and sets none."""
    options = RelayOptions(idleTimeout=0, halfCloseTimeout=0, stallTimeout=0)
    joined = Joined(options)
    joined.client.send(b"x")
    joined.network.settle(10_000_000)
    assert not joined.network.getDelayedCalls()
    joined.client.end()
    joined.network.settle(10_000_000)
    joined.backend.end()
    joined.network.settle()
    assert joined.done
    assert isinstance(joined.network, Clock)
    assert not joined.network.getDelayedCalls()
