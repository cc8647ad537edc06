"""A reactor for TCP and UNIX sockets on a L{SocketLoop}, inside another reactor."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.error import UnsupportedAddressFamily
from twisted.internet.interfaces import (
    IConnector,
    IListeningPort,
    IReactorFDSet,
    IReactorSocket,
    IReactorTCP,
    IReactorUNIX,
)
from zope.interface import directlyProvides, implementer, providedBy

from .socketkinds import (
    TCPConnector,
    TCPPort,
    TCPServer,
    UNIXConnector,
    UNIXPort,
    UNIXServer,
)
from .socketloop import SocketLoop

_STREAMS = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


@implementer(IReactorTCP, IReactorUNIX, IReactorSocket)
class SocketReactor:
    """
    Listens and connects by sockets of its own; all else is the reactor's around it.

    It provides what the reactor around it provides, so that every endpoint works on it.

    @ivar loop: Watches the sockets.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: Provides L{twisted.internet.interfaces.IReactorFDSet} and
            L{twisted.internet.interfaces.IReactorTime}.
        """
        self._reactor = reactor
        self.loop = SocketLoop(reactor)
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    # IReactorTCP.

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Listen on a TCP port."""
        return _listening(TCPPort(port, factory, backlog, interface, self))

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30.0,
        bindAddress: Any = None,
    ) -> IConnector:
        """Connect to a TCP port."""
        connector = TCPConnector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    # IReactorUNIX.

    def listenUNIX(
        self,
        address: Any,
        factory: Any,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: int = 0,
    ) -> IListeningPort:
        """Listen on a UNIX socket."""
        return _listening(UNIXPort(address, factory, backlog, mode, self, wantPID))

    def connectUNIX(
        self, address: Any, factory: Any, timeout: float = 30.0, checkPID: int = 0
    ) -> IConnector:
        """Connect to a UNIX socket."""
        connector = UNIXConnector(address, factory, timeout, self, checkPID)
        connector.connect()
        return connector

    # IReactorSocket.

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: Any
    ) -> IListeningPort:
        """Listen on a socket that was opened before, such as one of systemd's."""
        _require(addressFamily)
        make: Callable[..., Any] = TCPPort._fromListeningDescriptor
        if addressFamily == socket.AF_UNIX:
            return _listening(
                UNIXPort._fromListeningDescriptor(self, fileDescriptor, factory)
            )
        return _listening(make(self, fileDescriptor, addressFamily, factory))

    def adoptStreamConnection(
        self, fileDescriptor: int, addressFamily: int, factory: Any
    ) -> Any:
        """Use a socket that is connected already."""
        _require(addressFamily)
        if addressFamily == socket.AF_UNIX:
            return UNIXServer._fromConnectedSocket(fileDescriptor, factory, self)
        return TCPServer._fromConnectedSocket(
            fileDescriptor, addressFamily, factory, self
        )

    def adoptDatagramPort(
        self,
        fileDescriptor: int,
        addressFamily: int,
        protocol: Any,
        maxPacketSize: int = 8192,
    ) -> IListeningPort:
        """The reactor's own."""
        adopted: IListeningPort = self._reactor.adoptDatagramPort(
            fileDescriptor, addressFamily, protocol, maxPacketSize
        )
        return adopted


def _listening(port: Any) -> IListeningPort:
    port.startListening()
    return port  # type: ignore[no-any-return]


def _require(addressFamily: int) -> None:
    if addressFamily not in _STREAMS:
        raise UnsupportedAddressFamily(addressFamily)


def socketsOf(reactor: Any, which: str) -> Any:
    """
    The reactor to listen and connect with.

    @param which: C{"epoll"} for L{SocketReactor}, C{"reactor"} for C{reactor} itself,
        or C{"auto"} for the first where it works.
    @raise ValueError: If C{"epoll"} does not work here.
    """
    if which == "reactor":
        return reactor
    if hasattr(select, "epoll") and IReactorFDSet.providedBy(reactor):
        return SocketReactor(reactor)
    if which == "epoll":
        raise ValueError("needs Linux, and a reactor that watches descriptors")
    return reactor
