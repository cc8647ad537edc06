"""The declared tables fit the values that are made from them."""

from __future__ import annotations

import pytest
from attrs import field, frozen

from lbproxy.config.backends import BACKEND, BACKEND_TLS, MEMBER
from lbproxy.config.discovery import DISCOVERY
from lbproxy.config.healthcheck import HEALTH_CHECK
from lbproxy.config.keys import DOCUMENT, POOL, TABLES
from lbproxy.config.listenertls import CERTIFICATE, LISTENER_TLS
from lbproxy.config.model import EJECTION, Configuration
from lbproxy.config.routes import ROUTE
from lbproxy.config.schema import Key, Table, keysOf, readAt
from lbproxy.config.whole import configurationFromMapping
from lbproxy.plugins.choice import PickerChoice
from lbproxy.proxy.dialer import DialOptions
from lbproxy.proxy.policy import SessionOptions
from lbproxy.words.backend import Backend
from lbproxy.words.options import made, option
from lbproxy.words.place import ConfigurationError, Place
from lbproxy.words.units import moreThanNone
from lbproxy.words.values import boolean

PLACE = Place("lb.toml", "pool.web.picker")


@frozen
class Inner:
    """Options that another class holds."""

    openAtNight: bool = option(boolean, False, "Whether.")


@frozen
class Outer:
    """Options of a room, and one of its own that no file can set."""

    waitAtDoor: float = option(moreThanNone, "1m", "How long.")
    inner: Inner = field(factory=Inner)
    secret: int = 5


def test_anOptionIsDeclaredOnce() -> None:
    """One line gives a default, a key, an error and a line of the reference."""
    assert Outer().waitAtDoor == 60.0
    wait, night = keysOf(Outer)
    assert (wait.name, wait.default, wait.doc) == ("wait-at-door", "1m", "How long.")
    assert (night.name, night.attribute) == ("open-at-night", "openAtNight")
    table = Table("[door]", "How one comes in.", keysOf(Outer))
    values = table.read({"open-at-night": True}, PLACE)
    assert made(Outer, values) == Outer(60.0, Inner(True))
    with pytest.raises(ConfigurationError, match="wait-at-door = 0: must be more"):
        table.read({"wait-at-door": 0}, PLACE)
    assert [key.name for key in keysOf(Outer, but=["waitAtDoor"])] == ["open-at-night"]
    assert [key.name for key in keysOf(Outer, only=["waitAtDoor"])] == ["wait-at-door"]


def configured() -> Configuration:
    listener = {"listen": "tcp:1"}
    document = {"listener": [listener], "pool": {"web": {"backends": ["tcp:a:1"]}}}
    return configurationFromMapping(document)


def test_aFileAndAProgramHaveTheSameDefaults() -> None:
    """A balancer that a program sets up behaves as one from an empty file."""
    configuration = configured()
    assert configuration.listeners[0].session == SessionOptions()
    assert configuration.pools[0].dial == DialOptions()
    assert configuration.pools[0].backends == (Backend("tcp:a:1"),)


@pytest.mark.parametrize(
    "key",
    [key for table in TABLES for key in table.keys],
    ids=lambda key: str(key.name),
)
def test_everyKeyIsDocumented(key: Key) -> None:
    """A sentence, in the reference's style."""
    assert key.doc[0].isupper()
    assert key.doc.endswith(".")
    assert key.name == key.name.lower()


@pytest.mark.parametrize("table", [DOCUMENT, *TABLES], ids=lambda each: each.header)
def test_noKeyIsReservedAnyMore(table: Table) -> None:
    """Whatever is available in this version is not said to be missing."""
    assert not [key.name for key in table.keys if key.name in table.reserved]


def test_everyTableIsReachable() -> None:
    """The document knows all the tables; those within tables are in TABLES."""
    assert [key.name for key in DOCUMENT.keys] == ["process", "log", "listener", "pool"]
    assert TABLES[len(DOCUMENT.keys) :] == (
        *(ROUTE, LISTENER_TLS, CERTIFICATE, BACKEND, BACKEND_TLS, EJECTION),
        *(HEALTH_CHECK.table, DISCOVERY.table, MEMBER),
    )


def pickerKey() -> Key:
    (key,) = (key for key in POOL.keys if key.name == "picker")
    return key


@pytest.mark.parametrize(
    ("written", "choice"),
    [
        ("random", PickerChoice("random")),
        (
            "hash:key=client:table-size=7",
            PickerChoice("hash", {"key": "client", "table-size": "7"}),
        ),
        ("python:shop.Picker", PickerChoice("python:shop.Picker")),
        ("python:shop.Picker:a=1", PickerChoice("python:shop.Picker", {"a": "1"})),
        ({"name": "hash", "size": 7}, PickerChoice("hash", {"size": 7})),
    ],
)
def test_pickerIsRead(written: object, choice: PickerChoice) -> None:
    """A description or a table: the name, and whatever options are given."""
    assert readAt(pickerKey().parse, written, PLACE) == choice


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (
            5,
            (
                "pool.web.picker = 5: expected the name of a picker, "
                '"NAME:key=value", or a table'
            ),
        ),
        (
            "",
            (
                'pool.web.picker = "": expected the name of a picker, '
                '"NAME:key=value", or a table'
            ),
        ),
        (
            "hash:client",
            (
                'pool.web.picker = "hash:client": expected "NAME" or '
                '"NAME:key=value:key=value"'
            ),
        ),
        (
            ":a=1",
            'pool.web.picker = ":a=1": expected "NAME" or "NAME:key=value:key=value"',
        ),
        (
            "a=1",
            'pool.web.picker = "a=1": expected "NAME" or "NAME:key=value:key=value"',
        ),
        ("a:b=1:b=1", 'pool.web.picker = "a:b=1:b=1": "b" is given twice'),
        (
            "python:a.B:c",
            (
                'pool.web.picker = "python:a.B:c": expected "NAME" or '
                '"NAME:key=value:key=value"'
            ),
        ),
        (
            {"size": 7},
            'pool.web.picker = { size = 7 }: expected the name of a picker as "name"',
        ),
        ({"name": 7}, "pool.web.picker.name = 7: expected the name of a picker"),
    ],
)
def test_pickerIsRefused(written: object, line: str) -> None:
    """A picker's name has to be there, and options are all named."""
    with pytest.raises(ConfigurationError) as raised:
        readAt(pickerKey().parse, written, PLACE)
    assert str(raised.value) == f"lb.toml: {line}"
