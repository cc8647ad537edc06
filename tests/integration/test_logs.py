"""What is written about connections: the access log, and abnormal ends."""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from configured import configured

from .conftest import Start, StartWith
from .daemon import (
    LOOPBACK,
    TWISTD,
    Daemon,
    client,
    eventually,
    freePort,
    listens,
    run,
    steady,
)
from .peers import Backend, asks, drain, echo, reset


def lines(path: Path) -> list[str]:
    """The lines written so far, if the file is there."""
    return path.read_text().splitlines() if path.exists() else []


def talk(daemon: Daemon, said: bytes = b"hello") -> None:
    """One connection that ends well."""
    with daemon.connect() as connected:
        assert asks(connected, said) == said


def cutOff(address: str) -> None:
    """A client that resets in the middle, which the main log tells of."""
    connected = client(address)
    assert asks(connected, b"hello") == b"hello"
    reset(connected)


def test_file(start: Start, serve: Callable[..., Backend], tmp_path: Path) -> None:
    """One line for each connection: its backend, its bytes, and how it ended."""
    path = tmp_path / "access.log"
    backend = serve(echo)
    daemon = start(f"--access-log={path}", over=[backend])
    for count in (1, 20, 300):
        talk(daemon, bytes(count))
    eventually(lambda: len(lines(path)) == 3)
    # In the order in which they came; the last of their closes may cross.
    found = sorted(lines(path), key=lambda line: int(line.split()[1].strip("#")))
    for line, count in zip(found, (1, 20, 300), strict=True):
        words = line.split()
        assert f"in={count}" in words
        assert f"out={count}" in words
        assert backend.connect in line
        assert "127.0.0.1:" in line
        assert words[-1] == "client-closed"
    assert "client-closed" not in daemon.log


def test_offByDefault(start: Start, serve: Callable[..., Backend]) -> None:
    """Connections that end well are not written about unless that is asked for."""
    daemon = start(over=[serve(echo)])
    before = daemon.log
    talk(daemon)
    talk(daemon)
    eventually(lambda: daemon.connections() == 0)
    assert daemon.log == before
    assert daemon.stdout == ""


def test_stdout(start: Start, serve: Callable[..., Backend]) -> None:
    """On standard output there is the access log and nothing else."""
    daemon = start("--access-log", "stdout", over=[serve(echo)])
    talk(daemon)
    eventually(lambda: "\n" in daemon.stdout)
    (line,) = daemon.stdout.splitlines()
    assert line.endswith("client-closed")


def test_configured(startWith: StartWith, serve: Callable[..., Backend]) -> None:
    """The file may ask for it as well; the listener's name is in the line."""
    connect = serve(echo).connect
    daemon = startWith(
        pool=f'backends = [{{ name = "the-echo", connect = "{connect}" }}]'
    )
    path = daemon.directory / "access.log"
    talk(daemon)
    eventually(lambda: lines(path))
    (line,) = lines(path)
    for word in ("front", "pool=web", "backend=the-echo", "tried=-"):
        assert word in line.split()


def test_rotation(start: Start, serve: Callable[..., Backend], tmp_path: Path) -> None:
    """A log that is moved away is begun anew; no line is lost on the way."""
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    daemon = start(f"--access-log={path}", over=[serve(echo)])
    talk(daemon)
    eventually(lambda: len(lines(path)) == 1)
    path.rename(moved)
    count = 1

    def begunAnew() -> bool:
        nonlocal count
        talk(daemon)
        count += 1
        return path.exists()

    eventually(begunAnew)
    eventually(lambda: len(lines(path)) + len(lines(moved)) == count)
    assert not set(lines(path)) & set(lines(moved))


def test_twistdLogRotation(start: Start, serve: Callable[..., Backend]) -> None:
    """The log of C{--logfile} is begun anew as well once it was moved away."""
    daemon = start(over=[serve(echo)])
    path, moved = daemon.directory / "twistd.log", daemon.directory / "twistd.log.1"
    (address,) = daemon.addresses
    path.rename(moved)

    def begunAnew() -> bool:
        cutOff(address)
        return path.exists()

    eventually(begunAnew, "it is not begun anew")
    assert daemon.stop() == 0
    assert "Server Shut Down" in daemon.log
    assert "listens on" in moved.read_text()
    assert "Server Shut Down" not in moved.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_twistdLogCannotBeBegunAnew(serve: Callable[..., Backend]) -> None:
    """
    When the user it has become may not open the new log, it goes on in the old
    one and says so once, until it may.
    """
    with TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)
        path, moved = directory / "twistd.log", directory / "twistd.log.1"
        options = [f"--listen={LOOPBACK}", f"--backend={serve(echo).connect}"]
        daemon = Daemon(["--uid=nobody", "lbproxy", *options], directory)
        stack.callback(daemon.stop)
        (address,) = daemon.untilListening(1).addresses
        cutOff(address)  # It follows its log once it has begun to serve.
        path.rename(moved)

        def complaints() -> int:
            cutOff(address)
            return moved.read_text().count("cannot be begun anew")

        eventually(complaints, "it does not say so")
        steady(complaints, seconds=1.5)
        assert complaints() == 1
        assert not path.exists()
        directory.chmod(0o777)
        eventually(lambda: complaints() and path.exists(), "it is not begun anew")


@pytest.mark.parametrize("background", [False, True])
def test_reopen(tmp_path: Path, background: bool) -> None:
    """
    After logrotate has moved both logs, SIGUSR1 begins them anew at once; one
    that was not moved is gone on with, and none is ever moved by lbproxy.
    """
    config = tmp_path / "lbproxy.toml"
    log = str(tmp_path / "access.log")
    config.write_text(configured("tcp:127.0.0.1:9", listen=LOOPBACK, log=log))
    with ExitStack() as stack:
        pid = running(tmp_path, stack, background, f"--config={config}")
        logs = [tmp_path / "access.log", tmp_path / "twistd.log"]

        def said() -> int:
            written = [path.read_text() for path in tmp_path.glob("twistd.log*")]
            return "".join(written).count("Received SIGUSR1")

        os.kill(pid, signal.SIGUSR1)
        eventually(lambda: said() == 1, "it does not say so")
        assert not list(tmp_path.glob("*.log.*"))
        for path in logs:
            path.rename(f"{path}.old")
        os.kill(pid, signal.SIGUSR1)
        eventually(lambda: said() == 2, "it does not say so")
        assert all(path.exists() for path in logs)
        assert len(list(tmp_path.glob("*.log.*"))) == 2
        assert "Received SIGUSR1" in logs[1].read_text()


def running(directory: Path, stack: ExitStack, background: bool, *options: str) -> int:
    """
    Start C{twistd lbproxy} with its log in C{twistd.log}, to be stopped at the end.

    @return: Its process id.
    """
    if not background:
        daemon = Daemon(["lbproxy", *options], directory)
        stack.callback(daemon.stop)
        return daemon.untilListening(1).pid
    pidfile, log = directory / "twistd.pid", directory / "twistd.log"
    where = [f"--pidfile={pidfile}", f"--logfile={log}"]
    ended = run(*where, "lbproxy", *options, directory=directory)
    assert ended.returncode == 0, ended.stderr
    pid = int(pidfile.read_text())
    stack.callback(eventually, lambda: not pidfile.exists(), "it does not stop")
    stack.callback(os.kill, pid, signal.SIGTERM)
    return pid


def test_reopenOnStandardOutput(tmp_path: Path) -> None:
    """With no log in a file, SIGUSR1 does no harm."""
    daemon = Daemon(["--logfile=-", "lbproxy", f"--listen={LOOPBACK}"], tmp_path)
    eventually(lambda: "listens on" in daemon.stdout)
    daemon.process.send_signal(signal.SIGUSR1)
    eventually(
        lambda: daemon.process.poll() or "Received SIGUSR1" in daemon.stdout,
        "it does not say so",
    )
    assert daemon.stop() == 0


class Unread:
    """A C{twistd} whose standard output is a pipe that nobody reads."""

    def __init__(self, directory: Path, stack: ExitStack, *options: str) -> None:
        self.directory = directory
        reader, out = os.pipe()
        stack.callback(os.close, reader)
        self.reader = reader
        self.log = directory / "twistd.log"
        self.process = subprocess.Popen(
            [TWISTD, "--nodaemon", "--pidfile=", f"--logfile={self.log}", *options],
            cwd=directory,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        os.close(out)
        stack.callback(self.process.wait)
        stack.callback(self.process.kill)
        eventually(lambda: " listens on " in self.said)

    @property
    def said(self) -> str:
        """What it has logged so far."""
        return self.log.read_text() if self.log.exists() else ""

    @property
    def address(self) -> str:
        """Where it listens."""
        return re.findall(r" listens on (\S+)", self.said)[0]

    def unread(self) -> int:
        """How many lines the pipe holds."""
        os.set_blocking(self.reader, False)
        found = b""
        while True:
            try:
                part = os.read(self.reader, 65536)
            except BlockingIOError:
                return found.count(b"\n")
            if not part:
                return found.count(b"\n")
            found += part


def lost(log: str) -> int:
    """How many lines of the access log are said to be lost."""
    return sum(map(int, re.findall(r"(\d+) lines were lost", log)))


def test_nobodyReadsStandardOutput(
    serve: Callable[..., Backend], tmp_path: Path
) -> None:
    """
    When the access log goes into a pipe that nobody reads, everybody is served;
    a stop is not held up, and the log says how many lines are missing.
    """
    over = f"--backend={serve(echo).connect}"
    with ExitStack() as stack:
        options = [f"--listen={LOOPBACK}", over, "--access-log=stdout"]
        daemon = Unread(tmp_path, stack, "lbproxy", *options)
        for _ in range(1000):
            with client(daemon.address) as connected:
                assert asks(connected, b"hello") == b"hello"
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(5) == 0
        assert 0 < lost(daemon.said) == 1000 - daemon.unread()
        assert "Traceback" not in daemon.said


def test_nobodyReadsTheMainLog(tmp_path: Path) -> None:
    """
    When the log of C{--logfile=-} goes into a pipe that nobody reads any more,
    clients are accepted and refused as before, and a stop is a stop.
    """
    reader, out = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, reader)
        stack.callback(os.close, out)
        port = freePort()
        listen = f"--listen=tcp:{port}:interface=127.0.0.1"
        down = f"--backend=tcp:127.0.0.1:{freePort()}"
        process = subprocess.Popen(
            [TWISTD, "--nodaemon", "--pidfile=", "lbproxy", listen, down],
            cwd=tmp_path,
            stdout=out,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        eventually(lambda: listens(port))
        os.set_blocking(out, False)
        with suppress(BlockingIOError):
            while True:
                os.write(out, b"x")
        os.set_blocking(out, True)
        with ExitStack() as served:
            # At once, since each is dialled again after a second, three times.
            address = f"127.0.0.1:{port}"
            clients = [served.enter_context(client(address)) for _ in range(20)]
            assert [drain(each) for each in clients] == [0] * 20
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_fifoWithoutReader(tmp_path: Path) -> None:
    """An access log into a FIFO that nobody reads is one line at start, no hang."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    options = [f"--listen={LOOPBACK}", f"--access-log={fifo}"]
    ended = run("-n", "--pidfile=", "lbproxy", *options, directory=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "access log: a FIFO or socket that nobody reads" in line
    assert str(fifo) in line


def test_fifo(start: Start, serve: Callable[..., Backend], tmp_path: Path) -> None:
    """With a reader it is as good as a file."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    daemon = start(f"--access-log={fifo}", over=[serve(echo)])
    talk(daemon)
    os.set_blocking(reader, True)
    assert os.read(reader, 65536).endswith(b"client-closed\n")
    daemon.stop()
    assert os.read(reader, 1) == b""
    os.close(reader)


@pytest.fixture
def asNobody(serve: Callable[..., Backend]) -> Iterator[Callable[[int], Daemon]]:
    """Start one whose log directory has some permissions, and that drops its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may become somebody else")
    with TemporaryDirectory() as name, ExitStack() as stack:

        def start(mode: int) -> Daemon:
            directory = Path(name)
            directory.chmod(mode)
            over = f"--backend={serve(echo).connect}"
            options = [f"--listen={LOOPBACK}", over, "--access-log=access.log"]
            daemon = Daemon(["--uid=nobody", "lbproxy", *options], directory)
            stack.callback(daemon.stop)
            return daemon.untilListening(1)

        yield start


def test_renamedWhereNothingCanBeMade(asNobody: Callable[[int], Daemon]) -> None:
    """
    When the user it has become may not make a new access log, each line goes on in
    the old file, and it says so once, until it may.
    """
    daemon = asNobody(0o755)
    path = daemon.directory / "access.log"
    old = daemon.directory / "access.log.1"
    for number in range(100):
        if number == 25:
            path.rename(old)
        talk(daemon)
    eventually(lambda: len(lines(old)) == 100)
    assert not path.exists()
    assert "access log access.log cannot be begun anew" in daemon.log
    assert daemon.log.count("cannot be begun anew") == 1
    assert not lost(daemon.log)
    daemon.directory.chmod(0o777)
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.says("Received SIGUSR1")
    talk(daemon)
    eventually(lambda: len(lines(path)) == 1)


def test_sameOwner(asNobody: Callable[[int], Daemon]) -> None:
    """The access log belongs to the same user, before and after it was rotated."""
    daemon = asNobody(0o777)
    path = daemon.directory / "access.log"
    nobody = pwd.getpwnam("nobody").pw_uid
    eventually(lambda: path.exists() and path.stat().st_uid == nobody)
    talk(daemon)
    eventually(lambda: len(lines(path)) == 1)
    before = path.stat()
    path.rename(daemon.directory / "access.log.1")
    talk(daemon)
    eventually(lambda: len(lines(path)) == 1)
    after = path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (
        before.st_uid,
        before.st_gid,
        before.st_mode,
    )


def test_created(asNobody: Callable[[int], Daemon]) -> None:
    """
    logrotate's C{create}: root moves both logs and makes new ones, for the user
    that lbproxy runs as, in a directory where that user could not.
    """
    daemon = asNobody(0o755)
    nobody = pwd.getpwnam("nobody").pw_uid
    logs = [daemon.directory / name for name in ("access.log", "twistd.log")]
    talk(daemon)
    eventually(lambda: len(lines(logs[0])) == 1)
    (address,) = daemon.addresses
    for path in logs:
        path.rename(f"{path}.1")
        path.touch(0o640)
        os.chown(path, nobody, -1)
    with client(address) as connected:
        assert asks(connected, b"hello") == b"hello"
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.says("Received SIGUSR1")
    eventually(lambda: len(lines(logs[0])) == 1)
    assert len(lines(daemon.directory / "access.log.1")) == 1
    assert "listens on" not in daemon.log
    assert logs[0].stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_diskFull(start: Start, serve: Callable[..., Backend]) -> None:
    """
    When the log cannot be written, clients are served, and it is said once; at the
    end it is said how many lines are missing.
    """
    daemon = start("--access-log=/dev/full", over=[serve(echo)])
    for _ in range(5):
        talk(daemon)
    eventually(lambda: daemon.connections() == 0)
    log = daemon.says("cannot be written")
    assert log.count("cannot be written") == 1
    assert "No space left" in log
    daemon.stop()
    assert daemon.log.count("cannot be written") == 1
    assert lost(daemon.log) == 5


def test_diskFullForAWhile(serve: Callable[..., Backend]) -> None:
    """After a full disk, what is in the file and what is said to be lost are all."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    over = f"--backend={serve(echo).connect}"
    with TemporaryDirectory() as name, ExitStack() as stack:
        disk = Path(name, "disk")
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False
        )
        if mounted.returncode:
            pytest.skip("a small disk cannot be mounted here")
        stack.callback(lambda: subprocess.run(["umount", "--lazy", disk], check=True))
        path = disk / "access.log"
        options = [f"--listen={LOOPBACK}", over, f"--access-log={path}"]
        daemon = Daemon(["lbproxy", *options], Path(name))
        stack.callback(daemon.stop)
        daemon.untilListening(1)
        (disk / "filler").write_bytes(bytes(60 * 1024))
        for _ in range(50):
            talk(daemon)
        daemon.says("No space left")
        (disk / "filler").unlink()
        talk(daemon)
        log = daemon.says("is written again")
        assert len(lines(path)) + lost(log) == 51
        assert all(line.endswith("client-closed") for line in lines(path))


def test_connectFailed(
    start: Start, serve: Callable[..., Backend], tmp_path: Path
) -> None:
    """When nobody can be reached, the log names who was tried, and why not."""
    path = tmp_path / "access.log"
    down = [f"tcp:127.0.0.1:{freePort()}" for _ in range(2)]
    daemon = start(f"--access-log={path}", over=down)
    with daemon.connect() as connected:
        assert connected.recv(1) == b""
    log = daemon.says("connect-failed")
    eventually(lambda: lines(path))
    for each in down:
        assert log.count(each) >= 2
        assert each in lines(path)[0].split("tried=")[1]
    assert "refused" in log
    assert "connect-failed" in lines(path)[0]


def test_resets(start: Start, serve: Callable[..., Backend], tmp_path: Path) -> None:
    """Who reset a connection can be told from the log."""
    path = tmp_path / "access.log"

    def rude(connected: socket.socket) -> None:
        connected.recv(1)
        reset(connected)

    daemon = start(f"--access-log={path}", over=[serve(echo), serve(rude)])
    ours, theirs = daemon.connect(), daemon.connect()
    asks(ours, b"hello")
    reset(ours)
    daemon.says("client-reset")
    with theirs:
        theirs.sendall(b"!")
        daemon.says("backend-reset")
    eventually(lambda: len(lines(path)) == 2)
    assert [line.split()[-1] for line in lines(path)] == [
        "client-reset",
        "backend-reset",
    ]


def test_flood(start: Start, tmp_path: Path) -> None:
    """
    Hundreds of failures a second fill no disk: a few are written in full, the
    others counted; the numbers add up, and the access log has all of them.
    """
    path = tmp_path / "access.log"
    down = f"tcp:127.0.0.1:{freePort()}"
    daemon = start(f"--access-log={path}", over=[down])
    clients = [client(daemon.addresses[0]) for _ in range(300)]
    for each in clients:
        with each:
            drain(each)
    eventually(lambda: len(lines(path)) == 300)

    def accounted() -> bool:
        counted = re.findall(r"connect-failed: (\d+) more", daemon.log)
        return full() + sum(map(int, counted)) == 300

    def full() -> int:
        return daemon.log.count("connect-failed: connection ")

    eventually(accounted)
    assert full() < 100


def test_clientsOwnWords(start: Start, short: str, tmp_path: Path) -> None:
    """A UNIX client chooses its own name; neither log repeats what is not plain."""
    path = tmp_path / "access.log"
    down = f"tcp:127.0.0.1:{freePort()}"
    listen = [f"unix:{short}/front"]
    daemon = start(f"--access-log={path}", over=[down], listen=listen)
    with socket.socket(socket.AF_UNIX) as connected:
        connected.bind(f"{short}/\x1b[2J\nx")
        connected.connect(f"{short}/front")
        drain(connected)
    eventually(lambda: lines(path))
    daemon.says("connect-failed")
    for log in path.read_text(), daemon.log:
        assert "\x1b" not in log
        assert r"\x1b[2J\nx" in log
