"""The command line is a short way to write one listener and one pool."""

from __future__ import annotations

import pytest

from lbproxy.config.commandline import OptionPlace, configurationFromEndpoints
from lbproxy.config.whole import configurationFromMapping
from lbproxy.plugins.choice import PickerChoice
from lbproxy.words.backend import Backend
from lbproxy.words.place import ConfigurationError


def test_itIsWhatAFileWouldSay() -> None:
    """Nothing behaves differently for being given on the command line."""
    assert configurationFromEndpoints(
        ["tcp:1", "tcp:2"], ["tcp:a:1", "tcp:a:2"], "hash:key=client", "stdout"
    ) == configurationFromMapping(
        {
            "log": {"access": "stdout"},
            "listener": [{"name": "default", "listen": ["tcp:1", "tcp:2"]}],
            "pool": {
                "default": {
                    "backends": ["tcp:a:1", "tcp:a:2"],
                    "picker": "hash:key=client",
                }
            },
        }
    )


def test_defaultsAreTheFiles() -> None:
    """What is left out is as in a file that leaves it out."""
    configuration = configurationFromEndpoints(["tcp:1"], ["tcp:a:1"])
    assert configuration.accessLog == "none"
    (pool,) = configuration.pools
    assert pool.picker == PickerChoice("round-robin")
    assert pool.backends == (Backend("tcp:a:1"),)


def test_withoutBackendsThereIsRoomForTheDemo() -> None:
    """With nowhere to send to, the pool is empty, and the demo fills it."""
    (pool,) = configurationFromEndpoints(["tcp:1"]).pools
    assert (pool.name, pool.backends) == ("default", ())


@pytest.mark.parametrize(
    ("listen", "backends", "picker", "accessLog", "line"),
    [
        (
            [],
            ["tcp:a:1"],
            "random",
            "none",
            "--listen: say where to listen, such as --listen tcp:8080",
        ),
        (
            [""],
            [],
            "random",
            "none",
            (
                '--listen: "": expected a Twisted server endpoint description such as '
                '"tcp:8080"'
            ),
        ),
        (
            ["tcp:1", "tcp:1"],
            [],
            "random",
            "none",
            '--listen: "tcp:1": this is listened on already',
        ),
        (
            ["tcp:1"],
            ["tcp:a:1", ""],
            "random",
            "none",
            (
                '--backend: "": expected a Twisted client endpoint description such as '
                '"tcp:127.0.0.1:9001"'
            ),
        ),
        (
            ["tcp:1"],
            ["tcp:a:1", "tcp:a:1"],
            "random",
            "none",
            '--backend: "tcp:a:1": another backend of this pool has this name',
        ),
        (
            ["tcp:1"],
            ["tcp:a:1"],
            "hash:client",
            "none",
            '--picker: "hash:client": expected "NAME" or "NAME:key=value:key=value"',
        ),
        (
            ["tcp:1"],
            ["tcp:a:1"],
            "random",
            "",
            '--access-log: "": expected a path, "stdout" or "none"',
        ),
    ],
)
def test_theOptionIsNamed(
    listen: list[str], backends: list[str], picker: str, accessLog: str, line: str
) -> None:
    """Errors speak of options, not of the keys of a file that is not there."""
    with pytest.raises(ConfigurationError) as raised:
        configurationFromEndpoints(listen, backends, picker, accessLog)
    assert str(raised.value) == line


def test_laterErrorsNameTheOptionToo() -> None:
    """What only turns out when endpoints are made is blamed on the option."""
    configuration = configurationFromEndpoints(["tcp:1"], ["tcp:a:1"])
    (listener,), (pool,) = configuration.listeners, configuration.pools
    assert listener.place.key("listen") == OptionPlace("--listen")
    assert pool.place.key("backends").item(3) == OptionPlace("--backend")
    assert pool.place.key("picker") == OptionPlace("--picker")
