"""Ports that open at once, later, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.protocol import Factory

from lbproxy.config.place import Place
from lbproxy.ports import CannotStart, Ports
from lbproxy.testing import MemoryNetwork

PLACE = Place("test")


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_notASocket(kind: str, tmp_path: Path) -> None:
    """What is not a socket is never removed to make room for one."""
    path = tmp_path / "precious"
    path.touch() if kind == "file" else path.mkdir()
    ports = Ports(MemoryNetwork())
    with pytest.raises(CannotStart, match="not a socket"):
        ports.listen(f"unix:{path}", Factory(), 1, PLACE, print)
    assert path.exists()


def test_closing() -> None:
    """What was opened is closed, and can be opened again."""
    network = MemoryNetwork()
    opened: list = []
    ports = Ports(network)
    ports.listen("tcp:80", Factory(), 1, PLACE, opened.append)
    assert len(opened) == 1
    assert ports.close().called
    network.listenTCP(80, Factory())


def test_taken() -> None:
    """A port that is taken is named in the error, with the reason."""
    network = MemoryNetwork()
    network.listenTCP(80, Factory())
    with pytest.raises(CannotStart, match="cannot listen on tcp:80: Address in use"):
        Ports(network).listen("tcp:80", Factory(), 1, PLACE, print)
