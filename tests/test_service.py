"""The service: starting, stopping, starting again, and failing to."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from configured import configured
from stories import A, B, Picks, Routes, Story
from twisted.application.service import IService, MultiService
from twisted.internet.protocol import Factory
from zope.interface.verify import verifyObject

from lbproxy import Backend, CannotStart, ConfigurationError, LoadBalancer
from lbproxy.balance.pickers import RoundRobin
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
        configured(
            A,
            listener='router = "python:os.path.basename"',
            log=str(tmp_path / "access.log"),
        )
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
    path.write_text(configured(A, log=f"{tmp_path}/nowhere/access.log"))
    balancer = LoadBalancer.fromFile(MemoryNetwork(), str(path))
    with pytest.raises(CannotStart, match="access log: No such file"):
        balancer.startService()


def test_functionAsRouter() -> None:
    """A function that takes the connection is a router, async or not."""

    def toB(connection):
        return Backend(B)

    async def toBLater(connection):
        return Backend(B)

    for router in (toB, toBLater, partial(toB), Routes(Backend(B)).route):
        story = Story(A, B, routers={"front": router})
        story.client(b"x")
        assert story.backends[1].accepted[0].received == b"x"
        story.stop()


class HalfAnObserver:
    """Hears of one thing only."""

    def opened(self, connection) -> None:
        """A client came."""


class Narrow:
    """Takes too little."""

    def pick(self, candidates):
        return candidates[0]


def route() -> str:
    return "default"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "noPool": (
        {"pickers": {"wbe": Picks(None)}},
        'pickers: "wbe": there is no such pool; known: default',
    ),
    "noListener": (
        {"routers": {"web": Routes(None)}},
        'routers: "web": there is no such listener; known: default',
    ),
    "pickerClass": (
        {"pickers": {"default": RoundRobin}},
        "pickers: default: lbproxy.balance.rotation.RoundRobin is a class; expected",
    ),
    "picker": (
        {"picker": RoundRobin},
        "pickers: default: lbproxy.balance.rotation.RoundRobin is a class; expected",
    ),
    "routerClass": (
        {"routers": {"default": Routes}},
        "routers: default: stories.Routes is a class; expected an object made of it",
    ),
    "observerClass": (
        {"observers": [HalfAnObserver]},
        f"observers: [0]: {__name__}.HalfAnObserver is a class; expected an object",
    ),
    "noPicker": (
        {"pickers": {"default": "round-robin"}},
        "pickers: default: builtins.str is no IBackendPicker: it lacks pick(",
    ),
    "narrowPicker": (
        {"pickers": {"default": Narrow()}},
        f"pickers: default: {__name__}.Narrow is no IBackendPicker: its pick ca",
    ),
    "noRouter": (
        {"routers": {"default": 5}},
        "routers: default: builtins.int is no IRouter: it lacks route(connection)",
    ),
    "narrowRouter": (
        {"routers": {"default": route}},
        f'routers: default = "{__name__}.route": {__name__}.route cannot take the con',
    ),
    "halfAnObserver": (
        {"observers": [HalfAnObserver()]},
        f"observers: [0]: {__name__}.HalfAnObserver is no IConnectionObserver: it",
    ),
    "oneObserver": ({"observers": HalfAnObserver()}, "observers: expected a list"),
    "pickersList": (
        {"pickers": [RoundRobin()]},
        "pickers: expected a mapping from the name of a pool",
    ),
    "both": (
        {"picker": RoundRobin(), "pickers": {"default": RoundRobin()}},
        "picker excludes pickers",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_whatIsHandedInIsChecked(wrong: str) -> None:
    """
    What cannot be used is an error when the balancer is made, and not what its
    first client meets; nothing that is misspelt is passed over in silence.
    """
    arguments, line = WRONG[wrong]
    with pytest.raises(ConfigurationError) as raised:
        LoadBalancer.fromEndpoints(MemoryNetwork(), ["tcp:8080"], [A], **arguments)
    assert str(raised.value).startswith(line)


def test_pickerInTheLog(logged: list) -> None:
    """The log names the picker that is used, not the one that it replaces."""
    story = Story(A, pickers={"web": Picks(None)}, pool='picker = "random"')
    story.stop()
    (picks,) = (event["picker"] for event in logged if "picker" in event)
    assert picks == "stories.Picks"
