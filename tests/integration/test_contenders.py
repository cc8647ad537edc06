"""lbproxy can be measured beside other balancers, and nothing is left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from xml.etree import ElementTree

import psutil
import pytest

from bench.contenders.configs import LBPROXY, LBPROXY_TLS
from bench.contenders.loads import abTls, wrk
from bench.contenders.processes import HOST, Broken, answers, freePort, started
from bench.contenders.tls import Certificate, check, client
from bench.idle import Keeper, opened

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


ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"


@contextmanager
def answering(tls: ssl.SSLContext) -> Iterator[tuple[int, list[bool]]]:
    """
    A server that closes after each answer.

    @return: Its port, and whether each client resumed a session.
    """
    resumed: list[bool] = []
    with socket.create_server((HOST, 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    accepted = listening.accept()[0]
                except OSError:
                    return
                with (
                    suppress(OSError),
                    accepted,
                    tls.wrap_socket(accepted, server_side=True) as secure,
                ):
                    if secure.recv(65536):
                        resumed.append(bool(secure.session_reused))
                        secure.sendall(ANSWER)
                        secure.unwrap()

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], resumed
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def server(directory: Path) -> ssl.SSLContext:
    """What a server needs that has a certificate of the bench's."""
    made = Certificate.made(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.key)
    return context


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_resumed(tmp_path: Path) -> None:
    """wrk resumes the session of the connection that a new one replaces."""
    with answering(server(tmp_path)) as (port, resumed):
        load = wrk(port, "/small", 2, 1, close=True, tls=True)
    assert load.requests > 10
    assert resumed.count(False) <= 2 < resumed.count(True)


@pytest.mark.skipif(not shutil.which("ab"), reason="ab is not installed")
def test_fullHandshakes(tmp_path: Path) -> None:
    """ab makes a full handshake for each request."""
    with answering(server(tmp_path)) as (port, resumed):
        load = abTls(port, "/small", 2, 1, tmp_path)
    assert load.requests > 10
    assert len(resumed) >= load.requests
    assert True not in resumed


def test_check(tmp_path: Path) -> None:
    """A contender has to speak the version and the cipher that all others speak."""
    context = server(tmp_path)
    with answering(context) as (port, _):
        check("it", port)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(
            Broken, match=r"^it: speaks TLSv1\.2 with ECDHE-.* not TLSv"
        ):
            check("it", port)
    with (
        closing(Keeper()) as keeper,
        pytest.raises(Broken, match=r"^it: speaks no TLS: .*timed out"),
    ):
        check("it", keeper.port, 0.2)


def test_idleOverTls(tmp_path: Path) -> None:
    """Idle connections may speak TLS with what is before the one that keeps them."""
    with closing(Keeper()) as keeper:
        toml = tmp_path / "lbproxy.toml"
        made, port = Certificate.made(tmp_path), freePort()
        toml.write_text(
            LBPROXY.format(
                process="",
                host=HOST,
                port=port,
                tls=LBPROXY_TLS.format(chain=made.chain, key=made.key),
                backend=keeper.port,
            )
        )
        command = [sys.executable, "-m", "lbproxy", "--config", str(toml)]
        with started("lbproxy", command, port, tmp_path / "log"):
            check("lbproxy", port)
            before = len(keeper.kept)
            with opened(keeper, port, 5, client()):
                assert len(keeper.kept) >= before + 5


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
@pytest.mark.parametrize("work", ["keepalive-64B", "tls-keepalive-64B", "tls-resumed"])
def test_narrowed(work: str, tmp_path: Path) -> None:
    """
    C{python -m bench}, narrowed to a second of one kind of work, has the table, its
    figures as JSON and a drawing of them.
    """
    figures, drawing = tmp_path / "figures.json", tmp_path / "drawing.svg"
    files = ["--json", str(figures), "--plot", str(drawing)]
    with benched("--rounds", "1", "--seconds", "1", *files, work=work) as process:
        said, wrong = process.communicate(timeout=120)
        assert process.returncode == 0, wrong
        assert session(process.pid) == []
    names = [line.split()[0] for line in said.splitlines() if line]
    assert work in names
    measured = json.loads(figures.read_text())["ranges"][work]
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
