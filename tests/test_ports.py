"""Ports that open at once, later, or not at all."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IListeningPort, IPushProducer
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from zope.interface import implementer

from lbproxy.ports import (
    CannotStart,
    OpenPort,
    Ports,
    gateAccept,
    portName,
)
from lbproxy.proxy.capacity import Capacity
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import Wheel
from lbproxy.testing import MemoryNetwork
from lbproxy.words.endpoints import ServerDescription
from lbproxy.words.place import Place

PLACE = Place("test")
TCP_80 = ServerDescription.parse("tcp:80")


def portsOf(network: MemoryNetwork) -> Ports:
    return Ports(network, Capacity(Wheel(ClockAlarm(network)), 5))


def take(network: MemoryNetwork, description: str) -> OpenPort:
    parsed = ServerDescription.parse(description)
    return portsOf(network).take(parsed, 1, PLACE, Factory)


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_notASocket(kind: str, tmp_path: Path) -> None:
    """What is not a socket is never removed to make room for one."""
    path = tmp_path / "precious"
    path.touch() if kind == "file" else path.mkdir()
    with pytest.raises(CannotStart, match="not a socket"):
        take(MemoryNetwork(), f"unix:{path}")
    assert path.exists()


def test_holding() -> None:
    """A port that two hold is open until both have let go, and then is free."""
    network = MemoryNetwork()
    ports = portsOf(network)
    opened: list = []
    for _ in range(2):
        ports.take(TCP_80, 1, PLACE, Factory).whenOpen(opened.append)
    assert len(ports) == 1
    assert opened[0] is opened[1]
    assert ports.release(portName(TCP_80)).called
    with pytest.raises(CannotStart):
        take(network, "tcp:80")
    assert ports.release(portName(TCP_80)).called
    assert not len(ports)
    network.listenTCP(80, Factory())


@implementer(IListeningPort, IPushProducer)
class PausingPort:
    """A port that can be paused, as Twisted's can."""

    paused = False

    def startListening(self) -> None: ...
    def stopListening(self) -> None: ...

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 80)

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None: ...


class PausingNetwork(MemoryNetwork):
    def listenTCP(self, *arguments: Any, **named: Any) -> Any:
        self.port = PausingPort()
        return self.port


def test_heldPortIsPaused() -> None:
    """
    A port that the next has taken over is still paused when there are enough
    connections, and no longer once it is closed.
    """
    network = PausingNetwork()
    capacity = Capacity(Wheel(ClockAlarm(network)), 1)
    ports = Ports(network, capacity)
    for _ in range(2):
        ports.take(TCP_80, 1, PLACE, Factory)
    ports.release(portName(TCP_80))
    capacity.taken()
    assert network.port.paused
    capacity.released()
    assert not network.port.paused
    ports.release(portName(TCP_80))
    capacity.taken()
    assert not network.port.paused


def test_taken() -> None:
    """A port that is taken is named in the error, with the reason."""
    network = MemoryNetwork()
    network.listenTCP(80, Factory())
    with pytest.raises(CannotStart, match="cannot listen on tcp:80: Address in use"):
        take(network, "tcp:80")


class Listening:
    """A port whose socket has no client, but an error."""

    def __init__(self, number: int) -> None:
        self.socket = Failing(number)


class Failing(socket.socket):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def _accept(self):
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("method", ["accept", "_accept"])
@pytest.mark.parametrize(
    ("number", "paused"),
    [
        (errno.EMFILE, True),
        (errno.ENFILE, True),
        (errno.ENOBUFS, True),
        (errno.ENOMEM, True),
        (errno.ECONNABORTED, False),
    ],
)
def test_accepting(logged, number: int, paused: bool, method: str) -> None:
    """An accept that fails for a shortage pauses; one of whose client left does not."""
    capacity = Capacity(Wheel(ClockAlarm(Clock())), 5)
    listening = Listening(number)
    with listening.socket:
        gateAccept(listening, capacity)
        with pytest.raises(BlockingIOError if paused else ConnectionAbortedError):
            getattr(listening.socket, method)()
    assert capacity.paused is paused
    assert len(logged) == paused


def test_closedWhileAccepting() -> None:
    """A port that is closed in the middle of a batch has no more clients."""
    capacity = Capacity(Wheel(ClockAlarm(Clock())), 5)
    listening = socket.create_server(("127.0.0.1", 0))
    port = SimpleNamespace(socket=listening)
    gateAccept(port, capacity)
    listening.close()
    with pytest.raises(BlockingIOError):
        port.socket.accept()
