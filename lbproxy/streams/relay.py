"""
Join two streams: bytes both ways under back-pressure, until it is over.

Each stream is the other's producer.  What one cannot send at once it buffers,
and past its limit it pauses the other, so a relay holds at most what one read
brings plus one transport's buffer, each way.  A relay moves and counts; it reads
no clock and closes nothing.  It is over when

  - both streams have ended (an end on one is passed on to the other at once);
  - without half-close, the first of them has;
  - one of them is lost, or is reset;
  - it is told to stop, or has moved as many bytes as it was asked to.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.python.failure import Failure

from .stream import Stream, Truncated


class Ending(Enum):
    """Why a relay is over."""

    CLIENT_ENDED = "the client ended its stream first"
    BACKEND_ENDED = "the backend ended its stream first"
    CLIENT_RESET = "the client was reset"
    BACKEND_RESET = "the backend was reset"
    COUNTED = "what was asked for has been moved"


class RelayOwner(Protocol):
    """Told how a relay goes on."""

    def relayHalfClosed(self, relay: Relay) -> None:
        """
        One direction is over, the other goes on: one side has ended its stream,
        or can be sent nothing any more.  May be told twice.
        """

    def relayOver(self, relay: Relay, ending: Ending, reason: Failure | None) -> None:
        """
        Nothing is moved any more; told once.  The streams are the owner's again:
        to be used on, if it was over with L{Ending.COUNTED}, else to be closed
        at once.

        @param reason: What the transport said that was lost, if one was.
        """


class Relay:
    """
    Two joined streams; made by L{join}.

    A plain slotted class: there is one for each connection.

    @ivar first: What it will be over with: the end of the stream that came
        first, once one has.
    """

    __slots__ = (
        "_backend",
        "_client",
        "_counted",
        "_halfClose",
        "_left",
        "_owner",
        "first",
    )

    def __init__(
        self, client: Stream, backend: Stream, owner: RelayOwner, halfClose: bool
    ) -> None:
        self._client = client
        self._backend = backend
        self._owner: RelayOwner | None = owner
        self._halfClose = halfClose
        self._counted: Stream | None = None
        self._left = 0
        self.first: Ending | None = None

    def start(self) -> None:
        """
        Let bytes flow: what either side has said so far goes first, and an end
        of stream that came before is passed on after it.
        """
        client, backend = self._client, self._backend
        client.owner = backend.owner = self
        client.registerProducer(backend, True)
        backend.registerProducer(client, True)
        # Either may have been paused while it was held; whoever is full now
        # pauses the other again.
        if client.paused:
            client.resumeProducing()
        if backend.paused:
            backend.resumeProducing()
        backend.flow(self._count if self._counted is backend else client.write)
        client.flow(self._count if self._counted is client else backend.write)
        for stream in (client, backend):
            if stream.readEnded:
                self.streamEnded(stream)

    def stopAfter(self, source: Stream, length: int) -> None:
        """
        Be over, with L{Ending.COUNTED}, once so many bytes have come from one
        side; what comes behind them stays with that side.  Before L{start}.

        @param length: In bytes, more than 0.
        """
        self._counted = source
        self._left = length

    def stop(self) -> None:
        """
        Move nothing any more, and tell nothing.  Both streams hold what comes
        from now on; their owner is still to be set.
        """
        if self._owner is not None:
            self._owner = None
            for stream in (self._client, self._backend):
                stream.hold()
                stream.unregisterProducer()
                stream.owner = None

    # What the streams tell.

    def streamShakes(self, stream: Stream) -> None:
        """Nothing new: both were ready when they were joined."""

    def streamReady(self, stream: Stream) -> None:
        """Nothing new: both were ready when they were joined."""

    def streamEnded(self, stream: Stream) -> None:
        """Pass the end of one side's stream on."""
        if self._owner is None:
            return
        if stream is self._client:
            other, ended = self._backend, Ending.CLIENT_ENDED
        else:
            other, ended = self._client, Ending.BACKEND_ENDED
        if self.first is None:
            self.first = ended
        if other.readEnded or stream.deaf or not self._halfClose:
            self._over(self.first)
        else:
            other.end()
            self._owner.relayHalfClosed(self)

    def streamDeaf(self, stream: Stream) -> None:
        """
        Read no more for a side that can be sent nothing; it may still have
        something to say, such as why.
        """
        if self._owner is None:
            return
        if stream.readEnded and self.first is not None:
            self._over(self.first)
        else:
            stream.unregisterProducer()
            self._other(stream).pauseProducing()
            self._owner.relayHalfClosed(self)

    def streamLost(self, stream: Stream, reason: Failure) -> None:
        """One side is gone: in good order, or reset."""
        orderly = reason.check(ConnectionDone) is not None
        # A backend that has ended its stream was heard out; that it is reset then
        # says only that it takes no more, which a failed send would say as well.
        if stream is self._backend and stream.readEnded:
            orderly = reason.check(ConnectionClosed) is not None
        # A peer that need not be told anything more may skip its close_notify.
        ended = self.first is not None and self.first is not self._ended(stream)
        if not orderly and ended:
            orderly = reason.check(Truncated) is not None
        if orderly:
            self._over(self.first or self._ended(stream), reason)
        elif stream is self._client:
            self._over(Ending.CLIENT_RESET, reason)
        else:
            self._over(Ending.BACKEND_RESET, reason)

    def _count(self, data: bytes) -> None:
        """Pass on what the counted side says, as far as it was asked for."""
        source = self._counted
        assert source is not None
        sink = self._other(source)
        if len(data) < self._left:
            self._left -= len(data)
            sink.write(data)
            return
        last, rest = data[: self._left], data[self._left :]
        self._left = 0
        sink.write(last)
        owner = self._owner
        self.stop()
        source.hold(rest)
        if owner is not None:
            owner.relayOver(self, Ending.COUNTED, None)

    def _over(self, ending: Ending, reason: Failure | None = None) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.relayOver(self, ending, reason)

    def _ended(self, stream: Stream) -> Ending:
        return Ending.CLIENT_ENDED if stream is self._client else Ending.BACKEND_ENDED

    def _other(self, stream: Stream) -> Stream:
        return self._backend if stream is self._client else self._client


def join(
    client: Stream, backend: Stream, owner: RelayOwner, halfClose: bool = True
) -> Relay:
    """
    Join two streams that are both ready, and let bytes flow.

    @param owner: Told how it goes on.
    @param halfClose: Whether one direction goes on when the other has ended.
    """
    relay = Relay(client, backend, owner, halfClose)
    relay.start()
    return relay
