"""PROXY headers of health checks."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import implementer

from ..proxy.listener import toAddress
from ..proxy.proxyheaders import headerOfOwn


def writeHeader(transport: Any, version: str) -> None:
    """
    Write the header of a check to its connection, which has just been made.

    @param version: C{"v1"} or C{"v2"}.
    """
    local, remote = toAddress(transport.getHost()), toAddress(transport.getPeer())
    transport.write(headerOfOwn(local, remote, version))


class _HeaderThenTLS(BufferingTLSTransport):
    """TLS that begins after a header."""

    factory: _Factory

    def makeConnection(self, transport: ITransport) -> None:
        """Write the header, and begin the handshake."""
        writeHeader(transport, self.factory.version)
        super().makeConnection(transport)


class _Factory(TLSMemoryBIOFactory):
    noisy = False
    protocol = _HeaderThenTLS
    version = ""


@implementer(IStreamClientEndpoint)
class HeaderThenTLS:
    """An endpoint whose connections begin with a header, and then speak TLS."""

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        creator: IOpenSSLClientConnectionCreator,
        version: str,
    ) -> None:
        """
        @param endpoint: What is connected to.
        @param creator: Makes the TLS connections.
        @param version: C{"v1"} or C{"v2"}.
        """
        self._endpoint = endpoint
        self._creator = creator
        self._version = version

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Connect; the protocol is connected to what TLS makes of the connection."""
        factory = _Factory(self._creator, True, protocolFactory)
        factory.version = self._version
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addCallback(lambda tls: tls.wrappedProtocol)
