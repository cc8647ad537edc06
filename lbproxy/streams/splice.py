"""
Moves bytes directly from one socket of a L{SocketLoop} to another.

What one read brings is sent on at once, from one buffer that all connections share.
Once several reads in a row have filled it, the direction is bulk: then C{splice(2)}
moves the bytes through a pipe, without their being copied to this process and back.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from twisted.internet.error import ConnectionLost

from .pipes import Pipe
from .socketkinds import TURN_BYTES

if TYPE_CHECKING:
    from typing import Any

BUFFER = 65536
"""Bytes of one read."""

FLAGS: int = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL

LATER = frozenset({errno.EAGAIN, errno.ENOBUFS})
"""Errors of a send that may be made again later."""

_BULK = 4
"""So many full reads in a row make a direction bulk."""

SHARED = memoryview(bytearray(BUFFER))
"""What is read goes here first, whoever reads."""


class End(Protocol):
    """What a pump needs of either stream."""

    opened: socket.SocketType | None
    loop: Any
    paused: bool
    readEnded: bool
    readable: bool
    toTheEnd: bool
    endFollows: bool
    readsAll: bool
    writable: bool
    deaf: bool
    received: int
    accepted: int
    sent: int
    unsent: bytes
    pipe: Pipe | None

    def endFound(self) -> None:
        """A read has found the end of the peer's stream."""

    def fail(self, error: Exception) -> None:
        """A read has failed."""

    def sendFailed(self, error: OSError) -> None:
        """A send has failed."""

    def pauseProducer(self) -> None:
        """There is something unsent."""


def pumpBetween(source: End, sink: End) -> Callable[[], None]:
    """
    Make what moves bytes from one stream to another, as long as there are some and
    C{source} is not paused.

    Everything that it needs is bound to it once: that takes a fifth less time for a
    message than looking it up.
    """
    assert source.opened is not None
    assert sink.opened is not None
    receive, send, view = source.opened.recv_into, sink.opened.send, SHARED
    full = 0

    def pump() -> None:
        nonlocal full
        if sink.unsent or sink.pipe is not None:
            # What was written before goes first, whoever has resumed the source.
            sink.pauseProducer()
            return
        budget = TURN_BYTES
        while not source.paused and not source.readEnded:
            if full >= _BULK:
                pipe = source.loop.pipes.take()
                full = 0
                if pipe is not None:
                    _splice(source, sink, pipe)
                    return
            try:
                got = receive(view, BUFFER, _DONTWAIT)
            except BlockingIOError:
                source.readable = source.toTheEnd = False
                full = 0
                return
            except OSError:
                source.fail(ConnectionLost())
                return
            if not got:
                source.endFound()
                return
            source.received += got
            sink.accepted += got
            try:
                sent = send(view[:got], FLAGS)
            except OSError as error:
                if error.errno not in LATER:
                    sink.sendFailed(error)
                    _leave(source)
                    return
                sent = 0
            sink.sent += sent
            if sent < got:
                sink.writable = False
                sink.unsent = bytes(view[sent:got])
                sink.pauseProducer()
                return
            if got < BUFFER:
                full = 0
                if source.endFollows:
                    source.endFound()
                    return
                if not (source.toTheEnd or source.readsAll):
                    source.readable = False
                    return
            else:
                full += 1
                budget -= got
                if budget <= 0:
                    source.loop.goOn(source)
                    return

    return pump


def _leave(source: End) -> None:
    """Let a stream be read by whoever does after its pump."""
    if source.opened is not None:
        source.loop.next(source)


_DONTWAIT = socket.MSG_DONTWAIT
_MOVE = getattr(os, "SPLICE_F_NONBLOCK", 2) | getattr(os, "SPLICE_F_MOVE", 1)


def _splice(source: End, sink: End, pipe: Pipe) -> None:
    """Move bytes through a pipe until there are none, or one side has to wait."""
    assert source.opened is not None
    assert sink.opened is not None
    # Only then neither call waits: the flag of splice(2) speaks of the pipe alone.
    source.opened.setblocking(False)
    sink.opened.setblocking(False)
    budget = 4 * TURN_BYTES
    reads, pipes = source.opened.fileno(), source.loop.pipes
    try:
        while budget > 0:
            try:
                got = os.splice(reads, pipe.writes, pipe.size, flags=_MOVE)
            except BlockingIOError:
                source.readable = source.toTheEnd = False
                return
            except OSError:
                source.fail(ConnectionLost())
                return
            if not got:
                source.endFound()
                return
            pipe.held += got
            source.received += got
            sink.accepted += got
            budget -= got
            if not drain(sink, pipe):
                if sink.deaf:
                    _leave(source)
                else:
                    sink.pipe = pipe
                    sink.pauseProducer()
                return
        source.loop.goOn(source)
    finally:
        if sink.pipe is not pipe:
            pipes.give(pipe)


def drain(sink: End, pipe: Pipe) -> bool:
    """
    Send what is in a pipe.

    @return: Whether all of it was sent.  If not, the kernel takes no more at present,
        or C{sink} is deaf.
    """
    assert sink.opened is not None
    writes = sink.opened.fileno()
    while pipe.held:
        try:
            sent = os.splice(pipe.reads, writes, pipe.held, flags=_MOVE)
        except BlockingIOError:
            sink.writable = False
            return False
        except OSError as error:
            sink.sendFailed(error)
            return False
        pipe.held -= sent
        sink.sent += sent
    return True
