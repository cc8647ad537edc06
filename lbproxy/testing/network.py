"""A network in memory, which is the reactor of the balancer that runs on it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    CannotListenError,
    ConnectionRefusedError,
    UserError,
)
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IHostnameResolver,
    IHostResolution,
    IListeningPort,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorUNIX,
    IResolutionReceiver,
)
from twisted.internet.protocol import ClientFactory, Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from .backends import ScriptedBackend
from .transports import Far, MemoryTransport


def _refused() -> ConnectionRefusedError:
    return ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def _ip(host: str, port: int) -> IPv4Address | IPv6Address:
    kind = IPv6Address if ":" in host else IPv4Address
    return kind("TCP", host, port)


@implementer(IConnector)
class _Connector:
    def __init__(self, address: IAddress, factory: ClientFactory) -> None:
        self._address = address
        self._factory = factory
        self.over = False

    def disconnect(self) -> None:
        self.stopConnecting()

    def stopConnecting(self) -> None:
        self.fail(UserError())

    def connect(self) -> None:
        raise RuntimeError("a connector of this network connects once")

    def getDestination(self) -> IAddress:
        return self._address

    def fail(self, error: Exception) -> None:
        if not self.over:
            self.over = True
            self._factory.clientConnectionFailed(self, Failure(error))


@implementer(IListeningPort)
class _Port:
    def __init__(self, address: IAddress, close: Callable[[], object]) -> None:
        self._address = address
        self._close = close

    def startListening(self) -> None:
        """Do nothing: the port listens from the beginning."""

    def stopListening(self) -> Deferred[None]:
        self._close()
        return succeed(None)

    def getHost(self) -> IAddress:
        return self._address


@implementer(IHostnameResolver)
class MemoryResolver:
    """Looks up names in a mapping, at once, except for those that are held."""

    def __init__(
        self,
        names: Mapping[str, Sequence[str]],
        held: Mapping[str, list[IResolutionReceiver]],
    ) -> None:
        """
        @param held: The receivers that wait for the addresses of a name.
        """
        self._names = names
        self._held = held

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: object = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Tell the receiver the addresses of a name, if it has some."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        if hostName in self._held:
            self._held[hostName].append(resolutionReceiver)
        else:
            self.answer(hostName, resolutionReceiver)
        return resolution

    def answer(self, hostName: str, receiver: IResolutionReceiver) -> None:
        """Tell a receiver the addresses of a name."""
        for host in self._names.get(hostName, ()):
            receiver.addressResolved(_ip(host, 0))
        receiver.resolutionComplete()


@implementer(IHostResolution)
@frozen
class _Resolution:
    """A lookup, which is over when it has begun."""

    name: str

    def cancel(self) -> None:
        """It is over already."""


@implementer(IReactorTCP, IReactorUNIX, IReactorPluggableNameResolver)
class MemoryNetwork(Clock):
    """
    A reactor in memory: a clock, and a network without sockets.

    A UNIX socket makes no file.  But C{--check} and a start check that the directory of
    its path exists.
    """

    def __init__(self) -> None:
        super().__init__()
        self._backends: dict[tuple[str, int | None], ScriptedBackend] = {}
        self._listening: dict[int | str, Factory] = {}
        self._clients = 0
        self._names: dict[str, tuple[str, ...]] = {}
        self._held: dict[str, list[IResolutionReceiver]] = {}

    def backend(self, host: str, port: int | None = None) -> ScriptedBackend:
        """
        The backend at an address, which the first call makes.

        A dial to an address is refused if this was never called for it.

        @param host: An IP address, or the path of a UNIX socket.
        @param port: L{None} for a UNIX socket.
        """
        return self._backends.setdefault((host, port), ScriptedBackend())

    def alias(self, name: str, *hosts: str) -> None:
        """
        Give a name to a host, or to several; the name has other hosts from then on.

        @param name: The name that is looked up.
        @param hosts: Its IP addresses; none if there is no such name any more.
        """
        self._names[name] = hosts
        for receiver in self._held.pop(name, ()):
            self.nameResolver.answer(name, receiver)

    def hold(self, name: str) -> None:
        """Answer no lookup of a name until it gets hosts by L{alias}."""
        self._held[name] = []

    def client(self, port: int | str, host: str = "192.0.2.1") -> Far:
        """
        Connect a client to a listening port.

        @param port: Its number, or the path of a UNIX socket.
        @param host: The client's IP address; ignored for a UNIX socket.
        @return: The client's end of the connection.
        @raise KeyError: If nothing listens there.
        """
        self._clients += 1
        local: IAddress
        peer: IAddress
        if isinstance(port, str):
            local, peer = UNIXAddress(port), UNIXAddress("")
        else:
            local = _ip("::1" if ":" in host else "127.0.0.1", port)
            peer = _ip(host, 40000 + self._clients)
        near = MemoryTransport(self, local, peer)
        protocol = self._listening[port].buildProtocol(peer)
        if protocol is None:
            near.far.closed = True
        else:
            near.connect(protocol)
        return near.far

    def settle(self, seconds: float = 0.0) -> None:
        """
        Advance the clock, and make each call that is due on the way at its own time.

        @param seconds: 0 makes only the calls that are due at once.
        """
        until = self.seconds() + seconds
        while self.calls and self.calls[0].getTime() <= until:
            self.advance(max(0.0, self.calls[0].getTime() - self.seconds()))
        self.advance(max(0.0, until - self.seconds()))

    # IReactorPluggableNameResolver.

    @property
    def nameResolver(self) -> MemoryResolver:
        """Looks up the names that L{alias} gives."""
        return MemoryResolver(self._names, self._held)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """There is no other resolver in memory."""
        raise NotImplementedError

    # IReactorTCP.

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Listen on a port, to which clients can then connect."""
        return self._listen(port, factory, _ip(interface or "0.0.0.0", port), interface)

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: object = None,
    ) -> IConnector:
        """
        Dial the backend at an address.  It is never answered before the clock moves.
        """
        host = next(iter(self._names.get(host, ())), host)
        return self._connect((host, port), _ip(host, port), factory)

    # IReactorUNIX.

    def listenUNIX(
        self,
        address: str,
        factory: Any,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        """Listen on a path, to which clients can then connect."""
        return self._listen(address, factory, UNIXAddress(address), address)

    def connectUNIX(
        self, address: str, factory: Any, timeout: float = 30, checkPID: bool = False
    ) -> IConnector:
        """
        Dial the backend at a path.  It is never answered before the clock moves.

        As on a real UNIX socket, a dial without an answer at once fails: the balancer
        concludes that the backlog is full.
        """
        return self._connect((address, None), UNIXAddress(address), factory)

    def _listen(
        self, at: int | str, factory: Any, address: IAddress, interface: str
    ) -> IListeningPort:
        if at in self._listening:
            taken = OSError(errno.EADDRINUSE, "Address in use")
            raise CannotListenError(interface, at, taken)
        self._listening[at] = factory
        factory.doStart()
        return _Port(address, lambda: self._listening.pop(at, None))

    def _connect(
        self, at: tuple[str, int | None], address: IAddress, factory: Any
    ) -> IConnector:
        backend = self._backends.get(at, ScriptedBackend("refuse"))
        backend.dials += 1
        connector = _Connector(address, factory)
        factory.doStart()
        factory.startedConnecting(connector)
        if backend.answer == "refuse":
            self.callLater(backend.delay, connector.fail, _refused())
        elif backend.answer == "accept":
            self.callLater(
                backend.delay, self._accept, backend, address, connector, factory
            )
        return connector

    def _accept(
        self,
        backend: ScriptedBackend,
        address: IAddress,
        connector: _Connector,
        factory: ClientFactory,
    ) -> None:
        if connector.over:
            return
        connector.over = True
        local: IAddress = UNIXAddress("")
        if not isinstance(address, UNIXAddress):
            local = _ip("127.0.0.1", 39999)
        near = MemoryTransport(self, local, address)
        protocol = factory.buildProtocol(address)
        if protocol is None:
            near.far.closed = True
        else:
            near.connect(protocol)
            backend.take(near.far)
