"""Pools with real backends: checks of each kind, sick members, reload under load."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest
from configured import configured

from .conftest import StartTwistd, StartWith
from .daemon import eventually, freePort
from .load import Load, get
from .peers import Backend, Conversation, Web, asks, drain, echo, readAll, readHead


def ponging(connected: socket.socket) -> None:
    """Answer Redis's PING, a byte at a time."""
    while connected.recv(1024).endswith(b"PING\r\n"):
        for each in b"+PONG\r\n":
            connected.sendall(bytes([each]))


def greeting(connected: socket.socket) -> None:
    """Say what a mail server says at first."""
    connected.sendall(b"220 mail.example.com ESMTP\r\n")
    drain(connected)


def silent(connected: socket.socket) -> None:
    """Say nothing, as a server that hangs does."""
    drain(connected)


def unwell(connected: socket.socket) -> None:
    """Answer that nothing can be served."""
    readHead(connected)
    connected.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


def check(keys: str) -> str:
    return f'health-check = {{ interval = "100ms", timeout = "500ms", {keys} }}'


HTTP = 'kind = "http", path = "/health"'
PING = 'kind = "exchange", send = "PING\\r\\n", expect = "+PONG"'
MAIL = 'kind = "exchange", expect-regex = "^220 "'


@pytest.mark.parametrize(
    ("keys", "good", "bad", "why"),
    [
        ('kind = "tcp"', silent, None, "connection refused"),
        (HTTP, None, unwell, "503"),
        (HTTP, None, silent, "no answer in 500ms"),
        (PING, ponging, echo, "no answer in 500ms"),
        (MAIL, greeting, silent, "no answer in 500ms"),
    ],
    ids=["tcp", "http-status", "http-hangs", "redis", "smtp"],
)
def test_kinds(
    startWith: StartWith,
    serve: Callable[..., Backend],
    web: Callable[..., Web],
    keys: str,
    good: Conversation | None,
    bad: Conversation | None,
    why: str,
) -> None:
    """A check of each kind finds the sick member, says why, and spares the other."""
    well = web() if good is None else serve(good)
    sick = f"tcp:127.0.0.1:{freePort()}" if bad is None else serve(bad).connect
    daemon = startWith(well, sick, pool=check(keys))
    line = daemon.says(f"member web/{sick} is down: ")
    assert why in line.partition(" is down: ")[2].splitlines()[0]
    assert f"member web/{well.connect} is down" not in daemon.log


@contextmanager
def webProcess(directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A web server in a process of its own, which can be stopped and go on."""
    port = freePort()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=directory, stdout=quiet, stderr=quiet)
    try:

        def answers() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return True
            return False

        eventually(answers)
        yield process, port
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "keys",
    [
        'of = "http"',
        'of = "exchange", send = "GET / HTTP/1.0\\r\\n\\r\\n", expect = "200 OK"',
    ],
    ids=["http", "exchange"],
)
def test_stoppedProcess(
    startWith: StartWith, web: Callable[..., Web], tmp_path: Path, keys: str
) -> None:
    """
    The kernel accepts for a process that was stopped.  C{fall} checks that ask find it
    nevertheless, each of which takes its timeout and none more; and it is found again
    when it goes on.
    """
    path = {"PYTHONPATH": str(Path(__file__).parent)}
    with webProcess(tmp_path) as (process, port):
        member = f"tcp:127.0.0.1:{port}"
        pool = check(f'kind = "python:counted.Counted", fall = 3, {keys}')
        daemon = startWith(web(), member, pool=pool, environment=path)
        daemon.says(f"check of {member} passed")
        process.send_signal(signal.SIGSTOP)
        down = f"member web/{member} is down: no answer in 500ms"
        story, _, _ = daemon.says(down).partition(down)
        checks = re.findall(rf"check of {re.escape(member)} (\w+)", story)
        assert checks[-8:-6] == ["began", "passed"]
        assert checks[-6:] == ["began", "cancelled"] * 3
        for _ in range(6):
            assert get(daemon).startswith(b"HTTP/1.")
        process.send_signal(signal.SIGCONT)
        daemon.says(f"member web/{member} is up after ")


def test_killedMember(
    startWith: StartWith, web: Callable[..., Web], tmp_path: Path
) -> None:
    """Clients that come after a member was killed notice nothing."""
    with webProcess(tmp_path) as (process, port):
        daemon = startWith(web(), f"tcp:127.0.0.1:{port}", pool=check('kind = "tcp"'))
        process.kill()
        process.wait()
        for _ in range(30):
            assert get(daemon).startswith(b"HTTP/1.")
        daemon.says("is down: connection refused")


def test_abort(startWith: StartWith, serve: Callable[..., Backend]) -> None:
    """With C{on-member-down = "abort"} its connections end with a word of their own."""
    backend = serve(echo)
    daemon = startWith(
        backend, pool=f'on-member-down = "abort"\nretries = 0\n{check(PING)}'
    )
    with daemon.connect() as connected, suppress(ConnectionError):
        assert asks(connected, b"hello") == b"hello"
        assert connected.recv(1) == b""
    assert daemon.record().end == "member-down"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_bind(
    startTwistd: StartTwistd, serve: Callable[..., Backend], tmp_path: Path, host: str
) -> None:
    """A backend sees connections come from the address that C{bind} names."""

    def whence(connected: socket.socket) -> None:
        connected.sendall(connected.getpeername()[0].encode())

    port = serve(whence).port
    config = tmp_path / "bind.toml"
    config.write_text(
        configured(
            listen="tcp:0:interface=127.0.0.1",
            pool=f'backends = [{{connect = "tcp:{host}:{port}", bind = "127.0.0.9"}}]',
        )
    )
    daemon = startTwistd("lbproxy", f"--config={config}")
    with daemon.connect() as connected:
        assert readAll(connected) == b"127.0.0.9"


def test_queue(startTwistd: StartTwistd, tmp_path: Path) -> None:
    """However many come at once, a member never has more than it may have."""
    most, now = 0, 0

    def counting(connected: socket.socket) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        readHead(connected)
        Event().wait(0.005)
        now -= 1
        connected.sendall(b"done")

    backend = Backend(counting)
    try:
        config = tmp_path / "queue.toml"
        config.write_text(
            configured(
                listen="tcp:0:interface=127.0.0.1",
                pool="queue-length = 100\nbackends = "
                f'[{{connect = "{backend.connect}", max-connections = 3}}]',
            )
        )
        daemon = startTwistd("lbproxy", f"--config={config}")
        answers: list[bytes] = []
        threads = [
            Thread(target=lambda: answers.append(get(daemon))) for _ in range(60)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [b"done"] * 60
        assert most <= 3
    finally:
        backend.close()


@pytest.mark.long
def test_reloadsUnderLoad(
    startTwistd: StartTwistd, web: Callable[..., Web], tmp_path: Path
) -> None:
    """Two hundred reloads, each another configuration, fail no request."""
    one, two, three = (web().connect for _ in range(3))
    config = tmp_path / "reload.toml"
    port = freePort()

    def write(number: int) -> None:
        pairs = [(one, two), (two, three), (three, one)]
        text = configured(
            *pairs[number % 3],
            listen=f"tcp:{port}:interface=127.0.0.1",
            pool=f"retries = {3 + number % 2}\n" + check('kind = "tcp"'),
        )
        config.with_suffix(".new").write_text(text)
        config.with_suffix(".new").rename(config)

    write(0)
    daemon = startTwistd("lbproxy", f"--config={config}")
    with Load(daemon) as load:
        for number in range(1, 201):
            write(number)
            os.kill(daemon.pid, signal.SIGHUP)
            eventually(
                lambda number=number: (  # type: ignore[misc]
                    daemon.log.count("The configuration was loaded again") == number
                )
            )
    assert not load.failures
    assert len(load.answers) > 200
    assert all(each.startswith(b"HTTP/1.") for each in load.answers)
