"""One side of a journey: what its transport can do, and what it is asked to do."""

from __future__ import annotations

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    ITCPTransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from lbproxy.streams.deadlines import Deadlines
from lbproxy.streams.side import HOLD_LIMIT, Side
from lbproxy.testing import MemoryTransport

HERE = IPv4Address("TCP", "127.0.0.1", 1)


class Owner:
    def __init__(self) -> None:
        self.told: list[str] = []

    def sideReady(self, side) -> None:
        self.told.append("ready")

    def sideEnded(self, side) -> None:
        self.told.append("ended")

    def sideLost(self, side, reason) -> None:
        self.told.append(type(reason.value).__name__)


def connected(clock: Clock) -> tuple[Side, MemoryTransport, Owner]:
    owner = Owner()
    side = Side(owner)
    transport = MemoryTransport(clock, HERE, HERE)
    transport.connect(side)
    return side, transport, owner


class Plain:
    """A transport that knows neither half-close nor abort, as some plugins' do."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def write(self, data: bytes) -> None:
        self.did.append("write")

    def loseConnection(self) -> None:
        self.did.append("close")


def test_interfaces() -> None:
    """Twisted finds what it looks for."""
    side = Side(Owner())
    verifyObject(IHalfCloseableProtocol, side)
    verifyObject(IHandshakeListener, side)


def test_plainTransport() -> None:
    """Where there is no half-close and no abort, closing has to do."""
    side = Side(Owner())
    plain = Plain()
    side.makeConnection(plain)
    side.endWriting()
    side.endWriting()
    side.abort()
    assert plain.did == ["close", "close"]


def test_holding() -> None:
    """What arrives early is held up to a limit, and handed on in order."""
    clock = Clock()
    side, transport, _ = connected(clock)
    for number in range(4):
        transport.far.send(bytes([number]) * 40_000)
    clock.pump([0] * 10)
    assert HOLD_LIMIT <= side.received <= HOLD_LIMIT + 40_000
    taken = bytearray()
    side.release(taken.extend)
    side.resume()
    clock.pump([0] * 10)
    assert len(taken) == 160_000
    assert bytes(taken) == bytes(sorted(taken))


def test_finishAfterTheirEnd() -> None:
    """Nothing is waited for when the peer has ended already."""
    clock = Clock()
    side, transport, owner = connected(clock)
    transport.far.end()
    clock.pump([0] * 3)
    side.finish(Deadlines(clock), 5)
    side.finish(Deadlines(clock), 5)
    clock.pump([0] * 3)
    assert owner.told == ["ready", "ended", "ConnectionDone"]
    assert not clock.getDelayedCalls()


def test_abortWhenGone() -> None:
    """Nothing that is asked of a side that is gone does any harm."""
    clock = Clock()
    side, transport, owner = connected(clock)
    transport.far.reset()
    clock.pump([0] * 3)
    deadlines = Deadlines(clock)
    side.abort()
    side.finish(deadlines, 1)
    side.reset(deadlines, 1)
    side.endWriting()
    side.starve()
    side.pause()
    side.resume()
    assert side.backlog() == 0
    assert owner.told == ["ready", "ConnectionLost"]
    assert not clock.getDelayedCalls()


def test_resetWaitsForDelivery() -> None:
    """A reset goes out behind what was written, or when the peer takes nothing."""
    clock = Clock()
    side, transport, _ = connected(clock)
    transport.far.stall()
    side.write(b"x" * 1000)
    side.reset(Deadlines(clock), 5)
    for _ in range(20):
        clock.advance(0.2)
    assert not transport.aborted
    transport.far.take(500)
    for _ in range(22):
        clock.advance(0.2)
    assert not transport.aborted
    for _ in range(10):
        clock.advance(0.2)
    assert transport.aborted
    assert side.cutOff
    assert transport.far.received == b"x" * 500
    assert not clock.getDelayedCalls()


def test_resetSideIsNotRead() -> None:
    """A peer that sends for ever while it is being reset is not read any more."""
    clock = Clock()
    side, transport, _ = connected(clock)
    transport.far.stall()
    side.write(b"x" * 1000)
    side.reset(Deadlines(clock), 5)
    for _ in range(20):
        transport.far.send(b"y" * 65536)
        clock.advance(0.1)
    assert side.received == 0
    transport.far.take()
    for _ in range(10):
        clock.advance(0.2)
    assert transport.aborted
    assert not clock.getDelayedCalls()


class FailingDescriptor(FileDescriptor):
    """A descriptor whose sends fail."""

    protocol = None
    aborted = False

    def __init__(self) -> None:
        directlyProvides(self, ITCPTransport)

    def fileno(self) -> int:
        return -1

    def writeSomeData(self, data: bytes) -> int | BaseException:
        return ConnectionLost()

    def abortConnection(self) -> None:
        self.aborted = True


def test_readingGoesOn() -> None:
    """The transport does not hear of the failure while there may be an answer."""
    side, descriptor = Side(Owner()), FailingDescriptor()
    side.makeConnection(descriptor)
    assert descriptor.protocol is side
    assert descriptor.writeSomeData(b"more") == 4
    side.dataReceived(b"413 Too Large")
    side.readConnectionLost()
    assert descriptor.aborted
    assert side.held == [b"413 Too Large"]


def test_nothingLeftToRead() -> None:
    """Behind the peer's end of stream the failure is the end."""
    side, descriptor = Side(Owner()), FailingDescriptor()
    side.makeConnection(descriptor)
    side.readConnectionLost()
    assert isinstance(descriptor.writeSomeData(b"more"), ConnectionLost)


@pytest.mark.parametrize("reason", [ConnectionDone(), ConnectionLost()])
def test_neverTakenForAnEnd(reason: Exception) -> None:
    """However the transport goes after that, it counts as a reset."""
    owner = Owner()
    side, descriptor = Side(owner), FailingDescriptor()
    side.makeConnection(descriptor)
    descriptor.writeSomeData(b"more")
    side.connectionLost(Failure(reason))
    assert owner.told == ["ready", "ConnectionLost"]
    assert isinstance(descriptor.writeSomeData(b"x"), ConnectionLost)
