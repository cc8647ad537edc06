"""Whoever names a host that has no address is told which member it is."""

from __future__ import annotations

import socket
from threading import Event

import pytest

from lbproxy.config.names import namedHosts, withoutAddress
from lbproxy.config.whole import configurationFromMapping

CONFIGURATION = configurationFromMapping(
    {
        "listener": [{"listen": "tcp:1"}],
        "pool": {
            "web": {
                "backends": [
                    "tcp:127.0.0.1:80",
                    r"tcp:\:\:1:80",
                    "unix:/run/x",
                    "tcp:good:80",
                    {"name": "standby", "connect": "tls:bad:443"},
                    r"tls:name:443:endpoint=tcp\:bad\:80",
                    "tls:name:443:endpoint=unix\\:/run/y",
                ]
            }
        },
    },
    "lb.toml",
)


def lookUp(name: str) -> str:
    """A resolver that knows one name."""
    if name != "good":
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return "10.0.0.1"


def test_namesAreFound() -> None:
    """Those that are connected to; addresses and paths need no resolver."""
    assert [each.name for each in namedHosts(CONFIGURATION)] == ["good", "bad", "bad"]


def test_theMemberIsNamed() -> None:
    """Each member whose host has no address is told, with the resolver's words."""
    first, second = withoutAddress(namedHosts(CONFIGURATION), 60, lookUp)
    assert first == (
        'lb.toml: pool.web.backends[4] = "tls:bad:443": the host "bad" has no address: '
        "Name or service not known"
    )
    assert second.startswith("lb.toml: pool.web.backends[5] = ")


def test_aResolverThatDoesNotAnswer() -> None:
    """It is not waited for; what came in time counts."""
    late = Event()

    def slow(name: str) -> str:
        return lookUp(name) if name == "good" else str(late.wait())

    lines = withoutAddress(namedHosts(CONFIGURATION), 0.2, slow)
    late.set()
    assert [line.rpartition(": ")[2] for line in lines] == ["no answer in 0.2s"] * 2


@pytest.mark.parametrize("patience", [0, 60])
def test_noNames(patience: float) -> None:
    """Where no host is named nobody is asked."""
    assert withoutAddress([], patience, lookUp) == []
