"""Two streams joined: back-pressure, counting, and how it is over."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IPushProducer
from zope.interface.verify import verifyObject

from lbproxy.streams.relay import Ending, Relay
from lbproxy.streams.stream import Mode
from lbproxy.streams.transports import TransportStream
from lbproxy.testing import MemoryNetwork, MemoryTransport

HERE = IPv4Address("TCP", "127.0.0.1", 1)


class Joined:
    """A client and a backend, and the relay between them; its owner."""

    def __init__(self, halfClose: bool = True, early: bytes = b"") -> None:
        self.network = MemoryNetwork()
        self.told: list = []
        self.streams = [TransportStream(self), TransportStream(self)]
        self.transports = []
        for stream in self.streams:
            self.transports.append(MemoryTransport(self.network, HERE, HERE))
            self.transports[-1].connect(stream)
        self.client, self.backend = (each.far for each in self.transports)
        if early:
            self.client.send(early)
            self.network.settle()
        self.relay = Relay(*self.streams, self, halfClose)

    def start(self) -> Joined:
        self.relay.start()
        return self

    def settle(self) -> None:
        self.network.settle()

    def streamReady(self, stream) -> None: ...

    def streamDeaf(self, stream) -> None: ...

    def relayHalfClosed(self, relay) -> None:
        self.told.append("half-closed")

    def relayOver(self, relay, ending, reason) -> None:
        self.told.append(ending)


def test_producer() -> None:
    """Each stream is the other's producer."""
    joined = Joined().start()
    for transport, other in zip(joined.transports, joined.streams[::-1], strict=True):
        assert verifyObject(IPushProducer, transport._producer)
        assert transport._producer is other
        other.stopProducing()


def test_backPressure() -> None:
    """A side that takes nothing stops the other, and gets all when it goes on."""
    joined = Joined().start()
    joined.backend.stall()
    for _ in range(50):
        joined.client.send(b"x" * 10_000)
    joined.settle()
    assert len(joined.transports[1].dataBuffer) <= 65536 + 10_000
    joined.backend.take()
    joined.settle()
    assert len(joined.backend.received) == 500_000


def test_endsArePassedOn() -> None:
    """One end goes on as one; with the second it is over, and the first counts."""
    joined = Joined().start()
    joined.backend.end()
    joined.settle()
    assert joined.client.hasEnd
    assert joined.told == ["half-closed"]
    joined.client.end()
    joined.settle()
    assert joined.told == ["half-closed", Ending.BACKEND_ENDED]


def test_withoutHalfClose() -> None:
    """The first end is the end."""
    joined = Joined(halfClose=False).start()
    joined.client.end()
    joined.settle()
    assert joined.told == [Ending.CLIENT_ENDED]
    assert not joined.backend.hasEnd


@pytest.mark.parametrize(
    ("who", "ending"),
    [("client", Ending.CLIENT_RESET), ("backend", Ending.BACKEND_RESET)],
)
def test_resets(who: str, ending: Ending) -> None:
    """A reset is the end of both, even behind an end; told once."""
    joined = Joined().start()
    joined.client.end()
    joined.settle()
    getattr(joined, who).reset()
    joined.settle()
    if who == "client":
        # A client that has ended is not read any more.
        assert joined.told == ["half-closed"]
    else:
        assert joined.told == ["half-closed", ending]


@pytest.mark.parametrize("early", [b"", b"question"])
def test_deafBefore(early: bytes) -> None:
    """A backend that could not be sent its first bytes is not sent what follows."""
    joined = Joined(early=early)
    client, backend = joined.streams
    backend.sendFailed(BrokenPipeError(32, "Broken pipe"))
    joined.start()
    assert joined.told == ["half-closed"]
    assert client.paused
    joined.backend.send(b"refused")
    joined.settle()
    assert joined.client.received == b"refused"
    assert joined.backend.received == b""


def test_deaf() -> None:
    """
    A side that cannot be sent anything pauses the other, gets nothing more even
    if it could, and is read to its end.
    """
    joined = Joined().start()
    joined.client.send(b"one")
    joined.settle()
    joined.backend.failure = BrokenPipeError(32, "Broken pipe")
    for _ in range(100):
        joined.client.send(b"x" * 65536)
    joined.settle()
    client, backend = joined.streams
    assert backend.deaf
    assert joined.told == ["half-closed"]
    assert client.received <= 3 + 2 * 65536
    joined.backend.failure = None
    joined.backend.send(b"413 Too Large")
    joined.backend.end()
    joined.settle()
    assert joined.client.received == b"413 Too Large"
    assert joined.backend.received == b"one"
    assert joined.told == ["half-closed", Ending.BACKEND_ENDED]


def test_stop() -> None:
    """A relay that is stopped tells nothing, and both streams hold what comes."""
    joined = Joined().start()
    joined.relay.stop()
    joined.relay.stop()
    joined.client.send(b"later")
    joined.settle()
    assert joined.streams[0].peek(100) == b"later"
    assert [stream.mode for stream in joined.streams] == [Mode.OPEN, Mode.OPEN]
    assert joined.told == []
    assert not joined.backend.received


@pytest.mark.parametrize("early", [b"", b"header", b"header and some body"])
def test_stopAfter(early: bytes) -> None:
    """So many bytes are moved, and what comes behind them is given back."""
    joined = Joined(early=early)
    joined.relay.stopAfter(joined.streams[0], len(b"header"))
    joined.start()
    for piece in (b"header and some body"[len(early) :], b" and more"):
        joined.client.send(piece)
        joined.settle()
    assert joined.backend.received == b"header"
    assert joined.told == [Ending.COUNTED]
    assert joined.streams[0].take(9) == b" and some"
    assert joined.streams[0].peek(100) == b" body and more"
    again = Relay(*joined.streams, joined, True)
    again.start()
    joined.settle()
    assert joined.backend.received == b"header body and more"
