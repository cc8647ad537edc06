"""
One side of a journey: the protocol on a client's or a backend's transport.

It is born I{holding}: what arrives waits in one bounded buffer until it is
known where it goes.  Then it is I{taken} by a relay; and at its end it may be
I{finished} (flush, end of stream, wait for the peer's) or I{reset} (flush, wait
for delivery, RST), after which whatever still arrives is discarded.

What Twisted's transports can and cannot do at the end of a stream is known
here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from typing import Protocol as Structural

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    INegotiated,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from .backlog import lowest, undelivered, unsent

if TYPE_CHECKING:
    from .deadlines import Deadline, Deadlines

HOLD_LIMIT = 65536
"""Bytes that are read from a side that waits; then its reading is paused."""

_FIRST_LOOK = 0.002
_LAST_LOOK = 0.25
"""
Seconds between looks at a closing side's backlog: at first hardly longer than
a loopback round trip, then doubled up to what a person would not notice.
"""


class SideOwner(Structural):
    """Whoever is told of what happens on a side, other than its bytes."""

    def sideReady(self, side: Side) -> None:
        """The side can be read and written: its handshake, if any, is done."""

    def sideEnded(self, side: Side) -> None:
        """The peer has ended its stream; it may still listen."""

    def sideLost(self, side: Side, reason: Failure) -> None:
        """
        The transport is gone; told once, last.

        @param reason: L{ConnectionDone} for an orderly end, else a reset.
        """


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class Side(Protocol):
    """
    One side of a journey.

    @ivar owner: Who is told of its events; may be replaced as it travels on.
    @ivar take: Where bytes go as they arrive.
    @ivar received: How many bytes arrived.
    @ivar sent: How many bytes were written.
    @ivar readEnded: Whether the peer has ended its stream.
    @ivar writeEnded: Whether the end of the stream towards the peer was asked
        for.
    @ivar writeClosed: Whether it has been sent.
    @ivar lost: Whether the transport is gone.
    @ivar closing: Whether it was told to finish, to reset or to abort.
    @ivar cutOff: Whether it was closed with something left that it would not
        take.
    """

    transport: Any

    readEnded = False
    writeEnded = False
    writeClosed = False
    lost = False
    closing = False
    cutOff = False
    _halfCloses = False
    _paused = False
    _sendFailed = False
    _lowest: object = None
    _look: Deadline | None = None

    def __init__(self, owner: SideOwner) -> None:
        self.owner = owner
        self.received = 0
        self.sent = 0
        self.held: list[bytes] = []
        self._heldLength = 0
        self.take: Callable[[bytes], None] = self._hold

    # What the transport tells.

    def connectionMade(self) -> None:
        """The transport is there; over TLS, its handshake is still to come."""
        self._lowest = lowest(self.transport)
        secure = INegotiated.providedBy(self.transport)
        # Twisted's TLS has the method too, but it half-closes the TCP below
        # without a close_notify.
        self._halfCloses = not secure and ITCPTransport.providedBy(self.transport)
        if not secure:
            if getattr(self.transport, "protocol", self) is not self:
                # Client endpoints put a wrapper in between that costs a call
                # for each chunk, and that forgets half-close for a protocol
                # which also listens for handshakes (seen with Twisted 26.10).
                self.transport.protocol = self
            if isinstance(self.transport, FileDescriptor):
                self._surviveFailedSends(self.transport)
            self.owner.sideReady(self)

    def handshakeCompleted(self) -> None:
        """TLS is established."""
        self.owner.sideReady(self)

    def dataReceived(self, data: bytes) -> None:
        """Count what arrived and hand it on."""
        self.received += len(data)
        self.take(data)

    def readConnectionLost(self) -> None:
        """The peer has ended its stream."""
        if self._sendFailed:
            # The failed send took the socket's error with it; what looks like
            # an end of stream is the end of what came before the reset.
            self._cut()
            return
        self.readEnded = True
        if self.closing:
            self._closeIfThrough()
        else:
            self.owner.sideEnded(self)
            self._closeIfThrough()

    def writeConnectionLost(self) -> None:
        """The end of the stream towards the peer has been sent."""
        self.writeClosed = True
        self._closeIfThrough()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone."""
        self.lost = True
        if self._look is not None:
            self._look.cancel()
            self._look = None
        self.take = _discard
        if isinstance(self._lowest, FileDescriptor):
            vars(self._lowest).pop("writeSomeData", None)
        if self._sendFailed and reason.check(ConnectionDone) is not None:
            reason = Failure(ConnectionLost())
        self.owner.sideLost(self, reason)

    # What the owner asks for, while bytes flow.

    def write(self, data: bytes) -> None:
        """Send some bytes, or drop them if the side is gone."""
        self.sent += len(data)
        self.transport.write(data)

    def pause(self) -> None:
        """Stop reading."""
        if not self._paused:
            self._paused = True
            if not self.readEnded and not self.lost:
                self.transport.pauseProducing()

    def resume(self) -> None:
        """Go on reading."""
        if self._paused:
            self._paused = False
            # A stream that has ended would be found at its end again.
            if not self.readEnded and not self.lost:
                self.transport.resumeProducing()

    def feed(self, producer: IPushProducer) -> None:
        """Let something else produce what is written here, and be paused."""
        self.transport.registerProducer(producer, True)

    def starve(self) -> None:
        """Undo L{feed}; no transport closes while something feeds it."""
        if not self.lost:
            self.transport.unregisterProducer()

    def release(self, take: Callable[[bytes], None]) -> None:
        """
        Hand on what is held, in order, and all that arrives from now on.

        @param take: Where it goes.
        """
        held, self.held = self.held, []
        self._heldLength = 0
        self.take = take
        for data in held:
            self.take(data)

    def backlog(self) -> int:
        """
        How many bytes were written and have not reached the peer, as far as
        this machine can tell; over TLS, counted as they are sent.
        """
        if self.lost:
            return 0
        return unsent(self._lowest) + undelivered(self._lowest)

    # How it ends.

    def endWriting(self) -> None:
        """
        Pass on an end of stream, after all that was written.

        Over TLS this is a close_notify, after which the peer may still be
        heard.  A transport that knows no half-close is closed.
        """
        if self.writeEnded or self.lost:
            return
        self.writeEnded = True
        if self._halfCloses:
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def finish(self, deadlines: Deadlines, timeout: float) -> None:
        """
        Close in good order: send what was written and the end of the stream,
        discard what still comes until the peer's own end, then close.  To
        close with input unread would be sent as a reset.

        @param timeout: Seconds without a byte accepted after which the peer is
            cut off.
        """
        if not self._beginClosing():
            return
        self.resume()
        self.endWriting()
        if not self._closeIfThrough():
            _Closing(self, deadlines, timeout, untilDelivered=False)

    def reset(self, deadlines: Deadlines, timeout: float) -> None:
        """
        Cut off, after all that was written has reached the peer: what is sent
        is a prefix, and the peer is told that it is no more than that.

        @param timeout: Seconds without a byte accepted after which waiting for
            delivery ends.
        """
        if self._beginClosing():
            # What it still says changes nothing, and to read it would let a peer
            # that sends for ever keep this process busy until the deadline.
            self.pause()
            _Closing(self, deadlines, timeout, untilDelivered=True)

    def abort(self) -> None:
        """Cut off at once; what was not sent is dropped."""
        if not self.lost:
            self.closing = True
            self._cut()

    def _cut(self) -> None:
        self.take = _discard
        abort = getattr(self.transport, "abortConnection", None)
        if abort is None:
            self.transport.loseConnection()
        else:
            abort()

    def _beginClosing(self) -> bool:
        if self.lost or self.closing:
            return False
        self.closing = True
        self.held.clear()
        self.take = _discard
        return True

    def _closeIfThrough(self) -> bool:
        """Close the transport once both its streams have ended."""
        through = self.readEnded and self.writeClosed and not self.lost
        if through:
            self.transport.loseConnection()
        return through

    def _hold(self, data: bytes) -> None:
        self.held.append(data)
        self._heldLength += len(data)
        if self._heldLength >= HOLD_LIMIT:
            self.pause()

    def _surviveFailedSends(self, descriptor: FileDescriptor) -> None:
        """
        Let a send that fails end only what is sent.

        Twisted closes a socket on which a send failed, and with it goes what
        had arrived before the reset: the early error answer of a backend that
        did not want the rest of an upload.  So a failed send is kept from the
        transport as long as there may be something to read, and what is still
        written then goes nowhere.
        """
        send = descriptor.writeSomeData

        def writeSomeData(data: bytes) -> int | BaseException:
            sent = send(data)
            if isinstance(sent, int) or self.readEnded:
                return sent
            self._sendFailed = True
            return len(data)

        vars(descriptor)["writeSomeData"] = writeSomeData


class _Closing:
    """
    Watches a side that closes, so that no peer can keep it from closing.

    The deadline starts again with each byte that the peer accepts; what the
    peer sends meanwhile is discarded and earns it no time.
    """

    __slots__ = (
        "_backlog",
        "_deadlines",
        "_due",
        "_pause",
        "_side",
        "_timeout",
        "_untilDelivered",
    )

    def __init__(
        self, side: Side, deadlines: Deadlines, timeout: float, *, untilDelivered: bool
    ) -> None:
        self._side = side
        self._deadlines = deadlines
        self._timeout = timeout
        self._untilDelivered = untilDelivered
        self._pause = _FIRST_LOOK
        # Nothing measured yet: only the second look can find it empty twice.
        self._backlog = (1, 1)
        self._due = deadlines.seconds() + timeout
        self._lookLater()

    def _measure(self) -> tuple[int, int]:
        lowest = self._side._lowest
        return unsent(lowest), undelivered(lowest)

    def _lookLater(self) -> None:
        remaining = max(0.0, self._due - self._deadlines.seconds())
        self._side._look = self._deadlines.after(
            min(self._pause, remaining), self._look
        )
        self._pause = min(self._pause * 2, _LAST_LOOK)

    def _look(self) -> None:
        before, self._backlog = self._backlog, self._measure()
        now = self._deadlines.seconds()
        if self._backlog != before:
            self._due = now + self._timeout
        # Empty twice in a row: what was written just before the first look may
        # not have been offered to the kernel until after it.
        delivered = not any(before) and not any(self._backlog)
        if now >= self._due:
            self._side.cutOff = self._backlog[0] > 0
            self._side.abort()
        elif self._untilDelivered and delivered:
            self._side.abort()
        else:
            self._lookLater()


def _discard(data: bytes) -> None:
    """Where bytes go that nobody can take any more."""
