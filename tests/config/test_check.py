"""A configuration that passes its check can be run, as far as one can know."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import pytest
from attrs import define
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from lbproxy.config.check import checkConfiguration
from lbproxy.config.commandline import configurationFromEndpoints
from lbproxy.config.whole import configurationFromMapping
from lbproxy.interfaces import IBackendPicker, ICandidates
from lbproxy.plugins.classes import PickerPlugin
from lbproxy.words.backend import Member
from lbproxy.words.connection import Connection
from lbproxy.words.place import ConfigurationError


@implementer(IBackendPicker)
@define
class First:
    """A picker."""

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        """Take the first."""
        return candidates[0]


def choose(connection: Connection) -> None:
    """A router that refuses everybody."""


FACTORIES = [PickerPlugin("first", First)]

GOOD: dict[str, Any] = {
    "listen": "tcp:8080",
    "router": f"python:{__name__}.choose",
    "picker": "first",
    "backend": "tcp:localhost:80",
}


def check(**changes: str) -> MemoryReactorClock:
    written = {**GOOD, **changes}
    configuration = configurationFromMapping(
        {
            "listener": [
                {
                    "name": "web",
                    "listen": written["listen"],
                    "router": written["router"],
                },
                {"name": "other", "listen": "tcp:8081"},
            ],
            "pool": {
                "web": {"picker": written["picker"], "backends": [written["backend"]]}
            },
        },
        "lb.toml",
    )
    reactor = MemoryReactorClock()
    checkConfiguration(reactor, configuration, FACTORIES)
    return reactor


def test_nothingListens() -> None:
    """A good configuration passes, and the check leaves no trace."""
    reactor = check()
    assert reactor.tcpServers == []
    assert reactor.tcpClients == []
    assert reactor.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"listen": "tcp:x"},
            'listener.web.listen = "tcp:x": "x" is not a whole number',
        ),
        (
            {"router": "choose"},
            (
                'listener.web.router = "choose": expected '
                '"python:package.module.Attribute"'
            ),
        ),
        (
            {"picker": "last"},
            'pool.web.picker = "last": there is no picker "last"; known: first',
        ),
        (
            {"backend": "tcp:x"},
            'pool.web.backends[0] = "tcp:x": it lacks "port"',
        ),
    ],
)
def test_whatCannotRunIsNamed(changes: dict[str, str], line: str) -> None:
    """Everything that is named in the file is looked at."""
    with pytest.raises(ConfigurationError) as raised:
        check(**changes)
    assert str(raised.value) == f"lb.toml: {line}"


def test_optionsAreNamed() -> None:
    """On the command line it is the option that is named."""
    configuration = configurationFromEndpoints(["tcp:1"], ["tcp:x"], "first")
    with pytest.raises(ConfigurationError) as raised:
        checkConfiguration(MemoryReactorClock(), configuration, FACTORIES)
    assert str(raised.value) == '--backend: "tcp:x": it lacks "port"'


def test_haproxyAmongSeveralIsNamed() -> None:
    """Whoever listens in several ways sees which of them cannot be."""
    listen = ["tcp:1", "haproxy:tcp:2"]
    mapping = {
        "listener": [{"name": "web", "listen": listen}],
        "pool": {"web": {"picker": "first", "backends": ["tcp:localhost:80"]}},
    }
    for configuration, start in (
        (
            configurationFromMapping(mapping, "lb.toml"),
            'lb.toml: listener.web.listen = "haproxy:tcp:2": haproxy: is not supported',
        ),
        (
            configurationFromEndpoints(listen, ["tcp:localhost:80"], "first"),
            '--listen: "haproxy:tcp:2": haproxy: is not supported',
        ),
    ):
        with pytest.raises(ConfigurationError) as raised:
            checkConfiguration(MemoryReactorClock(), configuration, FACTORIES)
        assert str(raised.value).startswith(start)
        assert '"proxy-protocol"' in str(raised.value)


@implementer(IReactorThreads)
class Threads(MemoryReactorClock):
    """A reactor whose own thread is the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.told: SimpleQueue[str] = SimpleQueue()

    def callFromThread(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        """Keep what is to be told."""
        (told,) = args
        self.told.put(told)

    def callInThread(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing is called there."""

    def getThreadPool(self) -> Any:
        """There is none."""

    def suggestThreadPoolSize(self, size: int) -> None:
        """Nothing is suggested to."""
