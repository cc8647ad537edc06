"""The declared tables fit the values that are made from them."""

from __future__ import annotations

import pytest
from attrs import fields

from lbproxy.config.keys import (
    BACKEND,
    DOCUMENT,
    LISTENER,
    POOL,
    PROCESS,
    TABLES,
)
from lbproxy.config.model import (
    ListenerConfiguration,
    PickerChoice,
    PoolConfiguration,
    ProcessOptions,
)
from lbproxy.config.place import ConfigurationError, Place
from lbproxy.config.schema import Key, Table
from lbproxy.proxy.dialer import DialOptions
from lbproxy.proxy.policy import SessionOptions
from lbproxy.streams.watch import Limits
from lbproxy.words.backend import Backend

PLACE = Place("lb.toml", "pool.web.picker")


@pytest.mark.parametrize(
    ("table", "made", "besides"),
    [
        (PROCESS, ProcessOptions, set()),
        (LISTENER, ListenerConfiguration, {"place"}),
        (POOL, PoolConfiguration, {"place", "name"}),
        (BACKEND, Backend, set()),
    ],
)
def test_everyKeyArrives(table: Table, made: type, besides: set[str]) -> None:
    """No key is read and then forgotten, and nothing is left without a key."""
    keys = {key.attribute for key in table.keys}
    assert keys | besides == {field.name for field in fields(made)}


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (PROCESS, SessionOptions),
        (PROCESS, Limits),
        (LISTENER, Limits),
        (LISTENER, SessionOptions),
        (POOL, DialOptions),
        (BACKEND, Backend),
    ],
)
def test_aFileAndAProgramHaveTheSameDefaults(table: Table, options: type) -> None:
    """A balancer that a program sets up behaves as one from an empty file."""
    ours = {field.name: field.default for field in fields(options)}
    shared = [key for key in table.keys if key.attribute in ours]
    assert shared
    for key in shared:
        if key.attribute != "name" and key.attribute != "connect":
            assert key.parse(key.default, PLACE) == ours[key.attribute]


@pytest.mark.parametrize(
    "key", [key for table in TABLES for key in table.keys], ids=str
)
def test_everyKeyIsDocumented(key: Key) -> None:
    """A sentence, in the reference's style."""
    assert key.doc[0].isupper()
    assert key.doc.endswith(".")
    assert key.name == key.name.lower()


def test_everyTableIsReachable() -> None:
    """The document knows all the tables; those within tables are in TABLES."""
    assert [key.name for key in DOCUMENT.keys] == ["process", "log", "listener", "pool"]
    assert len(TABLES) == len(DOCUMENT.keys) + 1


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
    assert pickerKey().parse(written, PLACE) == choice


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
        pickerKey().parse(written, PLACE)
    assert str(raised.value) == f"lb.toml: {line}"
