"""The service: starting, stopping, starting again, and failing to."""

from __future__ import annotations

from pathlib import Path

import pytest
from stories import A, Story
from twisted.application.service import IService, MultiService
from twisted.internet.protocol import Factory
from zope.interface.verify import verifyObject

from lbproxy import LoadBalancer
from lbproxy.balance.pickers import RoundRobin
from lbproxy.ports import CannotStart
from lbproxy.testing import MemoryNetwork


def test_interface() -> None:
    """It is a service."""
    verifyObject(IService, LoadBalancer.fromEndpoints(MemoryNetwork(), ["tcp:1"], [A]))


def test_again() -> None:
    """It can be stopped and started again, and says where it listens."""
    story = Story(A)
    assert [str(each) for each in story.balancer.addresses] == ["0.0.0.0:8080"]
    story.stop()
    assert not story.balancer.addresses
    story.balancer.startService()
    story.client(b"x")
    assert story.backends[0].accepted[0].received == b"x"
    story.stop()


def test_inATree() -> None:
    """It lives in another application's service tree."""
    network = MemoryNetwork()
    parent = MultiService()
    parent.startService()
    balancer = LoadBalancer.fromEndpoints(
        network, ["tcp:8080"], [A], picker=RoundRobin()
    )
    balancer.setServiceParent(parent)
    assert balancer.running
    stopped = balancer.disownServiceParent()
    assert stopped.called
    with pytest.raises(KeyError):
        network.client(8080)


def test_twoInATree() -> None:
    """An application may have two balancers among its services."""
    network = MemoryNetwork()
    parent = MultiService()
    balancers = [
        LoadBalancer.fromEndpoints(network, [listen], [A])
        for listen in ("tcp:8080", "tcp:8081")
    ]
    for balancer in balancers:
        balancer.setServiceParent(parent)
    parent.startService()
    assert all(balancer.addresses for balancer in balancers)
    parent.stopService()


def test_fromFile(tmp_path: Path) -> None:
    """A file describes one too, with its router and its access log."""
    path = tmp_path / "lb.toml"
    path.write_text(
        '[log]\naccess = "' + str(tmp_path / "access.log") + '"\n'
        '[[listener]]\nname = "a"\nlisten = "tcp:8080"\n'
        'router = "python:os.path.basename"\n'
        f'[pool.a]\nbackends = ["{A}"]\n'
    )
    balancer = LoadBalancer.fromFile(MemoryNetwork(), str(path))
    balancer.startService()
    assert (tmp_path / "access.log").exists()
    balancer.stopService()


def test_nothingLeftListening() -> None:
    """When one port cannot be had, none is left open."""
    network = MemoryNetwork()
    network.listenTCP(8081, Factory())
    balancer = LoadBalancer.fromEndpoints(network, ["tcp:8080", "tcp:8081"], [A])
    with pytest.raises(CannotStart, match="tcp:8081"):
        balancer.startService()
    with pytest.raises(KeyError):
        network.client(8080)


def test_logThatCannotBe(tmp_path: Path) -> None:
    """An access log that cannot be opened keeps it from starting."""
    path = tmp_path / "lb.toml"
    path.write_text(
        f'[log]\naccess = "{tmp_path}/nowhere/access.log"\n'
        '[[listener]]\nname = "a"\nlisten = "tcp:8080"\n'
        f'[pool.a]\nbackends = ["{A}"]\n'
    )
    balancer = LoadBalancer.fromFile(MemoryNetwork(), str(path))
    with pytest.raises(CannotStart, match="access log: No such file"):
        balancer.startService()
