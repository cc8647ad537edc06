"""A file is used as a whole, or one line says why not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbproxy.balance.health import EjectionOptions
from lbproxy.config.file import configurationFromText, loadConfiguration
from lbproxy.words.place import ConfigurationError

GOOD = """
[[listener]]
name = "web"
listen = "tcp:8080"
{listener}

[pool.web]
backends = ["tcp:127.0.0.1:9001", "tcp:127.0.0.1:9002"]
{pool}

{rest}
"""

A_DURATION = (
    "expected a duration of 0 or more: a number of seconds, or such as "
    '"250ms", "5s", "10m", "1h"'
)


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        configurationFromText(text, "lb.toml")
    return str(raised.value)


def test_aFileIsRead(tmp_path: Path) -> None:
    """A file with a listener and a pool is all that is needed."""
    file = tmp_path / "lb.toml"
    file.write_text(GOOD.format(listener="", pool="", rest=""), encoding="utf-8")
    configuration = loadConfiguration(str(file))
    assert [each.name for each in configuration.listeners] == ["web"]
    assert configuration == configurationFromText(file.read_text(), "elsewhere")


@pytest.mark.parametrize(
    ("listener", "line"),
    [
        (
            'idle-timeout = "5 parsecs"',
            f'listener.web.idle-timeout = "5 parsecs": {A_DURATION}',
        ),
        ("idle-timeout = -1", f"listener.web.idle-timeout = -1: {A_DURATION}"),
        ("idle-timeout = inf", f"listener.web.idle-timeout = inf: {A_DURATION}"),
        ("idle-timeout = true", f"listener.web.idle-timeout = true: {A_DURATION}"),
        ('max-lifetime = "x"', f'listener.web.max-lifetime = "x": {A_DURATION}'),
        ("stall-timeout = []", f"listener.web.stall-timeout = []: {A_DURATION}"),
        (
            "half-close-timeout = {}",
            f"listener.web.half-close-timeout = {{}}: {A_DURATION}",
        ),
        ('half-close = "no"', 'listener.web.half-close = "no": expected true or false'),
        ("half-close = 0", "listener.web.half-close = 0: expected true or false"),
        (
            "backlog = 0",
            "listener.web.backlog = 0: expected a whole number from 1 to 65535",
        ),
        (
            "backlog = 65536",
            "listener.web.backlog = 65536: expected a whole number from 1 to 65535",
        ),
        (
            "backlog = 1.5",
            "listener.web.backlog = 1.5: expected a whole number from 1 to 65535",
        ),
        (
            'keepalive = "100ms"',
            'listener.web.keepalive = "100ms": expected 0 for off, or 1s to 9h',
        ),
        ('mode = "http"', 'listener.web.mode = "http": expected "tcp"'),
        (
            'pool = "wbe"',
            'listener.web.pool = "wbe": no such pool; the nearest known one is "web"',
        ),
        (
            "router = 1",
            'listener.web.router = 1: expected "python:package.module.Attribute"',
        ),
        (
            "idle-timout = 1",
            (
                "listener.web.idle-timout = 1: unknown key; the nearest known one is "
                '"idle-timeout"'
            ),
        ),
        (
            "tls = { alpn = [] }",
            "listener.web.tls.certificates: this key is required",
        ),
    ],
)
def test_badListener(listener: str, line: str) -> None:
    """What is wrong with a listener is said under its name."""
    assert refusal(GOOD.format(listener=listener, pool="", rest="")) == (
        f"lb.toml: {line}"
    )


@pytest.mark.parametrize(
    ("pool", "line"),
    [
        ('connect-timeout = "0s"', 'connect-timeout = "0s": must be more than 0'),
        ("dial-deadline = 0", "dial-deadline = 0: must be more than 0"),
        ("retries = -1", "retries = -1: expected a whole number of 0 or more"),
        ("retries = 1.0", "retries = 1.0: expected a whole number of 0 or more"),
        (
            'picker = ""',
            'picker = "": expected the name of a picker, "NAME:key=value", or a table',
        ),
        (
            'balance = "random"',
            (
                'balance = "random": unknown key; known: backends, connect-timeout, '
                "dial-deadline, discovery, ejection, health-check, max-dials, "
                "on-member-down, picker, queue-length, queue-timeout, removal-timeout, "
                "retries, slow-start, when-all-down"
            ),
        ),
        (
            "health-check = 1",
            "health-check = 1: expected a table, [pool.NAME.health-check]",
        ),
        ("discovery = {}", "discovery.name: this key is required"),
        (
            'discovery = { kind = "srv", name = "_a._tcp.b", port = 1 }',
            ('discovery.port = 1: this key is for kind = "dns", and kind is "srv"'),
        ),
        (
            "tls = {}",
            (
                "tls = {}: unknown key; known: backends, connect-timeout, "
                "dial-deadline, discovery, ejection, health-check, max-dials, "
                "on-member-down, picker, queue-length, queue-timeout, removal-timeout, "
                "retries, slow-start, when-all-down"
            ),
        ),
    ],
)
def test_badPool(pool: str, line: str) -> None:
    """What is wrong with a pool is said under its name."""
    assert refusal(GOOD.format(listener="", pool=pool, rest="")) == (
        f"lb.toml: pool.web.{line}"
    )


@pytest.mark.parametrize(
    ("backends", "line"),
    [
        ("[]", " = []: expected a list of at least one"),
        ('"tcp:a:1"', ' = "tcp:a:1": expected a list'),
        ("[1]", "[0] = 1: expected a table, [[pool.NAME.backends]]"),
        (
            '[""]',
            (
                '[0] = "": expected a Twisted client endpoint description such as '
                '"tcp:127.0.0.1:9001"'
            ),
        ),
        ('["a", {}]', "[1].connect: this key is required"),
        ('[{ name = "a" }]', "[0].connect: this key is required"),
        (
            '["a", { connect = "b", weight = 0 }]',
            "[1].weight = 0: expected a whole number from 1 to 65535",
        ),
        (
            '["a", { connect = "b", weight = 65536 }]',
            "[1].weight = 65536: expected a whole number from 1 to 65535",
        ),
        (
            '["a", { connect = "b", wieght = 2 }]',
            '[1].wieght = 2: unknown key; the nearest known one is "weight"',
        ),
        (
            '["a", { connect = "b", name = "c d" }]',
            (
                '[1].name = "c d": expected a name: 1 to 255 printable characters '
                "without spaces"
            ),
        ),
        (
            '["a", { connect = "b", name = "a" }]',
            '[1] = "a": another backend of this pool has this name',
        ),
    ],
)
def test_badBackends(backends: str, line: str) -> None:
    """A backend is named by its position, from 0."""
    text = f'[[listener]]\nlisten = "tcp:1"\n[pool.web]\nbackends = {backends}'
    assert refusal(text) == f"lb.toml: pool.web.backends{line}"


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        (
            "[process]\nroute-timeout = 0",
            "process.route-timeout = 0: must be more than 0",
        ),
        (
            "[process]\npick-timeout = 0.0",
            "process.pick-timeout = 0.0: must be more than 0",
        ),
        (
            '[process]\nclose-timeout = "0ms"',
            'process.close-timeout = "0ms": must be more than 0',
        ),
        (
            "[process]\nmax-connections = -1",
            "process.max-connections = -1: expected a whole number of 0 or more",
        ),
        (
            "[process]\nworkers = 2",
            "process.workers = 2: not available in this version",
        ),
        (
            '[log]\naccess = ""',
            'log.access = "": expected a path, "stdout" or "none"',
        ),
        (
            '[log]\nformat = "json"',
            'log.format = "json": not available in this version',
        ),
        (
            '[admin]\nlisten = "tcp:9900"',
            'admin = { listen = "tcp:9900" }: not available in this version',
        ),
        (
            '[pool."a b"]\nbackends = ["tcp:a:1"]',
            (
                'pool."a b" = "a b": expected a name: 1 to 255 printable characters '
                "without spaces"
            ),
        ),
        (
            '[[listener]]\nname = "mail"',
            "listener.mail.listen: this key is required",
        ),
        (
            "[[listener]]\nlisten = []",
            "listener[1].listen = []: expected a list of at least one",
        ),
        (
            '[[listener]]\nlisten = ["tcp:1", 2]',
            (
                "listener[1].listen[1] = 2: expected a Twisted server endpoint "
                'description such as "tcp:8080"'
            ),
        ),
        (
            '[[listener]]\nlisten = "tcp:8080"',
            'listener[1].listen = "tcp:8080": this is listened on already',
        ),
        (
            '[[listener]]\nname = "web"\nlisten = "tcp:1"',
            'listener.web.name = "web": another listener has this name',
        ),
    ],
)
def test_badRest(rest: str, line: str) -> None:
    """Every table of the file is watched over."""
    assert refusal(GOOD.format(listener="", pool="", rest=rest)) == f"lb.toml: {line}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "listener: there is none; write at least one [[listener]]"),
        (
            '[listener]\nlisten = "tcp:1"',
            (
                'listener = { listen = "tcp:1" }: expected an array of tables, '
                "[[listener]]"
            ),
        ),
        ("process = 1", "process = 1: expected a table, [process]"),
        ("pool = 1", "pool = 1: expected tables, [pool.NAME]"),
        ("[[pool]]", "pool = [{}]: expected tables, [pool.NAME]"),
        ("pool.web = 1", "pool.web = 1: expected a table, [pool.NAME]"),
        (
            "a = ",
            "is not TOML: Invalid value (at end of document)",
        ),
        ("a = " + "[" * 9999, "is nested too deeply"),
        (
            r'[pool.web]\nbackends = ["tcp:\:\:1:9001"]'.replace("\\n", "\n"),
            (
                r"is not TOML: Unescaped '\' in a string (at line 2, column 20); in "
                r"double quotes each backslash is written twice, in single quotes "
                r"once: 'tcp:\:\:1:9001'"
            ),
        ),
    ],
)
def test_badFile(text: str, line: str) -> None:
    """What is no configuration at all is told from one that is nearly right."""
    assert refusal(text) == f"lb.toml: {line}"


def test_enormousNumbers() -> None:
    """Numbers with thousands of digits are refused like any other."""
    assert refusal("a = " + "9" * 9999).startswith("lb.toml: is not TOML: ")
    assert refusal("log.access = 0x" + "f" * 9999) == (
        f'lb.toml: log.access = 0x{"f" * 75}...: expected a path, "stdout" or "none"'
    )


def test_noFile(tmp_path: Path) -> None:
    """A file that is not there is named as it was given."""
    path = str(tmp_path / "absent.toml")
    with pytest.raises(ConfigurationError) as raised:
        loadConfiguration(path)
    assert str(raised.value) == f"{path}: cannot be read: No such file or directory"


def test_aDirectory(tmp_path: Path) -> None:
    """A directory is no file."""
    with pytest.raises(ConfigurationError) as raised:
        loadConfiguration(str(tmp_path))
    assert str(raised.value) == f"{tmp_path}: cannot be read: Is a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_noPermission(tmp_path: Path) -> None:
    """A file that one may not read is told from one that is not there."""
    file = tmp_path / "secret.toml"
    file.touch(mode=0)
    with pytest.raises(ConfigurationError) as raised:
        loadConfiguration(str(file))
    assert str(raised.value) == f"{file}: cannot be read: Permission denied"


def test_noPathAtAll() -> None:
    """Even a path that no file can have gets one line."""
    with pytest.raises(ConfigurationError) as raised:
        loadConfiguration("a\0b")
    assert str(raised.value) == "a\\x00b: cannot be read: embedded null byte"


def test_notText(tmp_path: Path) -> None:
    """A file in another encoding is refused with the line where it shows."""
    file = tmp_path / "latin.toml"
    file.write_bytes(b"# one\n# caf\xe9\n")
    with pytest.raises(ConfigurationError) as raised:
        loadConfiguration(str(file))
    assert str(raised.value) == f"{file}: is not UTF-8 (at line 2)"


def test_aMarkAtTheBeginning(tmp_path: Path) -> None:
    """A file that an editor saved with a byte order mark is read like any other."""
    text = GOOD.format(listener="", pool="", rest="")
    file = tmp_path / "lb.toml"
    file.write_text(text, encoding="utf-8-sig")
    expected = configurationFromText(text, "lb.toml")
    assert loadConfiguration(str(file)) == expected
    assert configurationFromText("\ufeff" + text, "lb.toml") == expected


def test_linesAreCountedBehindAMark(tmp_path: Path) -> None:
    """The mark does not move the line at which something is wrong."""
    file = tmp_path / "lb.toml"
    file.write_bytes(b"\xef\xbb\xbf# one\n\xe9")
    with pytest.raises(ConfigurationError) as raised:
        loadConfiguration(str(file))
    assert str(raised.value) == f"{file}: is not UTF-8 (at line 2)"


@settings(deadline=None)
@given(st.text() | st.text(alphabet='[]{}"=,.ap1\n'))
def test_anyTextGetsOneLine(text: str) -> None:
    """No text is a configuration by accident, and none breaks the reader."""
    assert len(refusal(text).splitlines()) == 1


def test_ejection() -> None:
    """A pool says when its members are ejected; each key has its default."""
    written = """
[[listener]]
listen = "tcp:8080"
[pool.web]
backends = ["tcp:127.0.0.1:9001"]
[pool.web.ejection]
consecutive-failures = 3
max-ejected = "12.5%"
empty-answer = "failure"
"""
    (pool,) = configurationFromText(written, "f").pools
    assert pool.ejection == EjectionOptions(3, 30.0, 300.0, 0.125, "failure")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("max-ejected = 0.5", 'expected a share from "0%" to "100%"'),
        ('max-ejected = "101%"', 'expected a share from "0%" to "100%"'),
        ('max-time = "10s"', "expected at least base-time, which is 30s"),
        ("base-time = 0", "more than 0"),
        ('empty-answer = "maybe"', '"ok"'),
        ("consecutive-failure = 3", "consecutive-failures"),
    ],
)
def test_badEjection(line: str, error: str) -> None:
    """What is wrong with it is one line that names the key."""
    written = (
        '[[listener]]\nlisten = "tcp:8080"\n[pool.web]\n'
        f'backends = ["tcp:127.0.0.1:9001"]\n[pool.web.ejection]\n{line}\n'
    )
    with pytest.raises(ConfigurationError, match="ejection") as raised:
        configurationFromText(written, "f")
    assert error in str(raised.value)
