"""The commands C{lbproxy} and C{python -m lbproxy}: C{twistd} in the foreground."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

import pytest

import lbproxy

from .daemon import LOOPBACK, PATIENCE, client, eventually, run
from .peers import Backend, asks, echo

SCRIPT = [str(Path(sys.executable).with_name("lbproxy"))]
MODULE = [sys.executable, "-m", "lbproxy"]
FACES = pytest.mark.parametrize("face", [SCRIPT, MODULE], ids=["script", "module"])

Ended = subprocess.CompletedProcess[str]


def faces(*arguments: str) -> list[list[str]]:
    """The same command in each of its spellings."""
    return [[*face, *arguments] for face in (SCRIPT, MODULE)]


def ended(directory: Path, *commands: Sequence[str]) -> list[Ended]:
    """Run commands beside each other to their end, which is expected soon."""
    started = [
        subprocess.Popen(
            words,
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in commands
    ]
    try:
        said = [each.communicate(timeout=PATIENCE) for each in started]
        return [
            subprocess.CompletedProcess(each.args, each.returncode, *output)
            for each, output in zip(started, said, strict=True)
        ]
    finally:
        for each in started:
            each.kill()


class Running:
    """A command that serves, with what it says on standard output."""

    def __init__(self, words: Sequence[str], directory: Path) -> None:
        self.said = directory.with_suffix(".stdout")
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                words, cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self.address = eventually(self._listens, "it does not listen")

    def stop(self, by: signal.Signals) -> int:
        """Stop it; its exit status."""
        self.process.send_signal(by)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()

    def _listens(self) -> str:
        assert self.process.poll() is None, self.said.read_text()
        found = re.search(r" listens on (\S+)", self.said.read_text())
        return "" if found is None else found[1]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the commands are run; it is empty."""
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


@pytest.fixture
def running(directory: Path) -> Iterator[Callable[..., Running]]:
    """Start a command that serves."""
    with ExitStack() as stack:

        def run(*words: str) -> Running:
            command = Running(words, directory)
            stack.callback(command.kill)
            return command

        yield run


@FACES
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_serves(
    running: Callable[..., Running],
    serve: Callable[..., Backend],
    directory: Path,
    face: Sequence[str],
    how: signal.Signals,
) -> None:
    """
    It serves until a signal stops it, ends with status 0, and leaves nothing in the
    current directory.
    """
    command = running(*face, "-l", LOOPBACK, "--backend", serve(echo).connect)
    with client(command.address) as connected:
        assert asks(connected, b"hello") == b"hello"
    assert command.stop(how) == 0
    assert "Traceback" not in command.said.read_text()
    assert not list(directory.iterdir())


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 1),
        (["--check", "--listen", "tcp:0", "--backend", "tcp:127.0.0.1:9001"], 0),
        (["--check", "--listen", "tcp:99999"], 1),
        (["--lisen", "tcp:1"], 1),
        (["--listen", "tcp:1", "tcp:2"], 1),
        (["--listen", "tcp:1", "--picker", "nobody"], 1),
        (["--config", "/nowhere/lbproxy.toml"], 1),
        (["--help"], 0),
        (["--version"], 0),
    ],
    ids=lambda value: " ".join(value) or "nothing" if type(value) is list else "",
)
def test_sameAsTwistd(directory: Path, arguments: list[str], status: int) -> None:
    """
    They take the same options, and say what C{twistd lbproxy} says of them; the help
    begins with the command that was typed.
    """
    foreground = ["--nodaemon", "--pidfile=", "lbproxy"]
    theirs = run(*foreground, *arguments, directory=directory, afresh=False)
    for ours in ended(directory, *faces(*arguments)):
        assert ours.returncode == theirs.returncode == status
        for said, expected in (
            (ours.stdout, theirs.stdout),
            (ours.stderr, theirs.stderr),
        ):
            command = re.sub(r"twistd (\[options\] )?lbproxy", "lbproxy", expected)
            assert said == command
        assert ours.stderr.count("\n") == status
        if "--version" in arguments:
            assert ours.stdout == f"lbproxy {metadata.version('lbproxy')}\n"
        if "--help" in arguments:
            assert ours.stdout.startswith("Usage: lbproxy [options]\n")
            assert "twistd" not in ours.stdout


def test_takenPort(directory: Path) -> None:
    """A port that is taken is one line on standard error, and status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        for command in ended(directory, *faces("--listen", listen)):
            assert command.returncode == 1
            assert command.stderr == (
                f"lbproxy: cannot listen on {listen}: Address already in use\n"
            )
            assert "Traceback" not in command.stdout


def test_version() -> None:
    """The package says which version was installed, as C{--version} does."""
    assert lbproxy.__version__ == metadata.version("lbproxy")
