"""Whom the socket of a UNIX listener belongs to."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .daemon import Daemon, run
from .peers import Backend, asks, echo


def written(directory: Path, listen: str, keys: str, connect: str) -> str:
    """The option that names a file with some keys for its listener."""
    path = directory / "lbproxy.toml"
    path.write_text(
        f'[[listener]]\nname = "front"\nlisten = "{listen}"\n{keys}\n'
        f'[pool.web]\nbackends = ["{connect}"]\n'
    )
    return f"--config={path}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize("mode", [0o1777, 0o777])
def test_droppedPrivileges(serve: Callable[..., Backend], mode: int) -> None:
    """
    Opened by root, the socket belongs to the user and the group that are named; the
    user that lbproxy has become can remove it when it stops.
    """
    nobody = pwd.getpwnam("nobody")
    with TemporaryDirectory(prefix="lb") as name:
        directory = Path(name)
        directory.chmod(mode)
        keys = f'socket-owner = "nobody"\nsocket-group = {nobody.pw_gid}'
        listen = f"unix:{name}/front:mode=660"
        config = written(directory, listen, keys, serve(echo).connect)
        daemon = Daemon(["--uid=nobody", "lbproxy", config], directory)
        try:
            daemon.untilListening(1)
            there = os.stat(f"{name}/front")
            assert there.st_uid == nobody.pw_uid
            assert there.st_gid == nobody.pw_gid
            assert there.st_mode & 0o777 == 0o660
            with daemon.connect() as connected:
                assert asks(connected, b"hello") == b"hello"
        finally:
            daemon.stop()
        assert not list(directory.glob("front*"))


@pytest.mark.parametrize("check", [["--check"], []])
@pytest.mark.parametrize(
    ("listen", "keys", "said"),
    [
        ("unix:front", 'socket-owner = "nobody-at-all"', "there is no such user"),
        ("unix:front", 'socket-group = "nobody-at-all"', "there is no such group"),
        ("tcp:0", "socket-owner = 0", "socket-owner: no endpoint of this listener"),
    ],
)
def test_mistakes(
    tmp_path: Path, check: list[str], listen: str, keys: str, said: str
) -> None:
    """A user who is not there is one line, checked or started."""
    config = written(tmp_path, listen, keys, "tcp:127.0.0.1:9")
    ended = run("-n", "--pidfile=", "lbproxy", config, *check, directory=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert said in line
    assert "listener.front.socket-" in line
    assert not list(tmp_path.glob("front*"))
