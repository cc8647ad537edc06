"""A message waits no longer for sixteen that move bulk than for a turn of each."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from lbproxy.streams.pipes import Pipe
from lbproxy.streams.relay import join
from lbproxy.streams.socketkinds import TURN_BYTES
from lbproxy.streams.splice import BUFFER

from .test_splice import Joined

BULK = 16
"""How many relays move as much as they can."""

CHUNK = memoryview(bytearray(1 << 20))


def mostOfATurn() -> int:
    """
    The most bytes that one relay moves in its turn: what makes it bulk is copied, and
    the last pipe may be filled when the rest is over already.
    """
    pipe = Pipe()
    pipe.close()
    return 4 * BUFFER + 4 * TURN_BYTES + pipe.size


class Busy(Joined):
    """
    A relay of messages, beside sixteen whose backends always have more to send, and
    whose clients always take it.

    Its clock goes by what these move, 1 MiB in a millisecond.
    """

    window = None

    def __init__(self) -> None:
        self._sources: list[socket.socket] = []
        super().__init__(clock=lambda: sum(self.progress()) / (1000 << 20))
        self._sinks = []
        for _ in range(BULK):
            self._sinks.append(self.stream("tcp"))
            self._sources.append(self.stream("tcp"))
            join(self.streams[-2], self.streams[-1], self)
        for each in (self.client, self.backend, *self._sinks):
            each.setblocking(False)

    def progress(self) -> list[int]:
        """How many bytes each of the sixteen has moved."""
        return [each.received for each in self.streams[3::2]]

    def turn(self) -> None:
        """All who have something to send or to take do so; then the loop has a turn."""
        for each in self._sources:
            with suppress(BlockingIOError):
                while True:
                    each.send(CHUNK)
        for each in self._sinks:
            with suppress(BlockingIOError):
                while True:
                    each.recv_into(CHUNK, 0, socket.MSG_TRUNC)
        self.reactor.turn()
        with suppress(BlockingIOError):
            self.backend.send(self.backend.recv(100))

    def echo(self) -> list[int]:
        """Say something, and hear it; how much each of the sixteen moves meanwhile."""
        before = self.progress()
        self.client.send(b"?")
        for _ in range(1000):
            self.turn()
            with suppress(BlockingIOError):
                assert self.client.recv(100) == b"?"
                break
        else:
            raise AssertionError("there is no answer")
        return [now - then for now, then in zip(self.progress(), before, strict=True)]

    def close(self) -> None:
        for each in (*self._sources, *self._sinks):
            each.close()
        super().close()


@pytest.fixture
def busy() -> Iterator[Busy]:
    busy = Busy()
    for _ in range(30):  # The kernel keeps more and more for those who take it.
        busy.turn()
    yield busy
    busy.close()


def test_beside(busy: Busy) -> None:
    """
    From its arrival to its answer, which is two ways, all sixteen together move no more
    than twice what they may in one turn of each.
    """
    most = max(sum(busy.echo()) for _ in range(30))
    assert most <= 2 * BULK * mostOfATurn()


def test_among(busy: Busy) -> None:
    """Each of the sixteen has its share, whatever messages there are."""
    before = busy.progress()
    for _ in range(30):
        busy.echo()
    shares = [now - then for now, then in zip(busy.progress(), before, strict=True)]
    assert min(shares) > max(shares) / 2
