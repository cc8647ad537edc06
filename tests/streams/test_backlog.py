"""Which transport has the socket."""

from __future__ import annotations

from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from lbproxy.streams.backlog import lowest


def test_lowest() -> None:
    """It is found below whatever Twisted has wrapped around it."""
    socketed = object()
    inner = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
    outer = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
    inner.transport = socketed
    outer.transport = inner
    assert lowest(outer) is lowest(socketed) is socketed
