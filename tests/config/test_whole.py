"""A configuration is consistent, or it is refused in one line."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbproxy.config.keys import DOCUMENT, TABLES
from lbproxy.config.model import Configuration, ProcessOptions
from lbproxy.config.whole import configurationFromMapping
from lbproxy.plugins.choice import PickerChoice
from lbproxy.proxy.dialer import DialOptions
from lbproxy.proxy.policy import SessionOptions
from lbproxy.streams.certificates import CertificateFiles
from lbproxy.streams.limits import Limits
from lbproxy.streams.tlsoptions import ServerTLSOptions
from lbproxy.words.backend import Backend
from lbproxy.words.place import ConfigurationError

LISTENER: dict[str, Any] = {"listen": "tcp:8080"}
POOL: dict[str, Any] = {"backends": ["tcp:a:1"]}


def test_theLeastThatWorks() -> None:
    """One listener and one pool find each other, and all else has defaults."""
    configuration = configurationFromMapping(
        {"listener": [LISTENER], "pool": {"web": POOL}}
    )
    assert configuration.process == ProcessOptions(
        maxConnections=0, drainTimeout=30.0, shutdownDelay=0.0
    )
    assert configuration.accessLog == "none"
    (listener,) = configuration.listeners
    assert listener.name == "tcp:8080"
    assert [str(each) for each in listener.listen] == ["tcp:8080"]
    assert listener.mode == "tcp"
    assert listener.pool == "web"
    assert listener.router is None
    assert listener.backlog == 1024
    assert listener.session == SessionOptions(10.0, 10.0, 5.0, 5.0, 10.0, 60.0, True)
    assert listener.session.limits == Limits(3600.0, 0.0, 300.0, 300.0, 30.0)
    (pool,) = configuration.pools
    assert pool.name == "web"
    assert pool.picker == PickerChoice("round-robin")
    assert pool.backends == (Backend("tcp:a:1"),)
    assert pool.dial == DialOptions(5.0, 3, 15.0)


def test_everyKeyCanBeWritten() -> None:
    """What a file says is what the configuration holds."""
    configuration = configurationFromMapping(
        {
            "process": {
                "route-timeout": 1,
                "pick-timeout": "2s",
                "close-timeout": "3s",
                "max-connections": 4,
                "drain-timeout": "1m",
                "shutdown-delay": "500ms",
            },
            "log": {"access": "/var/log/access.log"},
            "listener": [
                {
                    "name": "web",
                    "listen": ["tcp:1", "tcp:2"],
                    "mode": "tcp",
                    "pool": "b",
                    "router": "python:shop.choose",
                    "idle-timeout": "5s",
                    "max-lifetime": "6s",
                    "half-close": False,
                    "half-close-timeout": "7s",
                    "stall-timeout": "8s",
                    "backlog": 9,
                    "keepalive": "10s",
                    "tls": {
                        "certificates": [{"chain": "a.pem", "key": "a.key"}],
                        "alpn": ["h2"],
                        "handshake-timeout": "11s",
                        "max-handshakes": 12,
                    },
                }
            ],
            "pool": {
                "a": POOL,
                "b": {
                    "picker": "hash:key=client",
                    "backends": [
                        "tcp:a:1",
                        {
                            "connect": "tcp:a:2",
                            "name": "two",
                            "weight": 11,
                            "backup": True,
                        },
                    ],
                    "connect-timeout": "12s",
                    "retries": 13,
                    "dial-deadline": "14s",
                },
            },
        }
    )
    assert configuration.process == ProcessOptions(
        maxConnections=4, drainTimeout=60.0, shutdownDelay=0.5
    )
    assert configuration.accessLog == "/var/log/access.log"
    (web,) = configuration.listeners
    assert [str(each) for each in web.listen] == ["tcp:1", "tcp:2"]
    assert (web.name, web.pool) == ("web", "b")
    assert (web.router, web.backlog) == ("python:shop.choose", 9)
    limits = Limits(5.0, 6.0, 7.0, 8.0, 3.0)
    assert web.session == SessionOptions(1.0, 2.0, 5.0, 5.0, 11.0, 10.0, False, limits)
    assert web.tls == ServerTLSOptions(
        certificates=(CertificateFiles("a.pem", "a.key"),),
        alpn=("h2",),
        maxHandshakes=12,
    )
    _, pool = configuration.pools
    assert pool.name == "b"
    assert pool.picker == PickerChoice("hash", {"key": "client"})
    assert pool.backends == (
        Backend("tcp:a:1"),
        Backend("tcp:a:2", name="two", weight=11, backup=True),
    )
    assert pool.dial == DialOptions(12.0, 13, 14.0)


@pytest.mark.parametrize(
    ("listeners", "pools", "line"),
    [
        (
            [],
            {"web": POOL},
            "listener: there is none; write at least one [[listener]]",
        ),
        (
            [LISTENER],
            {},
            "listener[0].pool: there is no pool; write a [pool.NAME]",
        ),
        (
            [{**LISTENER, "name": "web"}],
            {"b": POOL, "a": POOL},
            "listener.web.pool: required, since there is more than one pool: b, a",
        ),
        (
            [{**LISTENER, "name": "web", "pool": "wbe"}],
            {"web": POOL, "mail": POOL},
            'listener.web.pool = "wbe": no such pool; the nearest known one is "web"',
        ),
        (
            [{"name": "a", "listen": "tcp:1"}, {"name": "a", "listen": "tcp:2"}],
            {"web": POOL},
            'listener.a.name = "a": another listener has this name',
        ),
        (
            [{"name": "a", "listen": "tcp:1"}, {"name": "b", "listen": "tcp:1"}],
            {"web": POOL},
            'listener.b.listen = "tcp:1": this is listened on already',
        ),
        (
            [{"name": "a", "listen": ["tcp:1", "tcp:1"]}],
            {"web": POOL},
            'listener.a.listen = "tcp:1": this is listened on already',
        ),
        (
            [LISTENER],
            {"web": {"backends": ["tcp:a:1", "tcp:a:1"]}},
            (
                'pool.web.backends[1] = "tcp:a:1": another backend of this pool has '
                "this name"
            ),
        ),
        (
            [LISTENER],
            {"web": {"backends": ["tcp:a:1", {"connect": "x", "name": "tcp:a:1"}]}},
            (
                'pool.web.backends[1] = "tcp:a:1": another backend of this pool has '
                "this name"
            ),
        ),
    ],
)
def test_whatDoesNotFitTogether(
    listeners: list[object], pools: dict[str, object], line: str
) -> None:
    """Parts that are right by themselves have to be right together."""
    with pytest.raises(ConfigurationError) as raised:
        configurationFromMapping({"listener": listeners, "pool": pools})
    assert str(raised.value) == f"configuration: {line}"


def verdict(document: dict[str, Any]) -> str:
    """What somebody who wrote this would be told."""
    try:
        configuration = configurationFromMapping(document)
    except ConfigurationError as error:
        return str(error)
    assert isinstance(configuration, Configuration)
    return "valid"


_NAMES = st.sampled_from(
    [key.name for table in (DOCUMENT, *TABLES) for key in table.keys]
)
_SCALARS = (
    st.text(max_size=5)
    | st.sampled_from(["tcp:8080", "1s", "web", "round-robin", "a:b=c", "a\\"])
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.dates()
    | st.datetimes()
    | st.times()
)


def _within(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(children, max_size=3) | st.dictionaries(
        _NAMES | st.text(max_size=3), children, max_size=4
    )


_JUNK = st.recursive(_SCALARS, _within, max_leaves=20)


@settings(deadline=None)
@given(st.dictionaries(_NAMES | st.text(), _JUNK))
def test_junkIsRefusedInOneLine(document: dict[str, Any]) -> None:
    """Whatever TOML can say either is a configuration or gets one line."""
    assert len(verdict(document).splitlines()) == 1


_VALUES = _JUNK | st.sampled_from([date.min, time.min, datetime.min])


@settings(deadline=None)
@given(
    st.sampled_from([(table, key) for table in TABLES for key in table.keys]), _VALUES
)
def test_junkBehindAKnownKey(at: tuple[Any, Any], value: object) -> None:
    """One odd value in a file that is otherwise right names its key."""
    table, key = at
    listener, pool = dict(LISTENER), dict(POOL)
    backend: dict[str, Any] = {"connect": "tcp:b:1"}
    document: dict[str, Any] = {
        "process": {},
        "log": {},
        "listener": [listener],
        "pool": {"web": pool},
    }
    named = {"[process]": document["process"], "[log]": document["log"]}
    named |= {"[[listener]]": listener, "[pool.NAME]": pool}
    named["[[pool.NAME.backends]]"] = backend
    named["[pool.NAME.backends.tls]"] = backend["tls"] = {}
    named["[pool.NAME.ejection]"] = pool["ejection"] = {}
    named["[pool.NAME.health-check]"] = pool["health-check"] = {}
    found: dict[str, Any] = {"name": "web.internal", "port": 80}
    named["[pool.NAME.discovery]"] = pool["discovery"] = found
    member: dict[str, Any] = {}
    named["[pool.NAME.discovery.member]"] = pool["discovery"]["member"] = member
    route: dict[str, Any] = {"client": "all", "pool": "web"}
    named["[[listener.routes]]"] = route
    listener["routes"] = [route]
    certificate: dict[str, Any] = {"chain": "a.pem", "key": "a.key"}
    named["[[listener.tls.certificates]]"] = certificate
    tls: dict[str, Any] = {"certificates": [certificate]}
    named["[listener.tls]"] = listener["tls"] = tls
    pool["backends"] = ["tcp:a:1", backend]
    named[table.header][key.name] = value
    line = verdict(document)
    assert line == "valid" or key.name in line or "backends[1]" in line
