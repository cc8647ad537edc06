"""What TCP sockets are set to, as the kernel says."""

from __future__ import annotations

import socket
from contextlib import suppress
from types import SimpleNamespace

import pytest

from lbproxy.streams.kinds import undelivered
from lbproxy.streams.socketoptions import tune


@pytest.fixture
def pair():
    listening = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listening.getsockname())
    far, _ = listening.accept()
    yield near, far
    for each in (near, far, listening):
        each.close()


def test_keepAlive(pair) -> None:
    """A silent peer is found out about in the time that was given."""
    near, _ = pair
    tune(SimpleNamespace(socket=near), 60)
    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    idle = near.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    interval = near.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
    count = near.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
    assert idle + interval * count == 60
    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


def test_off(pair) -> None:
    """0 leaves keep-alive off."""
    near, _ = pair
    tune(SimpleNamespace(socket=near), 0)
    assert not near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_notTCP(pair) -> None:
    """What is no TCP socket, or none any more, is left alone."""
    one, other = socket.socketpair()
    tune(SimpleNamespace(socket=one), 60)
    tune(SimpleNamespace(), 60)
    one.close()
    other.close()
    near, _ = pair
    near.close()
    tune(SimpleNamespace(socket=near), 60)


def test_undelivered(pair) -> None:
    """What the peer's kernel has not taken is counted."""
    near, _ = pair
    near.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            near.send(b"x" * 65536)
    assert undelivered(near) > 0
    assert undelivered(object()) == 0
