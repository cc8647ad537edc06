"""lbproxy under every face of C{twistd}: foreground, daemon, other user, stop."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import psutil
import pytest

from .conftest import Start, StartTwistd, StartWith
from .daemon import (
    LOOPBACK,
    PATIENCE,
    client,
    eventually,
    freePort,
    listens,
    lowPort,
    run,
)
from .peers import Backend, asks, echo


@pytest.fixture
def startTwistd(startTwistd: StartTwistd) -> StartTwistd:
    """Start C{twistd} afresh: it is the start that is tested here."""
    return partial(startTwistd, afresh=True)


class Daemonised:
    """A C{twistd} that has gone to the background, with its pidfile and log."""

    def __init__(self, directory: Path, port: int) -> None:
        self.pidfile = directory / "lbproxy.pid"
        self.logfile = directory / "lbproxy.log"
        self._directory = directory
        self.port = port

    def start(self, *options: str) -> CompletedProcess[str]:
        """Run the launcher to its end."""
        return run(
            f"--pidfile={self.pidfile}",
            f"--logfile={self.logfile}",
            "lbproxy",
            f"--listen=tcp:{self.port}:interface=127.0.0.1",
            *options,
            directory=self._directory,
        )

    def says(self, words: str) -> bool:
        """Whether some words are in its log."""
        return words in self.logfile.read_text()

    def processes(self) -> list[psutil.Process]:
        """All that run with this pidfile."""
        found = []
        for process in psutil.process_iter():
            try:
                if f"--pidfile={self.pidfile}" in process.cmdline():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self) -> None:
        """Leave nothing behind."""
        for process in self.processes():
            process.kill()


@pytest.fixture
def daemonised(tmp_path: Path) -> Iterator[Daemonised]:
    """A place for a daemon, on a port that is free."""
    daemon = Daemonised(tmp_path, freePort())
    yield daemon
    daemon.kill()


def test_help(tmp_path: Path) -> None:
    """C{twistd --help} lists lbproxy, and it has a help of its own."""
    listed = run("--help", directory=tmp_path).stdout
    assert any(line.split()[:1] == ["lbproxy"] for line in listed.splitlines())
    own = run("lbproxy", "--help", directory=tmp_path)
    assert own.returncode == 0
    for option in "listen", "backend", "picker", "config", "access-log", "check":
        assert f"--{option}" in own.stdout


STOPS = [
    [signal.SIGTERM],
    [signal.SIGINT],
    [signal.SIGQUIT],
    [signal.SIGTERM, signal.SIGINT],
]


@pytest.mark.parametrize("signals", STOPS)
def test_daemon(
    daemonised: Daemonised,
    serve: Callable[..., Backend],
    signals: list[signal.Signals],
) -> None:
    """
    It goes to the background with the port open, serves, and after a signal to
    stop, or two, its process and its pidfile are gone.
    """
    started = daemonised.start("--backend", serve(echo).connect)
    assert started.returncode == 0, started.stderr + started.stdout
    pid = int(daemonised.pidfile.read_text())
    assert [process.pid for process in daemonised.processes()] == [pid]
    with client(f"127.0.0.1:{daemonised.port}") as connected:
        assert asks(connected, b"hello") == b"hello"
        if len(signals) == 1:
            connected.close()
        for each in signals:
            os.kill(pid, each)
            eventually(partial(daemonised.says, f"Received {each.name}"))
        eventually(lambda: not daemonised.processes(), "it does not stop")
    assert not daemonised.pidfile.exists()
    assert not listens(daemonised.port)
    log = daemonised.logfile.read_text()
    assert "listens on" in log
    assert "Traceback" not in log


def test_takenPort(daemonised: Daemonised, serve: Callable[..., Backend]) -> None:
    """A daemon that cannot listen says so to whoever starts it, and is gone."""
    with socket.create_server(("127.0.0.1", daemonised.port)):
        ended = daemonised.start("--backend", serve(echo).connect)
        assert ended.returncode != 0
        said = ended.stderr + ended.stdout
        assert f"tcp:{daemonised.port}" in said
        assert "in use" in said
        assert "Traceback" not in said
        eventually(lambda: not daemonised.processes(), "a process is left")
        assert not daemonised.pidfile.exists()
    assert not listens(daemonised.port)


def test_secondPortTaken(daemonised: Daemonised) -> None:
    """When one of two listeners cannot be had, the other is not left open."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        ended = daemonised.start("--listen", second)
        assert ended.returncode != 0
        assert second in ended.stderr + ended.stdout
        eventually(lambda: not daemonised.processes(), "a process is left")
    assert not listens(daemonised.port)


def test_longAddressTaken(daemonised: Daemonised) -> None:
    """However long the description is, the launcher's message names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1:backlog=1000000000"
        ended = daemonised.start("--listen", second)
        assert ended.returncode != 0
        assert second in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ("tcp:8080:interface=192.0.2.1", "tcp:8080:interface=192.0.2.1: {}"),
        (f"tcp:8080:interface=192.0.2.1:backlog={10**80}", "tcp:8080:interface="),
    ],
    ids=["short", "long"],
)
def test_absentAddress(daemonised: Daemonised, listen: str, told: str) -> None:
    """
    What a daemon cannot start for stands in its log once, without a traceback; the
    terminal is told of the address and of the reason, as much as twistd lets through.
    """
    why = "Cannot assign requested address"
    ended = daemonised.start("--listen", listen)
    assert ended.returncode == 1
    said = f"An error has occurred: b'cannot listen on {told.format(why)}"
    assert ended.stderr.startswith(said)
    assert f"{why}'\n" in ended.stderr
    eventually(lambda: not daemonised.processes(), "a process is left")
    assert not daemonised.pidfile.exists()
    log = daemonised.logfile.read_text()
    assert log.count(f"cannot listen on {listen}: {why}\n") == log.count(why) == 1
    assert "Traceback" not in log
    assert "#error" not in log


def test_takenPortInTheForeground(tmp_path: Path) -> None:
    """One line on standard error names the address; the status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        ended = run("-n", "--pidfile=", "lbproxy", "-l", listen, directory=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert listen in line
    assert "in use" in line
    assert "Traceback" not in ended.stdout


@pytest.mark.parametrize("reactor", ["epoll", "poll", "select", "asyncio"])
def test_reactors(
    startTwistd: StartTwistd, serve: Callable[..., Backend], reactor: str
) -> None:
    """Whichever reactor C{twistd} is asked for, lbproxy runs on it."""
    daemon = startTwistd(
        f"--reactor={reactor}",
        "lbproxy",
        f"--listen={LOOPBACK}",
        f"--backend={serve(echo).connect}",
    )
    with daemon.connect() as connected:
        assert asks(connected, b"hello") == b"hello"
        connected.shutdown(socket.SHUT_WR)
        assert isCut(connected)
    with daemon.connect() as connected:
        assert asks(connected, b"hello") == b"hello"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_privilegesAreDropped(
    startTwistd: StartTwistd, serve: Callable[..., Backend]
) -> None:
    """
    With C{--uid} and C{--gid} a low port is bound first, and what serves it is
    an unprivileged process.
    """
    nobody = pwd.getpwnam("nobody")
    daemon = startTwistd(
        f"--uid={nobody.pw_uid}",
        f"--gid={nobody.pw_gid}",
        "lbproxy",
        f"--listen=tcp:{lowPort()}:interface=127.0.0.1",
        f"--backend={serve(echo).connect}",
    )
    with daemon.connect() as connected:
        assert asks(connected, b"hello") == b"hello"
    process = psutil.Process(daemon.pid)
    assert set(process.uids()) == {nobody.pw_uid}
    assert set(process.gids()) == {nobody.pw_gid}
    assert daemon.port < 1024


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stop(
    startWith: StartWith, serve: Callable[..., Backend], how: signal.Signals
) -> None:
    """
    A signal stops it when the connections that are open have finished, and the status
    is 0: nothing was wrong, so a supervisor has nothing to report.
    """
    daemon = startWith(serve(echo))
    port = daemon.port
    with daemon.connect() as connected:
        assert asks(connected, b"hello") == b"hello"
        daemon.process.send_signal(how)
        daemon.says("Draining: 1 connections may take 30s to finish")
        eventually(lambda: not listens(port), "it accepts still")
        assert asks(connected, b"and on") == b"and on"
    assert daemon.stop(None) == 0
    assert daemon.record().end == "client-closed"


EARLY = """
import os, signal
from twisted.internet import reactor
reactor.addSystemEventTrigger(
    "during", "startup", os.kill, os.getpid(), signal.SIGTERM
)
route = lambda connection: None
"""
"""A router's module; the signal comes when the reactor has set its own handlers."""


@pytest.mark.parametrize("reactor", ["epoll", "asyncio"])
def test_stopWhileItStarts(startWith: StartWith, tmp_path: Path, reactor: str) -> None:
    """A signal that comes while it starts is an orderly stop, too."""
    (tmp_path / "early.py").write_text(EARLY)
    daemon = startWith(
        "tcp:127.0.0.1:9",
        listener='router = "python:early.route"',
        reactor=reactor,
        environment={"PYTHONPATH": str(tmp_path)},
    )
    daemon.says("Received SIGTERM: connections may finish")
    assert daemon.stop(None) == 0


def test_stopInTime(startWith: StartWith, serve: Callable[..., Backend]) -> None:
    """
    Clients are accepted for shutdown-delay; those that have not finished within
    drain-timeout are cut off and counted.  It is an orderly stop all the same.
    """
    process = 'shutdown-delay = "500ms"\ndrain-timeout = "500ms"'
    daemon = startWith(serve(echo), process=process)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.says("Clients are accepted for another 500ms")
    with daemon.connect() as connected:
        assert asks(connected, b"hello") == b"hello"
        assert daemon.stop(None) == 0
        assert isCut(connected)
    assert "Cut off 1 connections" in daemon.log
    assert daemon.record().end == "drained"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stopAtOnce(
    start: Start, serve: Callable[..., Backend], how: signal.Signals
) -> None:
    """
    A second signal stops it with connections open: both sides see theirs end, and the
    status is that of a process ended by the signal, as with any C{twistd}.
    """
    daemon = start(over=[serve(echo)])
    port = daemon.port
    clients = [daemon.connect() for _ in range(3)]
    for each in clients:
        assert asks(each, b"hello") == b"hello"
    daemon.process.send_signal(signal.SIGTERM)
    daemon.says("Draining: 3 connections")
    assert daemon.stop(how) == -how
    for each in clients:
        with each:
            assert isCut(each)
    assert not listens(port)


def test_stopWhileAClientDoesNotRead(
    start: Start, serve: Callable[..., Backend]
) -> None:
    """Clients that read nothing cannot hold it up."""

    def pour(connected: socket.socket) -> None:
        while True:
            connected.sendall(bytes(65536))

    daemon = start(over=[serve(pour)])
    clients = [daemon.connect() for _ in range(3)]
    for each in clients:
        assert each.recv(1)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.says("Draining: 3 connections")
    assert daemon.stop() == -signal.SIGTERM
    for each in clients:
        each.close()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGQUIT])
def test_stopTwice(
    start: Start, serve: Callable[..., Backend], first: signal.Signals
) -> None:
    """Further signals to stop, from someone impatient, do no harm."""
    daemon = start(over=[serve(echo)])
    with daemon.connect() as connected:
        asks(connected, b"hello")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.says("Draining: 1 connections")
        daemon.process.send_signal(first)
        eventually(lambda: "shutting down" in daemon.log)
        for _ in range(3):
            for again in signal.SIGTERM, signal.SIGQUIT, signal.SIGINT:
                daemon.process.send_signal(again)
        daemon.process.wait(PATIENCE)
    assert daemon.stop() == -first


@pytest.mark.skipif(not shutil.which("prlimit"), reason="there is no prlimit")
def test_stopWithoutACore(start: Start, serve: Callable[..., Backend]) -> None:
    """Stopped by SIGQUIT it leaves no core file, even where crashes do."""
    prefix = ["prlimit", "--core=unlimited"]
    daemon = start(over=[serve(echo)], prefix=prefix)
    daemon.process.send_signal(signal.SIGQUIT)
    ended = os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert ended.si_code == os.CLD_KILLED
    assert daemon.stop() == -signal.SIGQUIT


NOTHING = [
    (signal.SIGHUP, "Nothing is changed: there is no file, since --config names", 2),
    (signal.SIGUSR2, "Received SIGUSR2, which has no meaning here", 1),
]
"""Signals that change nothing, what is said about them, and in how many lines."""


@pytest.mark.parametrize(("number", "said", "lines"), NOTHING)
def test_signalsThatChangeNothing(
    start: Start,
    serve: Callable[..., Backend],
    number: signal.Signals,
    said: str,
    lines: int,
) -> None:
    """A signal without a meaning is logged and no more; connections go on."""
    daemon = start(over=[serve(echo)])
    with daemon.connect() as connected:
        assert asks(connected, b"hello") == b"hello"
        before = daemon.log.count("\n")
        daemon.process.send_signal(number)
        log = daemon.says(said)
        assert log.count("\n") == before + lines
        assert asks(connected, b"hello") == b"hello"
    assert daemon.stop() == 0


@pytest.mark.parametrize(("number", "said"), [each[:2] for each in NOTHING])
def test_signalsToADaemon(
    daemonised: Daemonised, number: signal.Signals, said: str
) -> None:
    """A daemon does the same, from the moment its launcher is done."""
    daemonised.start()
    pid = int(daemonised.pidfile.read_text())
    os.kill(pid, number)
    eventually(lambda: said in daemonised.logfile.read_text())
    with client(f"127.0.0.1:{daemonised.port}") as connected:
        connected.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connected.recv(1)
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not daemonised.processes(), "it does not stop")
    assert not daemonised.pidfile.exists()


def isCut(connected: socket.socket) -> bool:
    """Whether a connection has ended, in whichever way."""
    try:
        return connected.recv(1) == b""
    except ConnectionResetError:
        return True
