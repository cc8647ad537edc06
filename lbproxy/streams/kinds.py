"""
The kinds of Twisted's transports: what each can do, and how lbproxy adapts it.

Twisted's transports report when they are full and when they are empty again, but
not how much they hold.  They close when a send fails, and drop what had arrived
before.  And their layers copy interfaces that they do not provide.  So each kind
declares its facts here.  Private attributes of transports are used only here and
in L{lbproxy.streams.transports}.  For each such use
C{tests/streams/test_kinds.py} has a test that fails when a new Twisted makes it
wrong or needless.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from OpenSSL.SSL import RECEIVED_SHUTDOWN, Connection
from twisted.internet import tcp, unix
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOProtocol

from .kernel import connectionIsOver, undeliveredTo
from .stream import Facts, Mode

if TYPE_CHECKING:
    from .transports import TransportStream

_READ = 65536
_MOST_READ = 64 << 20
"""Most bytes to read from a socket that is lost: more than a kernel keeps for it."""

UNACKNOWLEDGED = 2 * 1460
"""
Bytes that a peer may have received and not acknowledged yet: it may acknowledge
only the second of two segments (RFC 1122, 4.2.3.2).
"""


class Kind:
    """
    A kind of transport; this one relies only on C{write} and C{loseConnection}.

    Each kind is one object for all transports of the kind.  The state of a single
    transport is kept in its stream.

    @ivar facts: What a transport of this kind can do.
    @ivar shakes: Whether it begins with a handshake, after which
        C{handshakeCompleted} is called.
    """

    facts = Facts()
    shakes = False

    def attach(self, stream: TransportStream, transport: Any) -> Facts:
        """
        Prepare a transport that has just been connected.

        @return: What it can do.
        """
        pauses = hasattr(transport, "pauseProducing")
        return Facts(pauses=pauses and hasattr(transport, "resumeProducing"))

    def detach(self, stream: TransportStream) -> None:
        """Undo what L{attach} did, when the transport is gone."""

    def end(self, transport: Any) -> None:
        """End the stream towards the peer, after all that was written."""
        transport.loseConnection()

    def transit(self, stream: TransportStream) -> tuple[int, int]:
        """As L{lbproxy.streams.stream.Stream.transit}."""
        return 0, stream.accepted

    def hopeless(self, stream: TransportStream) -> bool:
        """
        Whether the bytes in transit will never be delivered, since the peer has
        reset a connection that is not read any more.
        """
        return False

    def heardOut(self, stream: TransportStream) -> bool:
        """
        Whether a peer that was lost had ended its stream before, if this kind of
        transport does not report that by itself.
        """
        return False

    def delivered(self, stream: TransportStream) -> int:
        """As L{lbproxy.streams.stream.Stream.delivered}."""
        return self.transit(stream)[1]

    def tlsConnection(self, stream: TransportStream) -> Connection | None:
        """As L{lbproxy.streams.stream.Stream.tlsConnection}."""
        return None


class SocketKind(Kind):
    """One of Twisted's plain transports, on a socket."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def attach(self, stream: TransportStream, transport: Any) -> Facts:
        """
        Make the stream the transport's protocol, without a layer in between, and
        L{hook} it.
        """
        # Client endpoints put a wrapper in between.  It costs a call for each
        # chunk, and does not pass on half-closes to a protocol that also listens
        # for handshakes.
        transport.protocol = stream
        hook(stream, transport)
        return self.facts

    def detach(self, stream: TransportStream) -> None:
        """Undo the hooks."""
        unhook(stream)

    def end(self, transport: Any) -> None:
        """Half-close."""
        transport.loseWriteConnection()

    def hopeless(self, stream: TransportStream) -> bool:
        """Read the state of the TCP connection: the first byte of tcp_info."""
        descriptor = stream.descriptor
        if descriptor is None or not self.facts.resets:
            return False
        return connectionIsOver(descriptor.socket)

    def transit(self, stream: TransportStream) -> tuple[int, int]:
        """Count the bytes given to the kernel, less those that it has not delivered."""
        descriptor = stream.descriptor
        if descriptor is not None and not stream.deaf:
            queued = undelivered(descriptor)
            if stream.writeClosed and queued:
                queued -= 1  # The end of the stream counts as a byte.
            # On a UNIX socket the kernel counts memory, which is more.
            stream.taken = max(stream.taken, stream.sent - queued)
        return (0 if stream.deaf else stream.accepted - stream.taken), stream.taken


class TLSKind(SocketKind):
    """
    Twisted's TLS, over one of its plain transports.

    Twisted's TLS has C{loseWriteConnection} too, but that half-closes the TCP
    below without a close_notify; so a stream is ended by C{loseConnection}, which
    sends a close_notify and goes on reading until the peer's.
    """

    shakes = True

    def attach(self, stream: TransportStream, transport: Any) -> Facts:
        """L{hook} the stream to the socket below TLS."""
        below = lowest(transport)
        if not isinstance(below, tcp.Connection):
            return Facts(pauses=True)
        hook(stream, below)
        return self.facts

    def end(self, transport: Any) -> None:
        """Send a close_notify."""
        transport.loseConnection()

    def transit(self, stream: TransportStream) -> tuple[int, int]:
        """Count ciphertext, and note how much plaintext it stands for."""
        descriptor = stream.descriptor
        if descriptor is None:
            return 0, stream.taken
        if stream.deaf:
            return 0, stream.taken
        unsent = _buffered(descriptor)
        queued = undelivered(descriptor)
        stream.taken = max(stream.taken, stream.sent - queued)
        held = _heldByTLS(stream.transport)
        self._mark(stream, held, stream.sent + unsent)
        return held + unsent + queued, stream.taken

    def tlsConnection(self, stream: TransportStream) -> Connection | None:
        """The one that Twisted's TLS has."""
        transport = stream.transport
        found: Connection | None = None if transport is None else transport.getHandle()
        return found

    def heardOut(self, stream: TransportStream) -> bool:
        """Whether the peer's close_notify has come."""
        connection = self.tlsConnection(stream)
        return bool(connection and connection.get_shutdown() & RECEIVED_SHUTDOWN)

    def delivered(self, stream: TransportStream) -> int:
        """A lower bound: the plaintext of which all ciphertext is delivered."""
        self.transit(stream)
        return stream.deliveredPlain

    def _mark(self, stream: TransportStream, held: int, ciphertext: int) -> None:
        if stream.taken >= stream.markCipher:
            stream.deliveredPlain = stream.markPlain
            stream.markPlain, stream.markCipher = stream.accepted - held, ciphertext
            if stream.taken >= ciphertext:
                stream.deliveredPlain = stream.markPlain


def hook(stream: TransportStream, descriptor: Any) -> None:
    """
    Call the stream in place of a descriptor's own C{writeSomeData} and
    C{connectionLost}.

    Twisted closes a socket on which a send failed, and drops what had arrived
    before the reset, such as the early error answer of a backend that refused an
    upload.  And on every reactor, when a paused socket with something to send is
    lost, its unread input is dropped.
    """
    stream.descriptor = descriptor
    hooks = vars(descriptor)
    hooks["writeSomeData"] = stream.send
    hooks["connectionLost"] = stream.descriptorLost


def unhook(stream: TransportStream) -> None:
    """Undo L{hook}."""
    descriptor, stream.descriptor = stream.descriptor, None
    if descriptor is not None:
        hooks = vars(descriptor)
        hooks.pop("writeSomeData", None)
        hooks.pop("connectionLost", None)


class Found(Enum):
    """What follows the input that was left in a socket."""

    END = "the end of the peer's stream"
    RESET = "an error"
    NOTHING = "nothing yet"


def readOut(stream: TransportStream) -> Found:
    """
    Read the input that is left in a socket, before its end or its loss is passed
    on.

    @return: What followed it.  L{Found.END} means that the peer ended its stream
        only if no error of the socket has been read before.
    """
    descriptor = stream.descriptor
    read = 0
    while stream.mode is Mode.OPEN and read < _MOST_READ:
        try:
            data = descriptor.socket.recv(_READ)
        except (BlockingIOError, AttributeError):
            return Found.NOTHING
        except OSError:
            return Found.RESET
        if not data:
            return Found.END
        read += len(data)
        descriptor.protocol.dataReceived(data)
    return Found.NOTHING


def part(connector: Any) -> None:
    """
    Break the reference cycle of a connector and its lost transport.  Twisted
    leaves it, and only the cyclic garbage collector would free them.
    """
    connector.transport = None


def lowest(transport: Any) -> Any:
    """
    Find the transport that has the socket: the one below the layers (TLS) that
    Twisted wraps around it.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def undelivered(descriptor: Any) -> int:
    """L{undeliveredTo} the socket of a transport; 0 if it has none any more."""
    try:
        number = descriptor.fileno()
    except AttributeError:
        return 0
    return undeliveredTo(number)


def _buffered(descriptor: Any) -> int:
    """How many bytes a descriptor holds that it has not given to the kernel."""
    held = len(descriptor.dataBuffer) - descriptor.offset
    return int(held + descriptor._tempDataLen)


def _heldByTLS(transport: Any) -> int:
    """How many bytes of plaintext Twisted's TLS holds back."""
    held = sum(map(len, transport._appSendBuffer))
    aggregator = getattr(transport, "_aggregator", None)
    return held + sum(map(len, getattr(aggregator, "_buffer", ())))


_ALL = Facts(
    halfCloses=True, resets=True, pauses=True, tellsDeaf=True, tellsDelivery=True
)

TCP = SocketKind(_ALL)
UNIX = SocketKind(
    Facts(halfCloses=True, pauses=True, tellsDeaf=True, tellsDelivery=True)
)
TLS = TLSKind(Facts(resets=True, pauses=True, tellsDeaf=True, tellsDelivery=True))
OTHER = Kind()

KINDS: dict[type, Kind] = {
    tcp.Server: TCP,
    tcp.Client: TCP,
    unix.Server: UNIX,
    unix.Client: UNIX,
    TLSMemoryBIOProtocol: TLS,
    BufferingTLSTransport: TLS,
}


def declare(transports: type, kind: Kind) -> None:
    """
    Declare the kind of the transports of a class.  It does not hold for
    subclasses, which may do anything.
    """
    KINDS[transports] = kind


def kindOf(transport: object) -> Kind:
    """The kind of a transport; L{OTHER} unless its class was declared."""
    return KINDS.get(type(transport), OTHER)
