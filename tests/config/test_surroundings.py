"""What a start would find on this machine is found without starting."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lbproxy.config.model import Configuration
from lbproxy.config.surroundings import checkSurroundings
from lbproxy.config.whole import configurationFromMapping
from lbproxy.words.place import ConfigurationError, Place

LOG = Place("lb.toml").key("log").key("access")


def configured(listen: str = "tcp:0", access: str = "none") -> Configuration:
    return configurationFromMapping(
        {
            "log": {"access": access},
            "listener": [{"name": "web", "listen": listen}],
            "pool": {"web": {"backends": ["tcp:127.0.0.1:1"]}},
        },
        "lb.toml",
    )


def refusal(listen: str = "tcp:0", access: str = "none") -> str:
    with pytest.raises(ConfigurationError) as raised:
        checkSurroundings(configured(listen, access), LOG)
    return str(raised.value)


@pytest.mark.parametrize(
    "listen",
    [
        "tcp:0",
        "tcp:0:interface=127.0.0.1",
        "tcp6:0",
        r"tcp:0:interface=\:\:1",
        "tcp:0:interface=localhost",
        "unix:DIRECTORY/web.sock:mode=660",
    ],
)
def test_whatIsThere(listen: str, tmp_path: Path) -> None:
    """Nothing is said, and nothing is left behind."""
    listen = listen.replace("DIRECTORY", str(tmp_path))
    access = str(tmp_path / "access.log")
    assert checkSurroundings(configured(listen, access), LOG) == []
    assert not list(tmp_path.iterdir())


def test_absentDirectory() -> None:
    """A socket and a log need a directory that is there."""
    why = "No such file or directory: /nope"
    text = "unix:/nope/x.sock"
    assert refusal(text) == f'lb.toml: listener.web.listen = "{text}": {why}'
    text = "/nope/access.log"
    assert refusal(access=text) == f'lb.toml: log.access = "{text}": {why}'


def test_noDirectory(tmp_path: Path) -> None:
    """A file is no directory, and a directory is no file."""
    (tmp_path / "file").touch()
    assert refusal(access=f"{tmp_path}/file/log").endswith(
        f"Not a directory: {tmp_path}/file"
    )
    assert refusal(access=str(tmp_path)).endswith(": Is a directory")
    assert refusal(f"unix:{tmp_path}/file").endswith(": the file is not a socket")


@pytest.mark.parametrize("host", ["192.0.2.1", r"2001\:db8\:\:1"])
def test_addressOfAnotherHost(host: str) -> None:
    """An address that this host does not have cannot be listened on."""
    listen = f"tcp:0:interface={host}"
    assert refusal(listen) == str(
        Place("lb.toml", "listener.web.listen").refuse(
            listen, "Cannot assign requested address"
        )
    )


def test_addressInUse() -> None:
    """It is most likely the running daemon that has the port; nothing is said."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = f"tcp:{port}:interface=127.0.0.1"
        assert checkSurroundings(configured(listen), LOG) == []


def test_aPipe(tmp_path: Path) -> None:
    """It is not opened, since that would end its reader."""
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    assert checkSurroundings(configured(access=path), LOG) == [
        f'lb.toml: log.access = "{path}": not checked: whether anybody reads this pipe'
    ]


def test_systemd() -> None:
    """Its descriptors are there only at a start."""
    assert checkSurroundings(configured("systemd:INET:0"), LOG) == [
        (
            'lb.toml: listener.web.listen = "systemd:INET:0": not checked: systemd '
            "hands it over at the start"
        )
    ]


def unprivileged(configuration: Configuration) -> list[str]:
    """What somebody who is not root is told."""
    os.seteuid(65534)
    try:
        return checkSurroundings(configuration, LOG)
    finally:
        os.seteuid(0)


def portNeedsPrivileges() -> bool:
    path = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return path.exists() and int(path.read_text()) > 81


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_withoutPrivileges(tmp_path: Path) -> None:
    """What takes privileges is said to be unchecked; it may be started with them."""
    closed = tmp_path / "closed"
    closed.mkdir()
    tmp_path.chmod(0o700)
    own = closed / "own.log"
    for configuration, why in (
        (configured(f"unix:{closed}/x"), f"this user may not look into {closed}"),
        (configured(access=str(own)), f"this user may not look into {closed}"),
        (configured("unix:/x.sock"), "this user may not write to /"),
        (configured(access="/x.log"), "this user may not write to /"),
        (configured(access="/etc/passwd"), "this user may not write to it"),
    ):
        (line,) = unprivileged(configuration)
        assert line.endswith(f": not checked: {why}")
    if portNeedsPrivileges():
        (line,) = unprivileged(configured("tcp:81"))
        assert line.endswith(": not checked: this user may not listen on port 81")
