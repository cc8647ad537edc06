"""What finished connections leave behind in a long-running process: nothing."""

from __future__ import annotations

import gc
import socket
from collections import Counter
from pathlib import Path

import pytest
import pytest_twisted
from stories import Records
from twisted.internet import reactor, task
from twisted.internet.threads import deferToThread

from lbproxy import LoadBalancer, testing

from .daemon import client
from .peers import Backend, echo, readAll

CONNECTIONS = 5


def ours() -> Counter[str]:
    """The objects of lbproxy's own that are there, by type."""
    return Counter(
        type(each).__qualname__
        for each in gc.get_objects()
        if str(type(each).__module__).startswith("lbproxy.")
        and type(each).__module__ != testing.__name__
    )


def connections(address: str) -> None:
    """Some clients that ask and leave; half of them are reset."""
    for _ in range(CONNECTIONS):
        with client(address) as asking:
            asking.sendall(b"hello")
            asking.shutdown(socket.SHUT_WR)
            assert readAll(asking) == b"hello"


@pytest.mark.parametrize(
    ("kind", "left"),
    [("tcp", set()), ("unix", set()), ("endpoint", {"Dial"})],
)
@pytest_twisted.inlineCallbacks
def test_nothingWaitsForTheCollector(kind: str, left: set[str], tmp_path: Path):
    """
    With the collector off, no object of a finished connection stays; over an
    endpoint whose wrapper stays, the emptied factory does.
    """
    host = str(tmp_path / "backend.sock") if kind == "unix" else "127.0.0.1"
    backend = Backend(echo, host)
    connect = backend.connect
    if kind == "endpoint":
        connect = f"tcp:localhost:{backend.port}"
    records = Records()
    listen = "tcp:0:interface=127.0.0.1"
    balancer = LoadBalancer.fromEndpoints(
        reactor, [listen], [connect], observers=[records]
    )
    balancer.startService()
    (address,) = balancer.addresses

    @pytest_twisted.inlineCallbacks
    def serve():
        served = len(records.closes) + CONNECTIONS
        yield deferToThread(connections, str(address))
        while len(records.closes) < served:
            yield task.deferLater(reactor, 0.01)
        yield task.deferLater(reactor, 0.05)

    try:
        yield serve()  # What is made once is made now.
        records.opens.clear()
        records.closes.clear()
        gc.collect()
        gc.disable()
        before = ours()
        yield serve()
        records.opens.clear()
        records.closes.clear()
        assert set(ours() - before) <= left
    finally:
        gc.enable()
        yield balancer.stopService()
        backend.close()
