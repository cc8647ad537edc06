"""Ports that open at once, later, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.protocol import Factory

from lbproxy.config.place import Place
from lbproxy.ports import CannotStart, OpenPort, Ports
from lbproxy.testing import MemoryNetwork

PLACE = Place("test")


def take(network: MemoryNetwork, description: str) -> OpenPort:
    return Ports(network).take(description, 1, PLACE, Factory)


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
    ports = Ports(network)
    opened: list = []
    for _ in range(2):
        ports.take("tcp:80", 1, PLACE, Factory).whenOpen(opened.append)
    assert len(ports) == 1
    assert opened[0] is opened[1]
    assert ports.release("tcp:80").called
    with pytest.raises(CannotStart):
        take(network, "tcp:80")
    assert ports.release("tcp:80").called
    assert not len(ports)
    network.listenTCP(80, Factory())


def test_taken() -> None:
    """A port that is taken is named in the error, with the reason."""
    network = MemoryNetwork()
    network.listenTCP(80, Factory())
    with pytest.raises(CannotStart, match="cannot listen on tcp:80: Address in use"):
        take(network, "tcp:80")
