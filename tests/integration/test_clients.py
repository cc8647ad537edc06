"""Real clients and servers of several protocols, through the balancer."""

from __future__ import annotations

import shutil
import smtplib
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage, Message
from http.client import HTTPConnection
from random import Random
from threading import Barrier, Event, Thread
from time import monotonic
from urllib.request import urlopen

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Handler
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serveWebSocket

from .conftest import Start
from .daemon import PATIENCE, freePort
from .peers import Backend, Pages, Web, readExactly

LARGE = Random(11).randbytes(11 << 20)

SECONDS = 1.5
"""How long a slow page takes."""


class LargePages(Pages):
    """Gives what is asked for, and takes what is posted."""

    def do_GET(self) -> None:
        """A large page."""
        self.answer(LARGE)

    def do_POST(self) -> None:
        """Say how much came, and whether it was the same."""
        length = int(self.headers["Content-Length"])
        same = self.rfile.read(length) == LARGE
        self.answer(f"{length} {same}".encode())


class SlowPages(Pages):
    """Work for some time on each answer."""

    def do_GET(self) -> None:
        """A page that takes its time."""
        Event().wait(SECONDS)
        super().do_GET()


@pytest.mark.parametrize("header", ["keep-alive", "close"])
def test_largeAnswer(start: Start, web: Callable[..., Web], header: str) -> None:
    """Eleven megabytes arrive byte for byte, again and again."""
    daemon = start(over=[web("large", LargePages)])
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
    for _ in range(3):
        connection.request("GET", "/", headers={"Connection": header})
        assert connection.getresponse().read() == LARGE
        if header == "close":
            connection.close()
    connection.close()


def test_largeRequest(start: Start, web: Callable[..., Web]) -> None:
    """So do eleven megabytes on their way to a backend."""
    daemon = start(over=[web("large", LargePages)])
    with urlopen(f"http://127.0.0.1:{daemon.port}/", LARGE, timeout=PATIENCE) as answer:
        assert answer.read() == f"{len(LARGE)} True".encode()


def test_slowAnswersOverlap(start: Start, web: Callable[..., Web]) -> None:
    """Four clients that wait some time for an answer wait at the same time."""
    daemon = start(over=[web("a", SlowPages), web("b", SlowPages)])

    def ask(page: int) -> bytes:
        url = f"http://127.0.0.1:{daemon.port}/{page}"
        with urlopen(url, timeout=PATIENCE) as answer:
            return answer.read()

    began = monotonic()
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(ask, range(4)))
    assert monotonic() - began < 3 * SECONDS
    assert sorted(answer.split()[1] for answer in answers) == [
        b"/0",
        b"/1",
        b"/2",
        b"/3",
    ]


class Mailbox(Handler):
    """Keeps the messages that were delivered."""

    def __init__(self) -> None:
        super().__init__()
        self.subjects: list[str] = []

    def handle_message(self, message: Message) -> None:
        """Keep one."""
        self.subjects.append(message["Subject"])


def test_smtp(start: Start) -> None:
    """A server that speaks first is heard before the client says anything."""
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=freePort())
    server.start()
    try:
        daemon = start(over=[f"tcp:127.0.0.1:{server.port}"])
        for number in range(3):
            with smtplib.SMTP("127.0.0.1", daemon.port, timeout=PATIENCE) as client:
                message = EmailMessage()
                message["From"], message["To"] = "a@example.com", "b@example.com"
                message["Subject"] = f"number {number}"
                client.send_message(message)
    finally:
        server.stop()
    assert mailbox.subjects == ["number 0", "number 1", "number 2"]


def test_webSocket(start: Start) -> None:
    """Messages of all sizes go both ways on one upgraded connection."""

    def echoMessages(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serveWebSocket(echoMessages, "127.0.0.1", 0, max_size=None) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        port = server.socket.getsockname()[1]
        daemon = start(over=[f"tcp:127.0.0.1:{port}"])
        with connect(f"ws://127.0.0.1:{daemon.port}/", max_size=None) as client:
            for message in ("text", b"\x00\xff", "", "x" * 70000, LARGE[: 1 << 20]):
                client.send(message)
                assert client.recv(PATIENCE) == message
        server.shutdown()
        serving.join(PATIENCE)


def redis(connected: socket.socket) -> None:
    """Speak as much of Redis's protocol as PING and ECHO need."""
    with connected.makefile("rb") as requests:
        while header := requests.readline():
            words = []
            for _ in range(int(header[1:])):
                length = int(requests.readline()[1:])
                words.append(requests.read(length + 2)[:-2])
            match words:
                case [b"ECHO", said]:
                    connected.sendall(b"$%d\r\n%s\r\n" % (len(said), said))
                case _:
                    connected.sendall(b"+PONG\r\n")


def test_pipelining(start: Start, serve: Callable[..., Backend]) -> None:
    """A thousand requests in one write are all answered, in order."""
    daemon = start(over=[serve(redis)])
    numbers = [b"%d" % number for number in range(1000)]
    with daemon.connect() as client:
        client.sendall(b"*1\r\n$4\r\nPING\r\n" * 1000)
        assert readExactly(client, 7000) == b"+PONG\r\n" * 1000
        client.sendall(
            b"".join(
                b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(each), each)
                for each in numbers
            )
        )
        answers = b"".join(b"$%d\r\n%s\r\n" % (len(each), each) for each in numbers)
        assert readExactly(client, len(answers)) == answers


@pytest.mark.skipif(
    shutil.which("redis-benchmark") is None, reason="redis-benchmark is not installed"
)
def test_redisBenchmark(start: Start, serve: Callable[..., Backend]) -> None:
    """Redis's own client is content, with many connections and pipelines."""
    daemon = start(over=[serve(redis), serve(redis)])
    command = ["redis-benchmark", "-p", str(daemon.port), "-t", "ping_mbulk", "-q"]
    ended = subprocess.run(
        [*command, "-n", "5000", "-c", "20", "-P", "10"],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert ended.returncode == 0
    assert "requests per second" in ended.stdout
    assert "rror" not in ended.stdout.replace("ERROR: failed to fetch CONFIG", "")


@pytest.mark.skipif(shutil.which("ab") is None, reason="ab is not installed")
def test_apacheBench(start: Start, web: Callable[..., Web]) -> None:
    """A thousand short connections, twenty at a time, and none fails."""
    daemon = start(over=[web("a"), web("a")])
    url = f"http://127.0.0.1:{daemon.port}/"
    report = subprocess.check_output(
        ["ab", "-q", "-n", "1000", "-c", "20", url], text=True, timeout=2 * PATIENCE
    )
    assert "Complete requests:      1000" in report
    assert "Failed requests:        0" in report


def test_manyAtOnce(start: Start, serve: Callable[..., Backend]) -> None:
    """A hundred clients that arrive together get what each of them asked for."""
    backends = [serve(redis) for _ in range(3)]
    daemon = start(over=backends)
    ready = Barrier(100)

    def ask(number: int) -> bool:
        ready.wait(PATIENCE)
        said = b"%d" % number
        answer = b"$%d\r\n%s\r\n" % (len(said), said)
        with daemon.connect() as client:
            client.sendall(b"*2\r\n$4\r\nECHO\r\n" + answer)
            return readExactly(client, len(answer)) == answer

    with ThreadPoolExecutor(100) as clients:
        assert all(clients.map(ask, range(100)))
    assert sorted(backend.accepted for backend in backends) == [33, 33, 34]
