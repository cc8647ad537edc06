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
from typing import TYPE_CHECKING, Protocol

from .pipes import Pipe
from .socketkinds import LEAST_READ, TURN_BYTES

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
    isPlain: bool
    deaf: bool
    received: int
    accepted: int
    sent: int
    unsent: bytes
    pipe: Pipe | None
    fullReads: int

    def endFound(self) -> None:
        """A read has found the end of the peer's stream."""

    def readFailed(self, error: OSError) -> None:
        """A read has failed."""

    def sendFailed(self, error: OSError) -> None:
        """A send has failed."""

    def pauseProducer(self) -> None:
        """There is something unsent."""


def pump(source: End, sink: End) -> None:
    """
    Move bytes from one stream to another, as long as there are some and C{source} is
    not paused.

    This is a function that is called for each message: a closure for each direction,
    with all that it needs bound to it, costs a connection more than it saves.
    """
    if sink.unsent or sink.pipe is not None:
        # What was written before goes first, whoever has resumed the source.
        sink.pauseProducer()
        return
    reads, writes = source.opened, sink.opened
    assert reads is not None
    assert writes is not None
    budget = TURN_BYTES
    while True:
        try:
            got = reads.recv_into(SHARED, BUFFER, _DONTWAIT)
        except BlockingIOError:
            source.readable = False
            source.toTheEnd = source.readsAll
            source.fullReads = 0
            return
        except OSError as error:
            source.readFailed(error)
            return
        if not got:
            source.endFound()
            return
        source.received += got
        sink.accepted += got
        try:
            sent = writes.send(SHARED[:got], FLAGS)
        except OSError as error:
            if error.errno not in LATER:
                sink.sendFailed(error)
                _leave(source)
                return
            sent = 0
        sink.sent += sent
        if sent < got:
            sink.unsent = bytes(SHARED[sent:got])
            sink.pauseProducer()
            return
        if got < BUFFER:
            source.fullReads = 0
            if not source.toTheEnd:
                source.readable = False
                return
            if source.endFollows:
                source.endFound()
                return
        else:
            source.fullReads += 1
            if source.fullReads >= _BULK and _isSpliced(source, sink):
                return
        budget -= got if got > LEAST_READ else LEAST_READ
        if budget <= 0:
            source.loop.goOn(source)
            return


def _isSpliced(source: End, sink: End) -> bool:
    """Go on by way of a pipe, if there is one."""
    source.fullReads = 0
    if not (source.isPlain and sink.isPlain):
        return False
    pipe = source.loop.pipes.take()
    if pipe is None:
        return False
    _splice(source, sink, pipe)
    return True


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
                source.readable = False
                source.toTheEnd = source.readsAll
                return
            except OSError as error:
                source.readFailed(error)
                return
            if not got:
                source.endFound()
                return
            pipe.held += got
            source.received += got
            sink.accepted += got
            budget -= max(got, LEAST_READ)
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
            return False
        except OSError as error:
            sink.sendFailed(error)
            return False
        pipe.held -= sent
        sink.sent += sent
    return True
