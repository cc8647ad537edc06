"""What the canaries look at: Twisted's transports, with nothing of lbproxy's."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from journeys import Certificates
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from .benches import SecureFar


class Plain(Protocol):
    """A protocol that takes notes."""

    def __init__(self) -> None:
        self.heard = b""
        self.told: list[str] = []
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.told.append("lost")
        self.reason = reason


@implementer(IHalfCloseableProtocol)
class HalfClosing(Plain):
    """The same, that goes on after an end."""

    def readConnectionLost(self) -> None:
        self.told.append("ended")

    def writeConnectionLost(self) -> None:
        self.told.append("said")


class Idle:
    """A producer that does nothing but take notes."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


async def turns(count: int = 10) -> None:
    """Let the reactor go round."""
    for _ in range(count):
        await deferLater(reactor, 0.001)


async def until(predicate: Callable[[], object]) -> None:
    """Let the reactor go round until something is so."""
    for _ in range(3000):
        if predicate():
            return
        await turns(1)
    raise AssertionError("it never came to that")


def narrow(family: int = socket.AF_INET) -> socket.socket:
    """A socket that takes little while nobody reads it."""
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    return sock


def reset(sock: socket.socket) -> None:
    """Close a TCP socket with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def reads(sock: socket.socket) -> Callable[[], bytes]:
    """What a far end has read so far; each call reads on."""
    heard = bytearray()

    def read() -> bytes:
        try:
            while data := sock.recv(65536):
                heard.extend(data)
        except OSError:
            pass
        return bytes(heard)

    return read


def ended(sock: socket.socket) -> bool:
    """Whether a far end that has read everything finds the end of the stream."""
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False


class Pairs:
    """Makes connections, and puts them away."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._made: list[tuple] = []

    async def listen(self, description: str, protocol: Protocol) -> tuple:
        factory = Factory.forProtocol(lambda: protocol)
        factory.noisy = False
        port = await serverFromString(reactor, description).listen(factory)
        where = port.getHost()
        far = narrow(socket.AF_INET if hasattr(where, "port") else socket.AF_UNIX)
        far.connect((where.host, where.port) if hasattr(where, "port") else where.name)
        far.setblocking(False)
        self._made.append((port, protocol, far))
        await until(lambda: protocol.transport is not None)
        return protocol, far

    async def tcp(self, protocol: Protocol) -> tuple:
        return await self.listen("tcp:0:interface=127.0.0.1", protocol)

    async def unix(self, protocol: Protocol) -> tuple:
        path = self._certificates.directory / f"{len(self._made)}.sock"
        return await self.listen(f"unix:{path}:lockfile=0", protocol)

    async def tls(self, protocol: Protocol, shaken: bool = True) -> tuple:
        where = self._certificates.directory
        _, sock = await self.listen(
            f"ssl:0:interface=127.0.0.1:privateKey={where}/key.pem"
            f":certKey={where}/cert.pem",
            protocol,
        )
        context = self._certificates.client
        far = SecureFar(sock, context, server_hostname="127.0.0.1")
        if shaken:
            await self.moving(far, lambda: far.ready)
            await self.moving(far, lambda: protocol.transport._handshakeDone)
        return protocol, far

    async def moving(self, far: SecureFar, predicate: Callable[[], object]) -> None:
        """Let the far end move until something is so."""

        def moved() -> object:
            far.move()
            return predicate()

        await until(moved)

    async def close(self) -> None:
        for port, protocol, far in self._made:
            await port.stopListening()
            far.close()
            if protocol.connected and "lost" not in protocol.told:
                protocol.transport.abortConnection()
                await until(lambda protocol=protocol: "lost" in protocol.told)
