"""lbproxy can be measured beside other balancers, and nothing is left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from xml.etree import ElementTree

import psutil
import pytest

from bench.contenders.processes import Broken, answers, freePort, started

ROOT = Path(__file__).parents[2]

needed = pytest.mark.skipif(
    not (shutil.which("wrk") and shutil.which("nginx")),
    reason="wrk and nginx are not installed",
)

PARENT = """\
import os, signal, socket, sys
if not os.fork():
    signal.pause()
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listening.accept()
"""


def session(leader: int) -> list[str]:
    """The names of the processes that are in a session."""
    found = []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == leader and process.status() != "zombie":
                found.append(process.name())
    return found


@contextmanager
def benched(
    *arguments: str, work: str = "keepalive-64B"
) -> Iterator[subprocess.Popen[str]]:
    """A bench of two contenders that is running, in a session of its own."""
    command = [sys.executable, "-m", "bench", "--only", work]
    command += ["--contender", "lbproxy*", "--contender", "nginx", *arguments]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@needed
@pytest.mark.long
def test_narrowed(tmp_path: Path) -> None:
    """
    C{python -m bench}, narrowed to a second of one kind of work, has the table, its
    figures as JSON and a drawing of them.
    """
    figures, drawing = tmp_path / "figures.json", tmp_path / "drawing.svg"
    files = ["--json", str(figures), "--plot", str(drawing)]
    with benched("--rounds", "1", "--seconds", "1", *files) as process:
        said, wrong = process.communicate(timeout=120)
        assert process.returncode == 0, wrong
        assert session(process.pid) == []
    names = [line.split()[0] for line in said.splitlines() if line]
    assert "keepalive-64B" in names
    measured = json.loads(figures.read_text())["ranges"]["keepalive-64B"]
    assert measured.keys() <= set(names)
    assert "nginx" in measured
    assert any(name.startswith("lbproxy") for name in measured)
    for each in measured.values():
        assert each["rate"]["median"] > 100
        assert 0 < each["p50"]["median"] <= each["p99"]["median"] < 5000
        assert each["user"]["median"] + each["system"]["median"] > 1
        assert each["errors"]["most"] == 0
    assert measured["nginx"]["ratio"]["median"] == 1
    assert ElementTree.parse(drawing).getroot().tag.endswith("}svg")


@needed
@pytest.mark.long
def test_besideBulk(tmp_path: Path) -> None:
    """
    Beside sixteen connections that move bulk, each message is answered, and none takes
    a second and a hundred times as long as through nginx.
    """
    figures = tmp_path / "figures.json"
    files = ["--rounds", "1", "--seconds", "2", "--json", str(figures)]
    with benched(*files, work="beside-bulk") as process:
        said, wrong = process.communicate(timeout=180)
        assert process.returncode == 0, wrong
    print(said)
    measured = json.loads(figures.read_text())["ranges"]["beside-bulk"]
    slowest = 100 * measured["nginx"]["p99"]["median"] + 1000
    for each in measured.values():
        assert each["errors"]["most"] == 0
        assert each["bulk"]["median"] > 1
        assert each["rate"]["median"] > 1
        assert 0 < each["p50"]["median"] <= each["p99"]["median"] < slowest


@needed
@pytest.mark.long
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stopped(told: signal.Signals) -> None:
    """A bench that is stopped ends what it has started."""
    with benched("--rounds", "9", "--seconds", "9") as process:
        never = Event()
        for _ in range(600):
            if "wrk" in (there := session(process.pid)):
                break
            never.wait(0.1)
        assert {"wrk", "nginx"} <= set(there)
        process.send_signal(told)
        process.communicate(timeout=30)
        assert process.returncode == 128 + told
        assert session(process.pid) == []


def test_familyEnds(tmp_path: Path) -> None:
    """A program is ended with the children that would not end with it."""
    port = freePort()
    command = [sys.executable, "-c", PARENT, str(port)]
    with started("parent", command, port, tmp_path / "log") as running:
        assert running.process is not None
        family = [running.process, *running.process.children()]
        assert len(family) == 2
        assert running.memory() > 2_000_000
        assert running.cpu().user >= 0
    # The child of a parent that has ended is reaped by another process, in its time.
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert not answers(port)
    with pytest.raises(Broken, match="it has ended"):
        running.cpu()


def test_doesNotStart(tmp_path: Path) -> None:
    """Of a program that ends at once, the last line that it printed is told."""
    command = [sys.executable, "-c", "raise SystemExit('first\\nno such file')"]
    with (
        pytest.raises(Broken, match=r"^ill: does not listen: no such file$"),
        started("ill", command, freePort(), tmp_path / "log"),
    ):
        pass
