"""
C{twistd lbproxy} as whoever installs it runs it: a process of its own.

Nothing of lbproxy is imported here.  A test starts a L{Daemon}, talks to it
over real sockets, reads its log, and stops it by a signal.  Most daemons are forked
from a process that has imported everything (L{ForkServer}), which takes half as long.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event
from typing import ClassVar, NamedTuple, TypeVar

import psutil

from .forked import Forked, ForkServer

READABLE = all(
    each.stat().st_mode & stat.S_IXOTH for each in Path(__file__).resolve().parents
)
"""
Whether a user without privileges may read this checkout.  A daemon that has become one
finds no plugins otherwise, when it loads its configuration again.
"""

PATIENCE = 30.0
"""Seconds after which something that has not happened will not happen."""

TWISTD = str(Path(sys.executable).with_name("twistd"))
"""The one that is installed beside the Python that runs the tests."""

LOOPBACK = "tcp:0:interface=127.0.0.1"

_LISTENS = re.compile(r" listens on (\S+)")
_RECORD = re.compile(
    r" in=(\d+) .* total=([\d.]+) (?:proxy=\S+ )?(\S+)(?: \((.*)\))?\n"
)
_TROUBLE = re.compile(r"traceback|unhandled error|exception ignored", re.IGNORECASE)

_Answer = TypeVar("_Answer")


def eventually(
    question: Callable[[], _Answer], what: str = "", within: float = PATIENCE
) -> _Answer:
    """
    Ask again and again until the answer is true.

    @param what: What is waited for, should it never come.
    @return: The answer.
    """
    never = Event()
    tries = max(1, int(within / 0.02))
    for _ in range(tries):
        answer = question()
        if answer:
            return answer
        never.wait(0.02)
    raise AssertionError(what or f"nothing came of {question} in {within} seconds")


def steady(
    question: Callable[[], object],
    seconds: float = 0.5,
    what: str = "it never came to rest",
) -> None:
    """Wait until an answer has been the same for some time."""
    last: list[object] = []

    def same() -> bool:
        answer = question()
        if last and last[0] != answer:
            last.clear()
        last.append(answer)
        return len(last) > seconds / 0.02

    eventually(same, what)


def run(
    *arguments: str,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    afresh: bool = True,
) -> subprocess.CompletedProcess[str]:
    """
    Run C{twistd} to its end, which is expected soon.

    @param afresh: Nothing may be imported before.
    """
    command = [TWISTD, *arguments]
    surroundings = {**os.environ, **(environment or {})}
    server = None if afresh else Daemon.serverFor(surroundings)
    if server is not None:
        with TemporaryFile() as out, TemporaryFile() as err:
            streams = out.fileno(), err.fileno()
            forked = server.fork(command, directory, surroundings, *streams)
            status = forked.wait(PATIENCE)
            out.seek(0)
            err.seek(0)
            said = out.read().decode(), err.read().decode()
        return subprocess.CompletedProcess(command, status, *said)
    return subprocess.run(
        command,
        cwd=directory,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Ended(NamedTuple):
    """
    How a connection ended, as the access log has it.

    @ivar received: How many bytes were read from the client.
    @ivar total: Seconds from accept to the end.
    """

    received: int
    total: float
    end: str
    detail: str


class Daemon:
    """
    One C{twistd}, in the foreground of a process of its own.

    @cvar forkServer: What forks those that may be forked, once there was one.
    @ivar directory: Where it runs; its log is in C{twistd.log}.
    @ivar process: The running C{twistd}.
    """

    forkServer: ClassVar[ForkServer | None] = None

    def __init__(
        self,
        arguments: Sequence[str],
        directory: Path,
        *,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
        afresh: bool = False,
    ) -> None:
        """
        @param arguments: All that follows C{twistd --nodaemon}.
        @param prefix: A command that executes the rest of its line.
        @param descriptors: Which ones it inherits.
        @param afresh: It is the start that is tested: nothing may be imported before.
        """
        self.directory = directory
        self._log = directory / "twistd.log"
        options = ["--nodaemon", "--pidfile=", f"--logfile={self._log}"]
        command = [*prefix, TWISTD, *options, *arguments]
        inherited = dict(os.environ)
        if becomesAnother := any(each.startswith("--uid") for each in arguments):
            # The user that it becomes may not write down what was covered.
            inherited.pop("COVERAGE_PROCESS_CONFIG", None)
            inherited.pop("COVERAGE_PROCESS_START", None)
        surroundings = {**inherited, **(environment or {})}
        with (
            (directory / "stdout").open("ab") as out,
            (directory / "stderr").open("ab") as err,
        ):
            self.process: subprocess.Popen[bytes] | Forked
            server = None
            if not (prefix or descriptors or afresh or becomesAnother):
                server = self.serverFor(surroundings)
            if server is not None:
                self.process = server.fork(
                    command, directory, surroundings, out.fileno(), err.fileno()
                )
                return
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=surroundings,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=descriptors,
            )

    @classmethod
    def serverFor(cls, environment: Mapping[str, str]) -> ForkServer | None:
        """What forks a daemon that is to have an environment, if it may be forked."""
        if sys.platform != "linux":
            return None
        if any(each.startswith("COVERAGE_PROCESS_") for each in environment):
            # The lines of the imports are covered by each start.
            return None
        if cls.forkServer is None:
            cls.forkServer = ForkServer(TWISTD)
        return cls.forkServer if cls.forkServer.startsAs(environment) else None

    @property
    def pid(self) -> int:
        """Of the process that listens."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return _read(self._log)

    @property
    def stdout(self) -> str:
        """What it has written to standard output, its log apart."""
        return _read(self.directory / "stdout")

    @property
    def stderr(self) -> str:
        """What it has written to standard error."""
        return _read(self.directory / "stderr")

    @property
    def addresses(self) -> list[str]:
        """Where it says it listens, in order."""
        return _LISTENS.findall(self.log)

    @property
    def port(self) -> int:
        """The port of its first listener."""
        return int(self.addresses[0].rpartition(":")[2])

    def ended(self) -> list[Ended]:
        """How connections have ended so far."""
        lines = _RECORD.findall(_read(self.directory / "access.log"))
        return [Ended(int(i), float(t), end, detail) for i, t, end, detail in lines]

    def records(self, count: int = 1) -> list[Ended]:
        """Wait for so many connections to be over; how they ended."""
        eventually(lambda: len(self.ended()) >= count, "its access log is too short")
        return self.ended()

    def record(self) -> Ended:
        """Wait for the only connection to be over."""
        (ended,) = self.records()
        return ended

    def untilListening(self, listeners: int) -> Daemon:
        """Wait for so many endpoints to listen."""

        def listening() -> bool:
            ended = self.process.poll()
            assert ended is None, f"ended with {ended}: {self.log}{self.stderr}"
            return len(self.addresses) >= listeners

        eventually(listening, "it does not listen")
        return self

    def connect(self, listener: int = 0) -> socket.socket:
        """A client of one of its listeners."""
        return client(self.addresses[listener])

    def says(self, words: str) -> str:
        """Wait for some words in the log; the whole log."""
        eventually(lambda: words in self.log, f"{words!r} is never logged")
        return self.log

    def memory(self) -> int:
        """Resident, in bytes."""
        return psutil.Process(self.pid).memory_info().rss

    def cpu(self) -> float:
        """Seconds of CPU time spent, user and system."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def connections(self) -> int:
        """How many TCP connections it has, to clients and backends."""
        return sum(
            each.status not in (psutil.CONN_LISTEN, psutil.CONN_NONE)
            for each in psutil.Process(self.pid).net_connections("tcp")
        )

    def stop(self, by: signal.Signals | None = signal.SIGTERM) -> int:
        """
        Stop it, and see that it has nothing to complain of.

        @param by: L{None} if it stops already.
        @return: The exit status, negative for a signal.
        """
        if by is not None and self.process.poll() is None:
            self.process.send_signal(by)
        try:
            status = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
        self.assertClean()
        return status

    def assertClean(self) -> None:
        """Nothing that happened was a surprise to it."""
        for text in (self.log, self.stdout, self.stderr):
            assert not _TROUBLE.search(text), text


def secureListener(kind: str, certificate: Path) -> str:
    """A TLS server endpoint on any port of the loopback interface; C{kind} is
    C{"ssl"} or C{"tls"}."""
    if kind == "tls":
        return f"tls:{certificate}:0:interface=127.0.0.1"
    pem = certificate / "localhost.pem"
    return f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"


def client(address: str) -> socket.socket:
    """A socket connected to an address as the log writes it."""
    if address.startswith("unix:"):
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(PATIENCE)
        connected.connect(address.removeprefix("unix:"))
        return connected
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def listens(port: int) -> bool:
    """Whether anybody listens on a port of the loopback interface."""
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def freePort(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.bind((host, 0))
        return trial.getsockname()[1]


def lowPort() -> int:
    """One that only root may bind, and that is free."""
    for port in range(1023, 600, -1):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no low port is free")


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""
