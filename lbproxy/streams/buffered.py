"""What all streams have in common: what is held of them, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from OpenSSL.SSL import Connection as TLSConnection

from .stream import (
    ABORTED,
    FINISHING,
    HOLD_LIMIT,
    LOST,
    OPEN,
    OVERRUN_LIMIT,
    RESETTING,
    Closer,
    Facts,
    Mode,
    Stream,
    StreamOwner,
)


class BufferedStream:
    """
    A stream without what carries it, which subclasses add.
    L{lbproxy.streams.stream.Stream} describes its methods.

    @ivar writeClosed: Whether the end of the stream has been given to the kernel.
    """

    transport: Any
    owner: StreamOwner | None
    facts: Facts
    mode: Mode
    readEnded: bool
    endAsked: bool
    writeClosed: bool
    deaf: bool
    paused: bool
    tellsHeld: bool
    received: int
    accepted: int
    _closer: Closer | None
    _held: bytes | bytearray
    _receive: Callable[[bytes], object] | None
    _discards: bool
    _overrun: bool
    _fed: bool

    if not TYPE_CHECKING:
        # Subclasses may have slots; mypy would look for all of them here.
        __slots__ = ()

    def tlsConnection(self) -> TLSConnection | None:
        """As L{Stream<lbproxy.streams.stream.Stream.tlsConnection>} has it."""
        return None

    # Subclasses do this, each in the way that costs least for what carries it.

    @property
    def descriptor(self) -> Any:
        """As L{Stream<lbproxy.streams.stream.Stream.descriptor>} has it."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.write>} has it."""
        raise NotImplementedError

    def pauseProducing(self) -> None:
        """Stop reading."""
        raise NotImplementedError

    def resumeProducing(self) -> None:
        """Go on reading."""
        raise NotImplementedError

    def closeIfThrough(self) -> bool:
        """As L{Stream<lbproxy.streams.stream.Stream.closeIfThrough>} has it."""
        raise NotImplementedError

    def transit(self) -> tuple[int, int]:
        """As L{Stream<lbproxy.streams.stream.Stream.transit>} has it."""
        raise NotImplementedError

    def delivered(self) -> int:
        """As L{Stream<lbproxy.streams.stream.Stream.delivered>} has it."""
        raise NotImplementedError

    def _cutOff(self) -> None:
        """Cut off at once.  The owner is called later, and not within this call."""
        raise NotImplementedError

    def registerProducer(self, producer: Any, streaming: bool = True) -> None:
        """Let C{producer} be paused while there is much to send."""
        raise NotImplementedError

    def unregisterProducer(self) -> None:
        """Undo L{registerProducer}."""
        raise NotImplementedError

    def end(self) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.end>} has it."""
        raise NotImplementedError

    def finish(self, closer: Closer) -> bool:
        """As L{Stream<lbproxy.streams.stream.Stream.finish>} has it."""
        raise NotImplementedError

    def giveUp(self) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.giveUp>} has it."""
        raise NotImplementedError

    # What is read.

    def peek(self, limit: int) -> bytes:
        """As L{Stream<lbproxy.streams.stream.Stream.peek>} has it."""
        return bytes(self._held[:limit])

    def take(self, length: int) -> bytes:
        """As L{Stream<lbproxy.streams.stream.Stream.take>} has it."""
        taken, self._held = self._held[:length], self._held[length:]
        return bytes(taken)

    def flow(self, receive: Callable[[bytes], object]) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.flow>} has it."""
        self._receive = receive
        held, self._held = self._held, b""
        if held:
            receive(bytes(held))

    def flowTo(self, sink: Stream) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.flowTo>} has it."""
        self.flow(sink.write)

    def hold(self, returned: bytes = b"") -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.hold>} has it."""
        self._receive = None
        if returned:
            self._held = bytearray(returned + self._held)

    def stopProducing(self) -> None:
        """Nothing to do: its consumer is gone, and reports that to its own owner."""

    def _keep(self, data: bytes) -> None:
        """Hold what cannot be passed on now, or discard it if it never will be."""
        if self.mode is FINISHING and self._closer is not None:
            self._discards = True
            self._closer.pace.spend(self, len(data))
        elif self.mode is OPEN:
            if self._held:
                self._held += data
            else:
                self._held = bytearray(data)
            held = len(self._held)
            if held >= HOLD_LIMIT:
                self.pauseProducing()
            if held >= OVERRUN_LIMIT and not self.facts.pauses:
                self._overrun = True
                self.abort()
            elif self.tellsHeld and self.owner is not None:
                self.owner.streamHeld(self)

    # How it ends.

    def reset(self, closer: Closer) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.reset>} has it."""
        if self.mode is OPEN:
            self._close(RESETTING, closer)
            self.pauseProducing()
            self.closeIfThrough()

    def abort(self) -> None:
        """As L{Stream<lbproxy.streams.stream.Stream.abort>} has it."""
        if self.mode not in (ABORTED, LOST):
            self._close(ABORTED, self._closer)
            self._cutOff()

    def _close(self, mode: Mode, closer: Closer | None) -> None:
        self.mode = mode
        self._closer = closer
        self._held = b""
        self._receive = None
        if self._fed:
            self.unregisterProducer()
