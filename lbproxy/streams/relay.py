"""
Join two streams: relay bytes both ways under back-pressure until the relay is over.

Each stream is the other's producer.  A stream buffers what it cannot send at
once, and pauses the other when its buffer is full.  So a relay holds at most what
one read brings plus one transport's buffer, each way.  A relay reads no clock and
closes no stream.  It is over when

  - both streams have ended (an end on one is passed on to the other at once);
  - without half-close, the first of them has;
  - one of them is lost, or is reset;
  - L{Relay.stop} is called, or as many bytes as L{Relay.stopAfter} asked for have
    been moved.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.python.failure import Failure

from .stream import Stream, Truncated


class Ending(StrEnum):
    """Why a relay is over."""

    CLIENT_ENDED = "the client ended its stream first"
    BACKEND_ENDED = "the backend ended its stream first"
    CLIENT_RESET = "the client was reset"
    BACKEND_RESET = "the backend was reset"
    COUNTED = "what was asked for has been moved"


class RelayOwner(Protocol):
    """The owner of a relay, called when one direction is over and when both are."""

    def relayHalfClosed(self, relay: Relay) -> None:
        """
        One direction is over, the other goes on: one side has ended its stream,
        or can be sent nothing any more.  May be called twice.
        """

    def relayOver(self, relay: Relay, ending: Ending, reason: Failure | None) -> None:
        """
        The relay is over.  Called once.  After L{Ending.COUNTED} the owner may go
        on using the streams; after all others it closes them at once.

        @param reason: The reason that a lost transport gave, if one was lost.
        """


class Relay:
    """
    Two joined streams; made by L{join}.

    A plain slotted class: there is one for each connection.

    @ivar first: Which stream has ended first, once one has; the relay will be
        over with this ending unless a stream is reset.
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

    def start(
        self,
        answered: Callable[[], object] | None = None,
        asked: Callable[[], object] | None = None,
    ) -> None:
        """
        Begin to relay.  What either side has sent so far goes first, and an end
        of stream that came before is passed on after it.

        @param answered: Called when the backend has sent its first byte.
        @param asked: Called when the client has sent its first byte.
        """
        client, backend = self._client, self._backend
        client.owner = backend.owner = self
        client.registerProducer(backend, True)
        backend.registerProducer(client, True)
        # Either may have been paused while it was held.  A stream that is full
        # now pauses the other again.
        if client.paused:
            client.resumeProducing()
        if backend.paused:
            backend.resumeProducing()
        if answered is None and self._counted is None:
            backend.flowTo(client)
        else:
            self._watchFlow(backend, client, answered)
        if asked is None and self._counted is None:
            client.flowTo(backend)
        else:
            self._watchFlow(client, backend, asked)
        if client.readEnded:
            self.streamEnded(client)
        if backend.readEnded:
            self.streamEnded(backend)
        if backend.deaf:
            # What it was sent before the relay could not be sent.
            self.streamDeaf(backend)

    def _watchFlow(
        self, source: Stream, sink: Stream, call: Callable[[], object] | None
    ) -> None:
        """Let bytes flow that are counted, or that something depends on."""
        receive = self._count if self._counted is source else sink.write
        if call is None:
            source.flow(receive)
            return

        def first(data: bytes) -> None:
            if self._counted is source:
                source.flow(receive)
            else:
                source.flowTo(sink)
            call()
            receive(data)

        source.flow(first)

    def stopAfter(self, source: Stream, length: int) -> None:
        """
        End the relay with L{Ending.COUNTED} once C{length} bytes have come from
        C{source}, which holds what follows them.  This is called before L{start}.

        @param length: In bytes, more than 0.
        """
        self._counted = source
        self._left = length

    def stop(self) -> None:
        """
        End the relay without calling its owner.  Both streams hold what arrives
        from now on.  They have no owner until one is set.
        """
        if self._owner is not None:
            self._owner = None
            for stream in (self._client, self._backend):
                stream.hold()
                stream.unregisterProducer()
                stream.owner = None

    # Called by the streams.

    def streamShakes(self, stream: Stream) -> None:
        """Nothing to do: both were ready before the relay began."""

    def streamReady(self, stream: Stream) -> None:
        """Nothing to do: both were ready before the relay began."""

    def streamHeld(self, stream: Stream) -> None:
        """Nothing to do: what arrives flows."""

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
        owner = self._owner
        if other.readEnded or stream.deaf or not self._halfClose:
            self._owner = None
            owner.relayOver(self, self.first, None)
        else:
            other.end()
            owner.relayHalfClosed(self)

    def streamDeaf(self, stream: Stream) -> None:
        """
        Stop reading the other side, since this one can be sent nothing any more.
        This side is still read: it may have sent an error answer.
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
        # A backend that has ended its stream was read to the end.  If it is reset
        # after that it only reads no more, as after a failed send.
        if stream is self._backend and stream.readEnded:
            orderly = reason.check(ConnectionClosed) is not None
        # After the other side has ended, a peer may leave out its close_notify.
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
        """Pass on what the counted side sends, up to the number of bytes asked for."""
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
    Join two streams that are both ready, and begin to relay.

    @param owner: Called when one direction is over and when both are.
    @param halfClose: Whether one direction goes on when the other has ended.
    """
    relay = Relay(client, backend, owner, halfClose)
    relay.start()
    return relay
