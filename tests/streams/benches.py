"""The benches: every kind of transport that a stream may ride on."""

from __future__ import annotations

import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from journeys import Certificates, SocketPeer, TLSPeer, descriptors
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from lbproxy.proxy.attempts import SecureWay
from lbproxy.streams.clientcontexts import ClientContexts
from lbproxy.streams.kinds import undelivered
from lbproxy.streams.socketloop import SocketLoop
from lbproxy.streams.sockets import SocketReactor
from lbproxy.streams.socketstreams import SocketStream
from lbproxy.streams.stream import Facts, Mode
from lbproxy.streams.tlsclient import ClientTLS
from lbproxy.streams.tlsstreams import TLSStream
from lbproxy.streams.transports import TransportStream
from lbproxy.testing import MemoryNetwork, MemoryTransport
from lbproxy.words.tlsoptions import TLSOptions

from .bench import Bench, Far

_WINDOW = 32768
"""Bytes that a far end's kernel takes while it does not read; hardly any."""


class MemoryFar(Far):
    def __init__(self, transport: MemoryTransport) -> None:
        self._far = transport.far

    def send(self, data: bytes) -> None:
        step = 1 if self.dribbles else 65536
        for at in range(0, len(data), step):
            self._far.send(data[at : at + step])

    def end(self) -> None:
        self._far.end()

    def reset(self) -> None:
        self._far.reset()

    def refuse(self) -> None:
        self._far.failure = BrokenPipeError(32, "Broken pipe")

    def stall(self) -> None:
        self._far.stall()

    def read(self, length: int | None = None) -> None:
        self._far.take(length)

    delivered = True

    @property
    def received(self) -> bytes:
        return bytes(self._far.received)

    @property
    def sawEnd(self) -> bool:
        return self._far.hasEnd

    @property
    def sawReset(self) -> bool:
        return self._far.wasReset


class Factory(ClientFactory):
    """Builds one stream for a bench, perhaps within another protocol."""

    noisy = False

    def __init__(self, bench: Bench, wrap: Callable[[Protocol], Protocol]) -> None:
        self._bench = bench
        self._wrap = wrap

    def buildProtocol(self, addr: object) -> Protocol:
        stream = self._bench.stream = TransportStream(self._bench.owner)
        return self._wrap(stream)

    def preface(self, transport) -> bytes:
        return b""

    def clientConnectionLost(self, connector, reason) -> None:
        # As the dialer does; see there.
        connector.transport = None


def itself(stream: Protocol) -> Protocol:
    return stream


class Memory(Bench):
    facts = Facts(
        halfCloses=True, resets=True, pauses=True, tellsDeaf=True, tellsDelivery=True
    )

    def __init__(self, certificates: Certificates) -> None:
        super().__init__()

    async def open(self) -> None:
        self._network = MemoryNetwork()
        self._network.listenTCP(80, Factory(self, itself))
        self._network.client(80)
        self.transport = self.stream.transport
        self.far = MemoryFar(self.transport)

    async def tick(self) -> bool:
        self._network.settle(0.01)
        return False

    async def close(self) -> None:
        self.stream.abort()
        await self.settle()
        assert not self._network.getDelayedCalls()
        assert self.closer.idle


class SocketFar(SocketPeer, Far):
    """A far end on a plain socket, moved by the bench."""

    ready = True
    """Whether all has been sent that comes before what it is told to say."""

    _window: int | None = None

    def send(self, data: bytes) -> None:
        super().send(data)
        if not self.dribbles:
            self.move()

    def end(self) -> None:
        super().end()
        if not self.dribbles:
            self.move()

    def stall(self) -> None:
        self._reading = False

    def read(self, length: int | None = None) -> None:
        self._reading = True
        self._window = length

    def refuse(self) -> None:
        if self.hasReset:
            # A TCP socket that is shut down for reading takes what it is sent.
            self.reset()
        else:
            self.socket.shutdown(socket.SHUT_RD)
            self._reading = False

    @property
    def delivered(self) -> bool:
        return not self._outgoing and (
            self.socket.family == socket.AF_UNIX or not undelivered(self.socket)
        )

    def _moveOut(self) -> None:
        if self.dribbles and len(self._outgoing) > 1:
            del self._outgoing[: self.socket.send(self._outgoing[:1])]
        else:
            super()._moveOut()

    def _moveIn(self) -> None:
        while self._window is None or self._window > 0:
            data = self._next(min(65536, self._window or 65536))
            if not data:
                self._end = True
                return
            self._received += data
            if self._window is not None:
                self._window -= len(data)

    def _next(self, length: int) -> bytes:
        return self.socket.recv(length)


class SecureFar(SocketFar, TLSPeer):
    """
    The same, speaking TLS.

    @ivar truncated: Whether it was left without a close_notify.
    """

    truncated = False

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, **names) -> None:
        TLSPeer.__init__(self, sock, context, **names)

    @property
    def ready(self) -> bool:
        return self._shaken and not self._unsent and not self._wireOut.pending

    def cut(self) -> None:
        """Leave in good order for TCP, and without a word for TLS."""
        self.socket.shutdown(socket.SHUT_WR)

    @property
    def delivered(self) -> bool:
        return not self._unsent and super().delivered

    def _flush(self) -> None:
        self._unsent += self._wireOut.read()
        step = 1 if self.dribbles else 1 << 30
        while self._unsent:
            del self._unsent[: self.socket.send(self._unsent[:step])]
            if self.dribbles:
                raise BlockingIOError

    def _moveOut(self) -> None:
        TLSPeer._moveOut(self)

    def _next(self, length: int) -> bytes:
        self._pull()
        try:
            return self._tls.read(length)
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError:
            self.truncated = True
            raise


def resources() -> tuple[int, int, int]:
    """What this process has open, watches, and waits for."""
    watched = len(reactor.getReaders()) + len(reactor.getWriters())
    return descriptors(), watched, len(reactor.getDelayedCalls())


class SocketBench(Bench):
    """
    A transport of Twisted's on a real socket.

    @ivar reactor: What it listens or connects with.
    """

    far: SocketFar
    reactorOf: Callable[[Any], Any] = staticmethod(itself)
    wrap: Callable[[Protocol], Protocol] = staticmethod(itself)

    def __init__(self, certificates: Certificates) -> None:
        super().__init__()
        self.reactor = self.reactorOf(reactor)
        self._certificates = certificates
        self._directory = Path(tempfile.mkdtemp())
        self._sockets: list[socket.socket] = []
        self._port = None

    async def open(self) -> None:
        self._before = resources()
        await self.connect()
        await self.until(lambda: "ready" in self.owner.told and self.far.ready)
        assert self.owner.stream is not None
        self.stream = self.owner.stream
        self.transport = self.stream.transport

    async def connect(self) -> None:
        """Make the stream and its far end."""
        raise NotImplementedError

    async def tick(self) -> bool:
        await deferLater(reactor, 0.0003)
        far = getattr(self, "far", None)
        return far is not None and far.move()

    async def close(self) -> None:
        try:
            if self.stream.mode is not Mode.LOST:
                self.stream.abort()
            if self._port is not None:
                await self._port.stopListening()
            self.far._shut()
            for each in self._sockets:
                each.close()
            await self.until(lambda: resources() <= self._before)
            assert self.closer.idle
        finally:
            shutil.rmtree(self._directory)

    def _socket(self, family: int = socket.AF_INET) -> socket.socket:
        sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        return sock

    async def _serve(self, description: str, where: object = None) -> None:
        """Listen, and connect a plain socket as the far end."""
        endpoint = serverFromString(self.reactor, description)
        self._port = await endpoint.listen(Factory(self, self.wrap))
        host = self._port.getHost()
        far = self._socket(socket.AF_UNIX if where else socket.AF_INET)
        far.connect(where or (host.host, host.port))
        self.far = self._farEnd(far)

    async def _dial(self, way: Callable[[ClientFactory, object], object]) -> None:
        """Connect to a plain socket, whose other end is the far end."""
        listening = self._socket(self._family)
        self._sockets.append(listening)
        path = str(self._directory / "far")
        inet = self._family == socket.AF_INET
        listening.bind(("127.0.0.1", 0) if inet else path)
        listening.listen()
        way(Factory(self, self.wrap), listening.getsockname())
        listening.setblocking(False)
        while True:
            try:
                far, _ = listening.accept()
            except BlockingIOError:
                await deferLater(reactor, 0.0003)
            else:
                break
        self.far = self._farEnd(far)

    _family = socket.AF_INET

    def _farEnd(self, sock: socket.socket) -> SocketFar:
        return SocketFar(sock)


class TCPServer(SocketBench):
    facts = Memory.facts

    async def connect(self) -> None:
        await self._serve("tcp:0:interface=127.0.0.1")


class TCPClient(SocketBench):
    """Through an endpoint, whose protocol stands in between."""

    facts = Memory.facts

    async def connect(self) -> None:
        await self._dial(
            lambda factory, where: clientFromString(
                self.reactor, f"tcp:127.0.0.1:{where[1]}"
            ).connect(factory)
        )


class TCPDial(SocketBench):
    """Directly, as backends are dialled."""

    facts = Memory.facts

    async def connect(self) -> None:
        await self._dial(
            lambda factory, where: self.reactor.connectTCP(*where, factory)
        )


class UNIXServer(SocketBench):
    facts = Facts(halfCloses=True, pauses=True, tellsDeaf=True, tellsDelivery=True)

    async def connect(self) -> None:
        path = str(self._directory / "near")
        await self._serve(f"unix:{path}:lockfile=0", path)


class UNIXClient(SocketBench):
    facts = UNIXServer.facts
    _family = socket.AF_UNIX

    async def connect(self) -> None:
        await self._dial(lambda factory, path: self.reactor.connectUNIX(path, factory))


class TLSServer(SocketBench):
    facts = Facts(resets=True, pauses=True, tellsDeaf=True, tellsDelivery=True)

    async def connect(self) -> None:
        where = self._certificates.directory
        await self._serve(
            "ssl:0:interface=127.0.0.1:"
            f"privateKey={where}/key.pem:certKey={where}/cert.pem"
        )

    def _farEnd(self, sock: socket.socket) -> SocketFar:
        context = self._certificates.client
        return SecureFar(sock, context, server_hostname="127.0.0.1")


class TLSClient(SocketBench):
    facts = TLSServer.facts

    async def connect(self) -> None:
        roots = self._certificates.directory / "roots"
        await self._dial(
            lambda factory, where: clientFromString(
                self.reactor, f"tls:127.0.0.1:{where[1]}:trustRoots={roots}"
            ).connect(factory)
        )

    def _farEnd(self, sock: socket.socket) -> SocketFar:
        return SecureFar(sock, self._certificates.server, server_side=True)


class TLSWay(TLSClient):
    """The way to a backend that has the table C{tls}."""

    async def connect(self) -> None:
        ca = str(self._certificates.directory / "roots" / "ca.pem")
        tls = ClientTLS(ClientContexts(), TLSOptions(ca=ca), "127.0.0.1")
        await self._dial(
            lambda factory, where: SecureWay(
                self.reactor, lambda below: self.reactor.connectTCP(*where, below), tls
            )(factory)
        )


@implementer(ITransport)
class OnlyTransport:
    """A plugin's transport, with what every transport has and nothing else."""

    def __init__(self, transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def writeSequence(self, data) -> None:
        self._transport.writeSequence(data)

    def loseConnection(self) -> None:
        self._transport.loseConnection()

    def getPeer(self):
        return self._transport.getPeer()

    def getHost(self):
        return self._transport.getHost()


class Between(Protocol):
    """A plugin's protocol, which gives another one a transport of its own."""

    def __init__(self, stream: Protocol) -> None:
        self._stream: Protocol | None = stream

    def connectionMade(self) -> None:
        self._stream.makeConnection(OnlyTransport(self.transport))

    def dataReceived(self, data: bytes) -> None:
        self._stream.dataReceived(data)

    def connectionLost(self, reason: Failure) -> None:
        stream, self._stream = self._stream, None
        stream.connectionLost(reason)


class Plugin(TCPServer):
    """What some endpoint plugin makes."""

    facts = Facts()
    wrap = Between


class LeanTCPServer(TCPServer):
    """A socket of lbproxy's own."""

    reactorOf = SocketReactor


class LeanTCPClient(TCPClient):
    reactorOf = SocketReactor


class LeanTCPDial(TCPDial):
    reactorOf = SocketReactor


class LeanUNIXServer(UNIXServer):
    reactorOf = SocketReactor


class LeanUNIXClient(UNIXClient):
    reactorOf = SocketReactor


class LeanTLSClient(TLSClient):
    """Twisted's TLS, over one."""

    reactorOf = SocketReactor


class LeanTLSWay(TLSWay):
    reactorOf = SocketReactor


class LeanPlugin(Plugin):
    reactorOf = SocketReactor


class Direct(SocketBench):
    """A socket without a transport, as clients of a listener have."""

    reactorOf = SocketReactor
    facts = Memory.facts

    async def connect(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            far = self._socket()
            far.connect(listening.getsockname())
            accepted, _ = listening.accept()
        self.near = socket.SocketType(
            accepted.family, accepted.type, accepted.proto, accepted.detach()
        )
        loop = self.reactor.loop
        self.stream = stream = self.made(loop)
        loop.add(self.near.fileno(), stream)
        self.far = self._farEnd(far)
        self.begin(stream)

    def made(self, loop: SocketLoop) -> SocketStream:
        return SocketStream(self.owner, self.near, loop)

    def begin(self, stream: Any) -> None:
        self.owner.streamReady(stream)

    async def open(self) -> None:
        await super().open()
        self.transport = self.near  # There is none; this may not be kept either.


class DirectTLSServer(Direct):
    """The same, speaking TLS 1.3."""

    version = SSL.TLS1_3_VERSION

    def made(self, loop: SocketLoop) -> SocketStream:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(self.version)
        connection = SSL.Connection(self.filled(context), None)
        self.takeSide(connection)
        return TLSStream(self.owner, self.near, loop, connection)

    def filled(self, context: SSL.Context) -> SSL.Context:
        where = self._certificates.directory
        context.use_certificate_file(f"{where}/cert.pem")
        context.use_privatekey_file(f"{where}/key.pem")
        return context

    def takeSide(self, connection: SSL.Connection) -> None:
        connection.set_accept_state()

    def begin(self, stream: Any) -> None:
        stream.begin()

    def _farEnd(self, sock: socket.socket) -> SocketFar:
        context = self._certificates.client
        return SecureFar(sock, context, server_hostname="127.0.0.1")


class DirectTLSClient(DirectTLSServer):
    def filled(self, context: SSL.Context) -> SSL.Context:
        context.load_verify_locations(f"{self._certificates.directory}/roots/ca.pem")
        context.set_verify(SSL.VERIFY_PEER)
        return context

    def takeSide(self, connection: SSL.Connection) -> None:
        connection.set_connect_state()

    def _farEnd(self, sock: socket.socket) -> SocketFar:
        return SecureFar(sock, self._certificates.server, server_side=True)


class DirectTLS12Server(DirectTLSServer):
    """The same, speaking TLS 1.2."""

    version = SSL.TLS1_2_VERSION


class DirectTLS12Client(DirectTLSClient):
    version = SSL.TLS1_2_VERSION


EVERY: dict[str, Callable[[Certificates], Bench]] = {
    "memory": Memory,
    "tcp-server": TCPServer,
    "tcp-client": TCPClient,
    "tcp-dial": TCPDial,
    "unix-server": UNIXServer,
    "unix-client": UNIXClient,
    "tls-server": TLSServer,
    "tls-client": TLSClient,
    "tls-way": TLSWay,
    "plugin": Plugin,
    "lean-tcp-server": LeanTCPServer,
    "lean-tcp-client": LeanTCPClient,
    "lean-tcp-dial": LeanTCPDial,
    "lean-unix-server": LeanUNIXServer,
    "lean-unix-client": LeanUNIXClient,
    "lean-tls-client": LeanTLSClient,
    "lean-tls-way": LeanTLSWay,
    "lean-plugin": LeanPlugin,
    "direct-tcp": Direct,
    "direct-tls-server": DirectTLSServer,
    "direct-tls-client": DirectTLSClient,
    "direct-tls1.2-server": DirectTLS12Server,
    "direct-tls1.2-client": DirectTLS12Client,
}
SECURE = [name for name in EVERY if "tls" in name]
