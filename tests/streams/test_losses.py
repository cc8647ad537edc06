"""How Twisted's sockets are lost, whatever order that comes in."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from lbproxy.streams.transports import TransportStream


class Told:
    """Remembers how often it was told of a loss."""

    lost = 0

    def streamReady(self, stream) -> None:
        """As was to be expected."""

    def streamLost(self, stream, reason) -> None:
        self.lost += 1


@pytest.fixture
def near() -> Iterator[socket.socket]:
    """One of two connected sockets."""
    near, far = socket.socketpair()
    with near, far:
        yield near


def test_lostWhileItIsAborted(near: socket.socket) -> None:
    """
    A socket may be found lost between the call that aborts it and the moment in
    which that happens; its owner is told once, and nothing is raised.
    """
    reactor = MemoryReactorClock()
    told = Told()
    stream = TransportStream(told)
    transport = Server(near, stream, ("127.0.0.1", 40001), None, 1, reactor)
    stream.makeConnection(transport)
    stream.abort()
    transport.connectionLost(Failure(ConnectionLost()))
    reactor.advance(0)
    assert told.lost == 1
    assert near.fileno() == -1
