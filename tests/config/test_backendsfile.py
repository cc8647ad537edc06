"""A file with a list of backends is read, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbproxy import Backend, ConfigurationError
from lbproxy.config.backendsfile import BackendsFile
from lbproxy.testing import MemoryNetwork

REACTOR = MemoryNetwork()


def read(content: bytes, path: str) -> Sequence[Backend]:
    return BackendsFile(REACTOR).read(content, path)


HERE = "tcp:10.0.0.1:80"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("f", f'backends = ["{HERE}"]'),
        ("f.toml", f'\ufeffbackends = ["{HERE}"]\r\n'),
        ("f.toml", f'[[backends]]\nconnect = "{HERE}"'),
        ("f.json", f'["{HERE}"]'),
        ("f.json", f'\ufeff {{"backends": ["{HERE}"]}}\n'),
        ("f.json", f'[{{"connect": "{HERE}"}}]'),
    ],
)
def test_spellings(path: str, content: str) -> None:
    """TOML is read, and JSON if the name says so, with or without a mark before it."""
    assert list(read(content.encode(), path)) == [Backend(HERE)]


@pytest.mark.parametrize(
    ("path", "content"), [("f", "backends = []"), ("f.json", "[]")]
)
def test_noBackends(path: str, content: str) -> None:
    """A pool may be without backends for a while, if the file says so."""
    assert list(read(content.encode(), path)) == []


def test_allKeys() -> None:
    """A backend has the keys that it has in the configuration."""
    table = {
        "connect": HERE,
        "name": "first",
        "weight": 3,
        "max-connections": 7,
        "backup": True,
        "state": "drain",
        "bind": "10.0.0.9",
    }
    (found,) = read(json.dumps([table]).encode(), "f.json")
    assert (found.name, found.weight, found.maxConnections) == ("first", 3, 7)
    assert (found.state, found.bind) == ("drain", "10.0.0.9")


DEEP = 100_000

WRONG: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("f", "", "is empty"),
    "blank": ("f.json", " \n\n", "is empty"),
    "onlyAMark": ("f", "\ufeff", "is empty"),
    "latin1": ("f", b"backends = []\n# \xe4", "is not UTF-8 (at line 2)"),
    "latin1Json": ("f.json", b'[\n"\xe4"]', "is not UTF-8 (at line 2)"),
    "utf16": ("f.json", '["a"]'.encode("utf-16"), "is not UTF-8 (at line 1)"),
    "zeros": ("f", b"\0" * 9, "is not TOML: "),
    "halfToml": ("f", f'backends = ["{HERE}",', "is not TOML: "),
    "halfString": ("f", f'backends = ["{HERE[:5]}', "is not TOML: "),
    "halfJson": ("f.json", f'["{HERE}",', "is not JSON: "),
    "tomlAsJson": ("f.json", "backends = []", "is not JSON: "),
    "jsonAsToml": ("f.toml", f'["{HERE}"]', f'"{HERE}" = {{}}: unknown key'),
    "twoValues": ("f.json", "[] []", "is not JSON: Extra data"),
    "manyDigits": ("f.json", "[" + "9" * 5000 + "]", "is not JSON: "),
    "deepToml": ("f", "a = " + "[" * DEEP, "is nested too deeply"),
    "deepJson": ("f.json", "[" * DEEP, "is nested too deeply"),
    "text": ("f.json", '"a"', '"a": expected a list of backends'),
    "null": ("f.json", "null", "None: expected a list of backends"),
    "noKey": ("f.json", "{}", "backends: this key is required"),
    "comment": ("f", "# Nothing yet.", "backends: this key is required"),
    "otherKey": (
        "f",
        f'backend = ["{HERE}"]',
        f'backend = ["{HERE}"]: unknown key; the nearest known one is "backends"',
    ),
    "farKey": ("f", "port = 80", "port = 80: unknown key; known: backends"),
    "table": ("f", "[backends]", "backends = {}: expected a list"),
    "notAList": ("f", 'backends = "a"', 'backends = "a": expected a list'),
    "number": ("f.json", "[1]", "backends[0] = 1: expected a table"),
    "second": ("f.json", f'["{HERE}", null]', "backends[1] = None: expected a table"),
    "noConnect": ("f.json", "[{}]", "backends[0].connect: this key is required"),
    "description": ("f", 'backends = ["tcp"]', 'backends[0] = "tcp": '),
    "kind": ("f", 'backends = ["nope:a:1"]', 'backends[0] = "nope:a:1": unknown kind'),
    "noHost": ("f", 'backends = ["tcp::80"]', 'backends[0] = "tcp::80": the host is'),
    "badName": (
        "f",
        'backends = ["tcp:a..b:80"]',
        'backends[0] = "tcp:a..b:80": "a..b" cannot be the name of a host',
    ),
    "inner": (
        "f.json",
        '["tls:a:443:endpoint=tcp"]',
        'backends[0] = "tls:a:443:endpoint=tcp": it lacks "host" and "port"',
    ),
    "port": ("f.json", '["tcp:a:70000"]', 'backends[0] = "tcp:a:70000": '),
    "weight": (
        "f.json",
        f'[{{"connect": "{HERE}", "weight": 0}}]',
        "backends[0].weight = 0: expected a whole number from 1 to 65535",
    ),
    "notANumber": (
        "f.json",
        f'[{{"connect": "{HERE}", "weight": NaN}}]',
        "backends[0].weight = nan: expected a whole number from 1 to 65535",
    ),
    "keyOfABackend": (
        "f.json",
        f'[{{"connect": "{HERE}", "wieght": 2}}]',
        'backends[0].wieght = 2: unknown key; the nearest known one is "weight"',
    ),
    "header": (
        "f.json",
        f'[{{"connect": "{HERE}", "proxy-protocol": "v3"}}]',
        'backends[0].proxy-protocol = "v3": expected "off" or "v1" or "v2"',
    ),
    "twice": (
        "f.json",
        f'["{HERE}", "tcp:b:1", "{HERE}"]',
        f'backends[2] = "{HERE}": another backend of this pool has this name',
    ),
    "sameName": (
        "f",
        'backends = [{connect = "a:1", name = "n"}, {connect = "b:1", name = "n"}]',
        'backends[1] = "n": another backend of this pool has this name',
    ),
    "keyTwice": (
        "f.json",
        f'[{{"connect": "{HERE}", "connect": "tcp:b:1"}}]',
        'is not JSON: the key "connect" is there twice',
    ),
    "newlineInAKey": ("f.json", '{"a\\nb": 1}', r'"a\nb" = 1: unknown key'),
}


@pytest.mark.parametrize("case", WRONG)
def test_refused(case: str) -> None:
    """One line names the file, the key, and what was expected."""
    path, content, error = WRONG[case]
    given = content.encode() if isinstance(content, str) else content
    with pytest.raises(ConfigurationError) as raised:
        read(given, path)
    line = str(raised.value)
    assert line.startswith(f"{path}: {error}")
    assert line.isprintable()
    assert len(line) < 400


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.fixed_dictionaries({}, optional={"connect": inner, "weight": inner})
    ),
    max_leaves=8,
)


def outcome(content: bytes, path: str) -> Sequence[Backend] | None:
    """What is read; L{None} if it is refused in one line."""
    try:
        return read(content, path)
    except ConfigurationError as error:
        line = str(error)
    assert line.startswith(f"{path}: ")
    assert line.isprintable()
    return None


@given(VALUES | st.fixed_dictionaries({"backends": VALUES}))
def test_anyJson(document: object) -> None:
    """Whatever a program writes there is read, or refused in one line."""
    outcome(json.dumps(document).encode(), "f.json")


@given(st.binary(max_size=40), st.sampled_from(["f", "f.json"]))
def test_anyBytes(content: bytes, path: str) -> None:
    """So are bytes that mean nothing."""
    assert not outcome(content, path)


@given(st.integers(0, 60))
def test_halfWritten(length: int) -> None:
    """A list that is cut off is never a shorter list."""
    whole = f'backends = ["{HERE}", "tcp:10.0.0.2:80"]'.encode()
    for path, content in (("f", whole), ("f.json", whole[len("backends = ") :])):
        if length < len(content):
            assert outcome(content[:length], path) is None
        else:
            assert len(read(content, path)) == 2


def test_readAgain() -> None:
    """A backend that is new, or was wrong, is checked each time that a file is read."""
    file = BackendsFile(REACTOR)
    assert len(file.read(f'["{HERE}"]'.encode(), "f.json")) == 1
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="unknown kind of endpoint"):
            file.read(f'["{HERE}", "nope:a:1"]'.encode(), "f.json")
    assert len(file.read(f'["{HERE}", "tcp:a:1"]'.encode(), "f.json")) == 2
