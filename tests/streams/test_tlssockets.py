"""What OpenSSL answers by itself is sent, and does not pile up."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from OpenSSL import SSL

from lbproxy.streams.tlssockets import TLSSocket

KEYS = b"k" * 28
"""As long as the answer to a change of keys."""


class Chatty(SSL.Connection):
    """Encrypts nothing, and has something to say about each piece that it is given."""

    def __init__(self, said: bytes = b"") -> None:
        self.said = bytearray(said)
        self.given = 0

    def bio_write(self, buf: bytes) -> int:  # type: ignore[override]
        self.given += 1
        self.said += KEYS
        return len(buf)

    def bio_read(self, bufsiz: int) -> bytes:
        if not self.said:
            raise SSL.WantReadError
        taken = bytes(self.said[:bufsiz])
        del self.said[:bufsiz]
        return taken

    def recv_into(self, buffer, nbytes=None, flags=None) -> int:
        if not self.given:
            raise SSL.WantReadError
        self.given = 0
        buffer[0] = 1
        return 1

    def send(self, buf: memoryview, flags: int = 0) -> int:  # type: ignore[override]
        self.said += buf
        return len(buf)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def test_answersBeforeData(pair: tuple[socket.socket, socket.socket]) -> None:
    """However many answers there are before it, what is sent goes out whole."""
    near, far = pair
    data = bytes(range(256)) * 64
    secured = TLSSocket(near, Chatty(KEYS * 200), lambda: None)
    assert secured.send(data) == len(data)
    assert secured.out == b""
    assert far.recv(1 << 20) == KEYS * 200 + data


def test_answersToData(pair: tuple[socket.socket, socket.socket]) -> None:
    """They go out soon although data came with each of them, and none is sent back."""
    near, far = pair
    connection = Chatty()
    secured = TLSSocket(near, connection, lambda: None)
    buffer = memoryview(bytearray(65536))
    for _ in range(100):
        far.send(b"\x17\x03\x03\x00\x01x")
        assert secured.recv_into(buffer, 65536) == 1
    assert len(connection.said) <= 16 * len(KEYS)
    assert len(far.recv(1 << 20)) >= 84 * len(KEYS)
