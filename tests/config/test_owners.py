"""Users and groups in configuration."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from lbproxy.config.file import configurationFromText
from lbproxy.config.model import ListenerConfiguration
from lbproxy.words.place import ConfigurationError

USER = pwd.getpwuid(os.getuid())
GROUP = grp.getgrgid(os.getgid())


def configured(keys: str, listen: str = "unix:/run/web.sock") -> ListenerConfiguration:
    """A listener with some keys."""
    text = (
        f'[[listener]]\nname = "web"\nlisten = ["tcp:8080", "{listen}"]\n{keys}\n'
        '[pool.web]\nbackends = ["tcp:127.0.0.1:9001"]\n'
    )
    return configurationFromText(text, "lb.toml").listeners[0]


@pytest.mark.parametrize(
    ("key", "value", "attribute", "number"),
    [
        ("socket-owner", f'"{USER.pw_name}"', "socketOwner", USER.pw_uid),
        ("socket-owner", "4321", "socketOwner", 4321),
        ("socket-owner", '"4321"', "socketOwner", 4321),
        ("socket-owner", "0", "socketOwner", 0),
        ("socket-owner", '""', "socketOwner", None),
        ("socket-group", f'"{GROUP.gr_name}"', "socketGroup", GROUP.gr_gid),
        ("socket-group", "4321", "socketGroup", 4321),
    ],
)
def test_namesAndNumbers(
    key: str, value: str, attribute: str, number: int | None
) -> None:
    """A name means this system's user or group; a number means itself."""
    listener = configured(f"{key} = {value}")
    assert getattr(listener, attribute) == number
    assert configured("").socketOwner is configured("").socketGroup is None


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (
            'socket-owner = "no-such-user"',
            'socket-owner = "no-such-user": there is no such user on this system',
        ),
        (
            'socket-group = "no-such-group"',
            'socket-group = "no-such-group": there is no such group on this system',
        ),
        *[
            (
                f"socket-owner = {value}",
                f"socket-owner = {value}: expected the name or the number of a user",
            )
            for value in ("-1", "true", "1.5", "4294967295", '"4294967295"', "[]")
        ],
    ],
)
def test_errors(keys: str, reason: str) -> None:
    """Who is not there, or cannot be, is one clear error."""
    with pytest.raises(ConfigurationError) as raised:
        configured(keys)
    assert str(raised.value) == f"lb.toml: listener.web.{reason}"


@pytest.mark.parametrize("key", ["socket-owner", "socket-group"])
def test_noSocket(key: str) -> None:
    """Where nothing has an owner, naming one is a mistake."""
    with pytest.raises(ConfigurationError) as raised:
        configured(f"{key} = 0", listen="tcp:8081")
    assert str(raised.value) == (
        f"lb.toml: listener.web.{key}: no endpoint of this listener is a UNIX socket"
    )
