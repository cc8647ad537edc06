"""A stream that speaks TLS on a socket of a L{SocketLoop}."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from .kernel import acknowledgedBy, undeliveredTo
from .socketloop import ENDS, ERR, OUT
from .socketstreams import SocketStream
from .stream import FINISHING, OPEN, Closer, Facts, StreamOwner, Truncated, Unheard
from .tlssockets import BrokenTLSError, CutOffError, TLSSocket

if TYPE_CHECKING:
    from .socketloop import SocketLoop

_FACTS = Facts(
    halfCloses=True, resets=True, pauses=True, tellsDeaf=True, tellsDelivery=True
)
"""
A close_notify ends one direction (RFC 8446, 6.1).  Peers that speak TLS 1.2 may close
on one; OpenSSL leaves that to the program.
"""


class TLSStream(SocketStream):
    """
    One end of a connection, on a connected socket, within TLS.

    L{begin} begins the handshake; the owner is told when it is done.  Its steps come
    after all that other connections do in a turn.

    @ivar tls: The state of TLS.
    """

    __slots__ = ("_deliveredPlain", "_endWaits", "_isBroken", "_shakes", "tls")

    isPlain = False
    # A close_notify is 24 bytes at least and 64 at most, besides the FIN.
    endLength = 65

    def __init__(
        self,
        owner: StreamOwner | None,
        opened: socket.SocketType,
        loop: SocketLoop,
        connection: SSL.Connection,
    ) -> None:
        """
        @param connection: On no socket.  It has a side to play, and has not begun.
        """
        super().__init__(owner, opened, loop)
        self.tls = connection
        self.opened: Any = TLSSocket(opened, connection, self._endIsNext)
        self.facts = _FACTS
        # Its end comes among its bytes, so that they have to be read while it is held.
        self._announced = True
        self._shakes = True
        self._endWaits = self._isBroken = False
        self._deliveredPlain = 0

    def begin(self, preface: bytes = b"") -> None:
        """
        Begin the handshake.

        @param preface: What goes first, before TLS.
        """
        assert self.owner is not None
        self.opened.out = preface
        self.owner.streamShakes(self)
        if self.opened is not None and not self.paused:
            self._shake()

    def resumeProducing(self) -> None:
        """Go on with the handshake, or reading."""
        if self._shakes and self.mode is OPEN:
            self.paused = False
            self.loop.next(self)
        else:
            super().resumeProducing()

    def _shake(self) -> None:
        """Go on with the handshake as far as that is possible."""
        try:
            if not self.opened.shake():
                return
        except Exception as error:
            # OpenSSL's, the socket's, or that of whoever verifies the certificate.
            self._handshakeFailed(error)
            return
        self._shakes = False
        self.readable = True
        if self.owner is not None:
            self.owner.streamReady(self)
        if self.opened is not None:
            self.loop.next(self)

    def _handshakeFailed(self, error: Exception) -> None:
        """Be lost, after the alert that tells the peer why."""
        with suppress(OSError):
            self.opened.flush()
            self.opened.raw.shutdown(socket.SHUT_WR)
            # Closed with input unread, it would be reset, which can destroy the alert.
            self.opened.raw.recv(65536, socket.MSG_DONTWAIT)
        if isinstance(error, CutOffError) and not self.opened.isHeard:
            error = Unheard()
        elif isinstance(error, OSError):
            error = ConnectionLost()
        self._shut(reset=False)
        self._lose(Failure(error))

    def socketEvent(self, events: int) -> None:
        """Go on with the handshake; or send, and read, or report that it is gone."""
        if self._shakes:
            if not self.paused:
                # A key operation takes as long as hundreds of messages.
                self.loop.goOn(self)
            elif events & ERR:
                self._handshakeFailed(ConnectionLost())
            return
        if events & (OUT | ENDS) and self.opened.out:
            try:
                self.opened.flush()
            except OSError as error:
                self.sendFailed(error)
            if self._endWaits:
                self._shutWrite()
            if self.opened is None:
                return
        super().socketEvent(events)

    def socketTurn(self) -> None:
        """Go on with the handshake or reading, or report that it is gone."""
        if not self._shakes or self.opened is None:
            super().socketTurn()
        elif not self.paused:
            self._shake()

    def _endIsNext(self) -> None:
        """A read has found the end, or an error, behind what it returns."""
        self.toTheEnd = self._announced = True

    def sendFailed(self, error: OSError) -> None:
        """Send nothing after a failed send, or the peer would get bytes after a gap."""
        super().sendFailed(error)
        # An end within TLS is the peer's own, whatever has become of the socket.
        self._isBroken, self._dead = self._isBroken or self._dead, False

    def readFailed(self, error: OSError) -> None:
        """A read has failed: be lost, and tell a missing close_notify from a reset."""
        isCut = isinstance(error, CutOffError) and not self._isBroken
        if isCut and self.mode is FINISHING:
            self.endFound()  # It has been sent a close_notify, and need not answer.
            return
        if isinstance(error, BrokenTLSError):
            with suppress(OSError):
                self.opened.flush()  # An alert.
            self._lose(Failure(error.why))
        else:
            self._lose(Failure(Truncated() if isCut else ConnectionLost()))

    def peek(self, limit: int) -> bytes:
        """As L{Stream<lbproxy.streams.stream.Stream.peek>} has it."""
        return bytes(self._held[:limit])

    def transit(self) -> tuple[int, int]:
        """
        As L{Stream<lbproxy.streams.stream.Stream.transit>} has it.  Both are counted
        as ciphertext, whose progress does not depend on the size of records.
        """
        opened = self.opened
        if opened is None or self.deaf:
            return 0, self.taken
        queued = self._queued()
        self.taken = max(self.taken, acknowledgedBy(opened.raw) or self.sent - queued)
        return queued + len(self.unsent), self.taken

    def _queued(self) -> int:
        """How much ciphertext was not delivered yet; a close_notify does not count."""
        queued = undeliveredTo(self.opened.fileno())
        if self.writeClosed and queued <= self.endLength:
            queued = 0
        return queued + len(self.opened.out)

    def delivered(self) -> int:
        """As L{Stream<lbproxy.streams.stream.Stream.delivered>} has it."""
        if self.opened is not None and not self.deaf:
            # A byte takes more than one, encrypted.
            lower = self.sent - self._queued()
            self._deliveredPlain = max(self._deliveredPlain, lower)
        return self._deliveredPlain

    def _shutWrite(self) -> None:
        if self.opened is not None and not self.writeClosed:
            try:
                if not self._endWaits:
                    self.opened.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # It is reset, which the next read finds.
            self._endWaits = bool(self.opened.out)
            if self._endWaits:
                return
            self.writeClosed = True
            if self.mode is FINISHING:
                self._shutBelow()
            if self.readEnded:
                self.closeIfThrough()

    def finish(self, closer: Closer) -> bool:
        """As L{Stream<lbproxy.streams.stream.Stream.finish>} has it."""
        isLost = False
        if self.mode is OPEN and not self.deaf:
            self.end()
        if self.mode is OPEN and self.opened.out and not self.deaf:
            self._linger(closer)
        else:
            isLost = super().finish(closer)
        if not isLost and self.writeClosed:
            self._shutBelow()
        return isLost

    def _shutBelow(self) -> None:
        """End the stream below TLS, too: some peers wait for that before they close."""
        if self.opened is not None:
            with suppress(OSError):
                self.opened.raw.shutdown(socket.SHUT_WR)

    def tlsConnection(self) -> SSL.Connection:
        """As L{Stream<lbproxy.streams.stream.Stream.tlsConnection>} has it."""
        return self.tls


def securedOver(
    stream: SocketStream, owner: StreamOwner, connection: SSL.Connection
) -> TLSStream:
    """
    Speak TLS on the socket of a stream from now on.

    @param stream: It is held, and of no use any more.
    @param connection: On no socket.  It has a side to play, and has not begun.
    @return: The new stream, whose handshake has not begun.
    """
    opened, loop = stream.opened, stream.loop
    assert opened is not None
    before = stream.received
    held = stream.leave()
    secured = TLSStream(owner, opened, loop, connection)
    loop.replace(opened.fileno(), secured)
    secured.received = before - len(held)
    if held:
        secured.opened.hear(held)
    return secured
