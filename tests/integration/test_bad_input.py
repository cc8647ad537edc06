"""
What is wrong with options or configuration is said in one line, by C{twistd} too;
C{../test_bad_input.py} has all that may be wrong.
"""

from __future__ import annotations

import signal
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from .daemon import freePort, listens, run

VALID = """
[[listener]]
listen = "tcp:{port}:interface=127.0.0.1"

[pool.web]
backends = ["tcp:127.0.0.1:9001"]
"""


BAD = VALID + "\nretrys = 5"


def saysOneLine(ended: CompletedProcess[str]) -> str:
    """The one line that says what is wrong, the status being 1."""
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stdout
    (line,) = ended.stderr.splitlines()
    return line


def test_options(tmp_path: Path) -> None:
    """What is wrong at the start is named; nothing is left listening."""
    port = freePort()
    free = f"tcp:{port}:interface=127.0.0.1"
    options = [f"--listen={free}", "--access-log=/no/such/place/log"]
    line = saysOneLine(run("-n", "--pidfile=", "lbproxy", *options, directory=tmp_path))
    assert "/no/such/place" in line
    assert not listens(port)


@pytest.mark.parametrize("check", [False, True])
def test_files(check: bool, tmp_path: Path) -> None:
    """A mistake in a file is named, whether it is to be started or looked at."""
    (tmp_path / "lbproxy.toml").write_text(BAD.format(port=freePort()))
    options = ["--check"] if check else []
    line = saysOneLine(
        run(
            "-n",
            "--pidfile=",
            "lbproxy",
            "-c",
            "lbproxy.toml",
            *options,
            directory=tmp_path,
        )
    )
    for word in ["lbproxy.toml", "pool.web.retrys", "5", "retries"]:
        assert word in line


def test_check(tmp_path: Path) -> None:
    """C{--check} says that a file is valid, and starts and leaves nothing."""
    config = tmp_path / "lbproxy.toml"
    port = freePort()
    config.write_text(VALID.format(port=port))
    ended = run("lbproxy", "--check", "--config", str(config), directory=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "configuration is valid\n"
    assert not listens(port)
    assert [path.name for path in tmp_path.iterdir()] == ["lbproxy.toml"]


def test_daemonWithBadOptions(tmp_path: Path) -> None:
    """A daemon is refused before it goes to the background."""
    line = saysOneLine(run("lbproxy", "--listen=tcp:x", directory=tmp_path))
    assert "tcp:x" in line
    assert not (tmp_path / "twistd.pid").exists()


def test_unprintable(tmp_path: Path) -> None:
    """Whatever was written, the error is one line, and shows what it was."""
    ended = run("-n", "lbproxy", "-l", "tcp:1\n\x1b[31m", directory=tmp_path)
    assert "\x1b" not in saysOneLine(ended)
    assert ended.returncode != -signal.SIGABRT
