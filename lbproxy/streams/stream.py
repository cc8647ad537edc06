"""
The interface of a stream: one end of a connection, whatever carries it.

A stream is in one of these modes, and never goes back to an earlier one::

    open      --> finishing, resetting, aborted, lost
    finishing --> aborted, lost
    resetting --> aborted, lost
    aborted   --> lost

While it is open, what arrives is I{held} in one bounded buffer until the stream is
told to I{flow}.  Once it is finishing, what still arrives is discarded, at a bounded
pace; once it is resetting or aborted, nothing is read any more.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from OpenSSL.SSL import Connection as TLSConnection

    from .pace import Pace

HOLD_LIMIT = 65536
"""Bytes that are held of a stream; then its reading is paused."""

OVERRUN_LIMIT = 1 << 20
"""
Bytes that a transport which cannot be paused may bring while it is paused; then
it is aborted, since all of them have to be kept in memory.
"""


class Mode(Enum):
    """The modes of a stream, from open to lost."""

    OPEN = "open"
    FINISHING = "finishing"
    RESETTING = "resetting"
    ABORTED = "aborted"
    LOST = "lost"


OPEN, FINISHING, RESETTING, ABORTED, LOST = Mode
"""By themselves: to look one up in its class takes 65 ns more (Python 3.11)."""


@frozen
class Facts:
    """
    What one kind of transport can do and report.  What it cannot report is left
    to C{idle-timeout}.

    @ivar halfCloses: It can end its own direction and go on being read, and
        reports when its peer has done so.
    @ivar resets: It can be cut off so that its peer notices.
    @ivar pauses: Its reading can be paused.
    @ivar tellsDeaf: It reports when nothing can be sent to it any more.
    @ivar tellsDelivery: It reports how many bytes its peer has not taken yet.
    """

    halfCloses: bool = False
    resets: bool = False
    pauses: bool = False
    tellsDeaf: bool = False
    tellsDelivery: bool = False


class Truncated(ConnectionLost):
    """The peer closed without the close_notify that ends TLS."""


class Unheard(ConnectionLost):
    """The peer closed before it had sent a byte of its TLS handshake."""


class Overrun(ConnectionLost):
    """A transport that cannot be paused brought more than can be kept."""


class GivenUp(ConnectionLost):
    """The transport was aborted and never reported that it was gone."""


class Closer(Protocol):
    """The watch that limits how long a stream may take to finish or to reset."""

    pace: Pace

    def lookSoon(self) -> None:
        """Call L{Stream.closeIfThrough} within milliseconds."""


class Stream(Protocol):
    """
    One end of a connection.

    @ivar owner: Called with its events; may be replaced while it is open.
    @ivar transport: What carries it, for its addresses; L{None} once it is lost.
    @ivar facts: What its transport can do.
    @ivar mode: Its present mode.
    @ivar received: Bytes that arrived; without those that it holds in the kernel.
    @ivar accepted: Bytes that were written to it before it was deaf.
    @ivar readEnded: Whether the peer has ended its stream.
    @ivar endAsked: Whether the end of the stream towards the peer was asked for.
    @ivar deaf: Whether it can be sent nothing any more.
    @ivar paused: Whether its reading is paused.
    @ivar tellsHeld: Whether its owner is called when more is held; off at first.
    """

    owner: StreamOwner | None
    transport: Any
    facts: Facts
    mode: Mode
    received: int
    accepted: int
    readEnded: bool
    endAsked: bool
    deaf: bool
    paused: bool
    tellsHeld: bool

    @property
    def descriptor(self) -> Any:
        """What has the socket, for its options; L{None} if there is none."""

    def tlsConnection(self) -> TLSConnection | None:
        """
        The TLS connection that decrypts what is read; L{None} without TLS, and once it
        is lost.
        """

    def peek(self, limit: int) -> bytes:
        """
        Look at the first bytes that are held, without taking them.

        @param limit: How many at most.
        """

    def take(self, length: int) -> bytes:
        """
        Take the first bytes that are held.

        @param length: How many; no more than are held.
        """

    def flow(self, receive: Callable[[bytes], object]) -> None:
        """
        Pass on what is held, in order, now or soon, and then all that arrives.

        @param receive: Called with each piece, never empty.
        """

    def flowTo(self, sink: Stream) -> None:
        """Flow to the C{write} of another stream, whose producer this one is."""

    def hold(self, returned: bytes = b"") -> None:
        """
        Hold what arrives from now on.

        @param returned: What was passed on and not used; held before the rest.
        """

    def write(self, data: bytes) -> None:
        """Send some bytes; dropped, and not counted, once it is deaf or lost."""

    def end(self) -> None:
        """
        End the stream towards the peer, after all that was written.  A
        transport that cannot half-close is closed.
        """

    def finish(self, closer: Closer) -> bool:
        """
        Close in good order: deliver what was written, end the stream, discard
        what still comes until the peer's own end, then close.  If it were closed
        with input unread, the kernel would send a reset, which can destroy the
        last part of an answer.  A deaf stream is reset instead: the peer must not
        take what it has got for the whole.

        @param closer: The watch that ends it if its peer does not.
        @return: Whether there was nothing to wait for, so that it is lost by now; then
            its owner is not called.
        """

    def reset(self, closer: Closer) -> None:
        """
        Cut off once all that was written has been delivered, so that the peer
        does not take what it got for the whole.  It is not read any more.

        @param closer: The watch that ends it if its peer takes nothing.
        """

    def abort(self) -> None:
        """Cut off at once; what was not sent is dropped."""

    def giveUp(self) -> None:
        """
        Count an aborted stream as lost although its transport has not reported
        that.
        """

    def closeIfThrough(self) -> bool:
        """
        Close if there is nothing left to wait for: both directions have ended and
        all is delivered, or a reset's bytes are delivered.

        @return: Whether it did.
        """

    def transit(self) -> tuple[int, int]:
        """
        How many bytes are in transit and delivered, counted where they are sent
        (on TLS, as ciphertext).

        @return: How many bytes were not delivered yet, 0 if the transport does
            not report that; and how many were, a number that only grows.
        """

    def delivered(self) -> int:
        """
        How many of the bytes written have reached the peer's kernel: a lower
        bound that only grows, and C{accepted} in the end.
        """

    def pauseProducing(self) -> None:
        """Stop reading."""

    def resumeProducing(self) -> None:
        """Go on reading."""

    def stopProducing(self) -> None:
        """Nothing to do: its consumer is gone, and reports that to its own owner."""

    def registerProducer(self, producer: Stream, streaming: bool) -> None:
        """
        Let C{producer} be paused while there is much to send, and resumed when
        it was sent.

        @param streaming: True; a stream is a push producer.
        """

    def unregisterProducer(self) -> None:
        """Undo L{registerProducer}; no transport closes while it has one."""


class StreamOwner(Protocol):
    """The owner of a stream, called with its events."""

    def streamShakes(self, stream: Stream) -> None:
        """The transport is connected and begins its TLS handshake."""

    def streamReady(self, stream: Stream) -> None:
        """The stream can be read and written."""

    def streamHeld(self, stream: Stream) -> None:
        """
        More has arrived while the stream is held, and can be looked at.  Called only
        while C{tellsHeld} is set.
        """

    def streamEnded(self, stream: Stream) -> None:
        """The peer has ended its stream while it was open; it may still read."""

    def streamDeaf(self, stream: Stream) -> None:
        """
        Nothing can be sent to the stream any more, although it is open and may
        still be read.  Called once.
        """

    def streamLost(self, stream: Stream, reason: Failure) -> None:
        """
        The transport is gone.  Called once, last.

        @param reason: L{ConnectionDone<twisted.internet.error.ConnectionDone>}
            for an orderly end, L{Truncated}, or else a reset.
        """
