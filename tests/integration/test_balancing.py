"""C{twistd lbproxy --listen ... --backend ...}: clients take turns on backends."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

import pytest

from .conftest import Start, StartWith
from .daemon import LOOPBACK, PATIENCE, Daemon, run
from .peers import Backend, Web, names, readAll, readExactly


def get(daemon: Daemon, path: str = "/", listener: int = 0) -> str:
    """One request on a connection of its own."""
    port = daemon.addresses[listener].rpartition(":")[2]
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        return answer.read().decode()


def test_turns(start: Start, web: Callable[..., Web]) -> None:
    """Connections go to one backend and the other in turn."""
    daemon = start(over=[web("a"), web("b")])
    assert [get(daemon, "/x") for _ in range(4)] == ["a /x\n", "b /x\n"] * 2


def test_keepAliveStays(start: Start, web: Callable[..., Web]) -> None:
    """All requests of one connection are answered by one backend."""
    daemon = start(over=[web("a"), web("b")])
    for name in "ab":
        connection = HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        for page in range(5):
            connection.request("GET", f"/{page}")
            assert connection.getresponse().read().decode() == f"{name} /{page}\n"
        connection.close()


def test_closeIsPassedOn(start: Start, web: Callable[..., Web]) -> None:
    """A backend that closes after its answer ends the client's connection."""
    daemon = start(over=[web("a")])
    with daemon.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert readAll(client).endswith(b"\r\n\r\na /\n")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(start: Start, web: Callable[..., Web]) -> None:
    """What the README shows works."""
    daemon = start(over=[web("a"), web("b")])
    command = ["curl", "-sS", f"http://127.0.0.1:{daemon.port}/"]
    answers = [subprocess.check_output(command, timeout=PATIENCE) for _ in range(2)]
    assert answers == [b"a /\n", b"b /\n"]


def test_severalListeners(start: Start, web: Callable[..., Web]) -> None:
    """C{--listen} repeats; the listeners share the pool and its turns."""
    daemon = start(over=[web("a"), web("b")], listen=[LOOPBACK, "tcp:0"])
    assert get(daemon) == "a /\n"
    assert get(daemon, listener=1) == "b /\n"
    assert get(daemon) == "a /\n"


def test_random(start: Start, serve: Callable[..., Backend]) -> None:
    """C{--picker random} uses every backend, and not in turn."""
    backends = [serve(names(name)) for name in (b"a", b"b")]
    daemon = start("--picker", "random", over=backends)
    picked = []
    for _ in range(64):
        with daemon.connect() as client:
            picked.append(readExactly(client, 1))
    # Each of these is wrong once in 2 ** 63 runs.
    assert set(Counter(picked)) == {b"a", b"b"}
    assert picked not in ([b"a", b"b"] * 32, [b"b", b"a"] * 32)


def test_weights(startWith: StartWith, serve: Callable[..., Backend]) -> None:
    """A backend of weight 3 gets three of four connections, spread out."""
    heavy, light = serve(names(b"h")), serve(names(b"l"))
    daemon = startWith(
        pool=f"""
        backends = [
            {{ connect = "{heavy.connect}", weight = 3, name = "heavy" }},
            "{light.connect}",
        ]
        """
    )
    picked = b""
    for _ in range(8):
        with daemon.connect() as client:
            picked += readExactly(client, 1)
    assert Counter(picked) == Counter(b"hhhhhhll")
    assert b"hhhh" not in picked
    assert f"heavy ({heavy.connect})" in daemon.log


def test_unknownPicker(tmp_path: Path) -> None:
    """Whoever mistypes a picker is told which ones there are."""
    ended = run("lbproxy", "-l", "tcp:0", "-p", "round-robbin", directory=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    for words in ("--picker", "round-robbin", "random, rendezvous, round-robin"):
        assert words in line


def test_startSaysWhatIsWhere(start: Start, web: Callable[..., Web]) -> None:
    """The log names the address of each listener and the backends of the pool."""
    a, b = web(), web()
    daemon = start(over=[a, b])
    assert daemon.addresses == [f"127.0.0.1:{daemon.port}"]
    assert f"{a.connect}, {b.connect}" in daemon.log


def test_demo(start: Start) -> None:
    """
    With nothing but C{--listen}, three services take turns, and each says, like
    the log, that this is a demo and how to name real backends.
    """
    daemon = start()
    answers = [get(daemon) for _ in range(6)]
    for at, answer in enumerate(answers):
        assert f"demo-{at % 3 + 1}" in answer
        assert "--backend tcp:" in answer
        assert "demo" in answer.split("\n", 1)[1]
    assert "This is lbproxy's demo" in daemon.log
    assert "--backend tcp:" in daemon.log
