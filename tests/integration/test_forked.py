"""A daemon that is forked is like one that is started; some are never forked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .daemon import LOOPBACK, PATIENCE, TWISTD, Daemon, eventually
from .forked import Forked, ForkServer, unmeasured

FACTS = """
import gc, json, os, random, resource, signal, sys, threading
from twisted.application.service import Application
from twisted.internet import reactor

def target(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").partition("[")[0]
    except FileNotFoundError:
        return None

umask = os.umask(0)
os.umask(umask)
facts = {
    "arguments": sys.argv,
    "path": sys.path,
    "flags": list(sys.flags),
    "main": sys.modules["__main__"].__file__,
    "environment": dict(os.environ),
    "directory": os.getcwd(),
    "umask": umask,
    "descriptors": {each: target(each) for each in os.listdir("/proc/self/fd")},
    "limits": [resource.getrlimit(each) for each in range(resource.RLIMIT_NOFILE + 1)],
    "signals": {each: str(signal.getsignal(each)) for each in signal.valid_signals()},
    "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "group": os.getpgid(0),
    "session": os.getsid(0),
    "threads": [each.name for each in threading.enumerate()],
    "reactor": type(reactor).__name__,
    "collector": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()],
    "streams": [
        (each.encoding, each.errors, each.line_buffering, each.write_through, each.mode)
        for each in (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    ],
}
with open("facts.json", "w") as file:
    json.dump(facts, file)
print(random.random(), file=sys.__stdout__)
application = Application("facts")
reactor.callWhenRunning(reactor.stop)
"""


@pytest.fixture
def server() -> Iterator[ForkServer]:
    """What forks daemons."""
    server = ForkServer(TWISTD)
    yield server
    server.close()


def facts(directory: Path, server: ForkServer | None) -> tuple[Any, bytes]:
    """
    What a program finds that C{twistd} runs, and a number that it draws.

    @param server: What forks it; by default it is started.
    """
    directory.mkdir()
    environment = {**unmeasured(os.environ), "LB_TEST": "\udcff ä"}
    program = directory.parent / "facts.py"
    program.write_text(FACTS)
    options = ["--nodaemon", "--pidfile=", "--logfile=log", f"--python={program}"]
    command = [TWISTD, *options]
    with (directory / "out").open("ab") as out, (directory / "err").open("ab") as err:
        if server is not None:
            streams = out.fileno(), err.fileno()
            process = server.fork(command, directory, environment, *streams)
            assert process.wait(PATIENCE) == 0
        else:
            subprocess.run(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=PATIENCE,
                check=True,
            )
    assert (directory / "err").read_bytes() == b""
    found = (directory / "facts.json").read_text().replace(str(directory), "HERE")
    return json.loads(found), (directory / "out").read_bytes()


def test_facts(tmp_path: Path, server: ForkServer) -> None:
    """A program finds the same surroundings, and chance anew in each process."""
    started, _ = facts(tmp_path / "started", None)
    first, one = facts(tmp_path / "first", server)
    second, another = facts(tmp_path / "second", server)
    assert first == started
    assert second == started
    assert one != another


def test_ends(tmp_path: Path, server: ForkServer) -> None:
    """It is waited for, sent signals, and killed, while another one lives on."""
    command = [TWISTD, "-n", "--pidfile=", "lbproxy", f"--listen={LOOPBACK}"]
    with (tmp_path / "out").open("ab") as out:
        streams = out.fileno(), out.fileno()
        stopped, killed, left = (
            server.fork(command, tmp_path, os.environ, *streams) for _ in range(3)
        )
    log = tmp_path / "out"
    eventually(lambda: log.read_text().count("listens on") == 3)
    assert stopped.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        stopped.wait(0.01)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(PATIENCE) == 0
    assert stopped.poll() == stopped.returncode == 0
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    killed.kill()
    assert left.poll() is None
    server.close()
    assert left.wait(PATIENCE) == -signal.SIGKILL


@pytest.mark.parametrize(
    "how",
    [
        {"afresh": True},
        {"environment": {"PYTHONPATH": "/nowhere"}},
        {"environment": {"COVERAGE_PROCESS_START": ""}},
    ],
    ids=str,
)
def test_started(tmp_path: Path, how: Any) -> None:
    """What depends on the start of the process has one of its own."""
    daemon = Daemon(["lbproxy", f"--listen={LOOPBACK}"], tmp_path, **how)
    assert isinstance(daemon.process, subprocess.Popen)
    daemon.untilListening(1)
    assert daemon.stop() == 0


def test_forked(tmp_path: Path) -> None:
    """Others are forked, unless it is measured which lines they cover."""
    environment = {"LB_TEST": "1"}
    daemon = Daemon(
        ["lbproxy", f"--listen={LOOPBACK}"], tmp_path, environment=environment
    )
    measured = set(unmeasured(os.environ)) != set(os.environ)
    assert isinstance(daemon.process, subprocess.Popen if measured else Forked)
    daemon.untilListening(1)
    assert daemon.stop() == 0
