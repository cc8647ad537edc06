"""Key functions of pickers by hash: found by name, and contained when they fail."""

from __future__ import annotations

from typing import Any

import pytest
from picking import aConnection, backends, clientAt, viewOf
from stories import A, B, C, Story
from twisted.logger import LogEvent
from zope.interface.verify import verifyObject

from lbproxy.balance.hashing import Rendezvous
from lbproxy.balance.maglev import Maglev
from lbproxy.interfaces import IBackendPicker, IFailureReporter
from lbproxy.plugins.choice import PickerChoice
from lbproxy.plugins.making import buildPicker
from lbproxy.words.connection import Connection
from lbproxy.words.place import ConfigurationError, Place

BOTH = pytest.mark.parametrize("name", ["maglev", "rendezvous"])
PLACE = Place("lb.toml", "pool.web.picker")

notAFunction = "a key"


def network(connection: Connection) -> str:
    """All clients of one network are one."""
    return connection.client.host.rpartition(".")[0]


def packed(connection: Connection) -> bytes:
    """The same, as bytes."""
    return network(connection).encode()


def broken(connection: Connection) -> str:
    """It knows no key for these clients."""
    raise LookupError(connection.client.host)


def surrogate(connection: Connection) -> str:
    """What no encoding takes."""
    return "\ud800"


def number(connection: Connection) -> Any:
    """What is no key."""
    return 7


def needsMore(connection: Connection, more: int) -> str:
    """It cannot be called with a connection alone."""
    return ""


async def awaited(connection: Connection) -> str:
    """It takes its time."""
    return ""


class Made:
    """A class."""

    def __init__(self, connection: Connection) -> None:
        """Take a connection."""


def built(name: str, function: str, **options: object) -> IBackendPicker:
    key = f"python:{__name__}.{function}"
    return buildPicker(PickerChoice(name, {"key": key, **options}), PLACE)


@BOTH
@pytest.mark.parametrize("function", ["network", "packed"])
def test_aKeyOfOnesOwn(name: str, function: str) -> None:
    """What the function returns decides, and nothing else; text and bytes alike."""
    picker, view = built(name, function), viewOf(backends(50))
    picked = {picker.pick(view, clientAt(at)) for at in range(256)}
    assert len(picked) == 1
    assert len({picker.pick(view, clientAt(at << 8)) for at in range(40)}) > 10
    other = built(name, "network")
    assert picked == {other.pick(view, clientAt(0))}


@pytest.mark.parametrize("kind", [Rendezvous, Maglev])
def test_interfaces(kind: Any) -> None:
    """A picker by hash reports what its key function raises."""
    assert verifyObject(IFailureReporter, kind(network))


@BOTH
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("nothing", f"{__name__}.nothing cannot be imported"),
        ("notAFunction", f"python:{__name__}.notAFunction is not a function"),
        ("Made", f"python:{__name__}.Made is not a function"),
        ("awaited", f"python:{__name__}.awaited is async; a key is needed at once"),
        ("needsMore", f"python:{__name__}.needsMore cannot take the connection: "),
    ],
)
def test_refused(name: str, function: str, reason: str) -> None:
    """What cannot make keys is refused at the start: one line that names the key."""
    with pytest.raises(ConfigurationError) as raised:
        built(name, function)
    text = str(raised.value)
    written = f"{name}:key=python:{__name__}.{function}"
    assert text.startswith(f'lb.toml: pool.web.picker = "{written}": option "key": ')
    assert reason in text
    assert "\n" not in text


@BOTH
@pytest.mark.parametrize("written", ["cookie", 7, "python:", "python:.x"])
def test_neither(name: str, written: object) -> None:
    """A key is one of a few words, or a function."""
    with pytest.raises(ConfigurationError) as raised:
        buildPicker(PickerChoice(name, {"key": written}))
    assert 'option "key": expected ' in str(raised.value)
    assert '"python:package.module.' in str(raised.value)


@BOTH
@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("broken", "LookupError: 192.0.2.1"),
        ("number", "TypeError: expected str or bytes, not int"),
        ("surrogate", "surrogates not allowed"),
    ],
)
def test_fails(name: str, function: str, error: str, logged: list[LogEvent]) -> None:
    """
    A function that raises, or returns no key, ends no connection: the client goes where
    its address says.  The log has it once, with the function's name.
    """
    key = f"python:{__name__}.{function}"
    story = Story(A, B, C, pool=f'picker = {{ name = "{name}", key = "{key}" }}')
    plain = Story(A, B, C, pool=f'picker = "{name}"')
    for each in (story, plain):
        for _ in range(3):
            each.client(b"x")
        assert not each.records.closes
    assert [len(each.accepted) for each in story.backends] == [
        len(each.accepted) for each in plain.backends
    ]
    (failed,) = (event for event in logged if "log_failure" in event)
    assert failed["plugin"] == f"{__name__}.{function}.key"
    value = failed["log_failure"].value
    assert error in f"{type(value).__name__}: {value}"
    story.stop()
    more = [event["more"] for event in logged if "more" in event]
    assert more == [2]


def test_withoutAPool() -> None:
    """Where nobody takes its failures, as in a test of a picker, it raises them."""
    with pytest.raises(LookupError):
        Maglev(broken).pick(viewOf(backends(2)), aConnection())
