"""
An attempt to connect to a backend, and what begins it: with TLS, and without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from ..streams.kinds import TLS, declare, part
from ..streams.socketkinds import BacklogFull
from ..streams.tlsclient import ClientTLS


class Attempt(ClientFactory):
    """One attempt to connect to one place, which a L{Way} begins."""

    noisy = False

    def preface(self, transport: Any) -> bytes:
        """
        What goes first on the transport that was connected, before TLS begins.

        @param transport: Tells its addresses.
        """
        return b""

    def failed(self, reason: Failure) -> None:
        """Nothing was connected to.  May be called when the attempt is over already."""
        raise NotImplementedError

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """The place could not be connected to."""
        self.failed(reason)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        """The connection is gone, which its protocol reports."""
        part(connector)

    def checkBacklog(self) -> None:
        """
        Fail unless connected: a UNIX socket accepts at once, or its backlog is
        full.
        """
        self.failed(Failure(BacklogFull()))


Way = Callable[[Attempt], Callable[[], object] | None]
"""Begins an attempt to connect to one backend; what it returns stops it."""


class SecureWay:
    """
    The way to a backend that TLS is spoken to.

    @ivar below: The way to it without TLS.
    @ivar tls: Makes the TLS of each connection.
    """

    def __init__(self, reactor: Any, below: Way, tls: ClientTLS) -> None:
        """
        @param reactor: Tells the time.
        """
        self.below = below
        self.tls = tls
        factory = ClientFactory()
        factory.noisy = False
        self._factory = TLSMemoryBIOFactory(tls, True, factory, reactor)

    def __call__(self, attempt: Attempt) -> Callable[[], object] | None:
        """
        Begin an attempt that is given the transport of TLS.

        @raise UnusableFile: If a file that TLS needs cannot be used.
        """
        self.tls.prepare()
        return self.below(_Below(attempt, self._factory))


class _Below(Attempt):
    """The attempt to connect what is below TLS."""

    def __init__(self, above: Attempt, factory: TLSMemoryBIOFactory) -> None:
        self._above = above
        self._factory = factory
        self._connected = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the protocol of TLS; L{None} if the attempt was cancelled."""
        protocol = self._above.buildProtocol(addr)
        if protocol is None:
            return None
        self._connected = True
        return _Secured(self._factory, protocol, self._above)

    def failed(self, reason: Failure) -> None:
        """There is nothing to speak TLS over."""
        self._above.failed(reason)

    def checkBacklog(self) -> None:
        """Fail unless connected; the handshake may take longer."""
        if not self._connected:
            super().checkBacklog()


class _Secured(TLSMemoryBIOProtocol):
    """
    The protocol of TLS, after what goes first.

    The factory's own would hold small writes back for a turn of the reactor, and leave
    a reference cycle; what is relayed comes in few pieces.
    """

    def __init__(
        self, factory: TLSMemoryBIOFactory, protocol: Any, above: Attempt
    ) -> None:
        super().__init__(factory, protocol)
        self._above: Attempt | None = above

    def makeConnection(self, transport: Any) -> None:
        """Write what goes first, and begin the handshake."""
        above, self._above = self._above, None
        preface = b"" if above is None else above.preface(transport)
        if preface:
            transport.write(preface)
        super().makeConnection(transport)


declare(_Secured, TLS)
