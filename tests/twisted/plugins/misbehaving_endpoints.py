"""
Client endpoints that break their promises, as a plugin: C{misbehaves:HOW:NUMBER}.

It is found by tests, and by a C{twistd} that has the directory C{tests} in its
PYTHONPATH.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
)
from twisted.plugin import IPlugin
from zope.interface import implementer


class Bare:
    """
    A transport that has the least there is, and never says that it is gone.

    @ivar written: What was written.
    @ivar losing: How many times it was to close.
    """

    def __init__(self) -> None:
        self.written = b""
        self.losing = 0

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written += data

    def writeSequence(self, data: Any) -> None:
        """Keep all of them."""
        self.written += b"".join(data)

    def loseConnection(self) -> None:
        """Do nothing about it."""
        self.losing += 1

    def getPeer(self) -> object:
        """Nothing that is known."""
        return None

    getHost = getPeer


@implementer(IStreamClientEndpoint)
class Misbehaves:
    """
    One endpoint.

    @ivar made: All transports that any of them has made.
    @ivar depths: How deep the stack was in each call.
    """

    made: list[tuple[Bare, Any]] = []
    depths: list[int] = []

    def __init__(self, how: str) -> None:
        self._how = how

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect, more or less."""
        self.depths.append(_depth())
        return getattr(self, self._how)(factory)

    def raises(self, factory: Any) -> Deferred[Any]:
        """Do not even give a Deferred."""
        raise LookupError("no such place")

    def hangs(self, factory: Any) -> Deferred[Any]:
        """Give one that cannot be cancelled."""
        return Deferred(cannotBeCancelled)

    def bare(self, factory: Any) -> Deferred[Any]:
        """Connect at once, with a L{Bare} transport."""
        protocol = factory.buildProtocol(None)
        transport = Bare()
        self.made.append((transport, protocol))
        protocol.makeConnection(transport)
        return succeed(protocol)


def cannotBeCancelled(deferred: Deferred[Any]) -> None:
    """A canceller that raises."""
    raise LookupError("it cannot be cancelled")


def _depth() -> int:
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return depth


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class Parser:
    """Makes them."""

    prefix = "misbehaves"

    def parseStreamClient(self, reactor: Any, how: str, number: str) -> Misbehaves:
        """One that misbehaves in one way."""
        return Misbehaves(how)


parser = Parser()
