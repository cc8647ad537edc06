"""Lines that nobody waits for: written by a thread, or counted."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, active_count
from time import monotonic

import pytest

from lbproxy.observe.linefile import LineFile
from lbproxy.observe.writer import Writer


def eventually(question: Callable[[], object]) -> None:
    """Ask until the answer is true."""
    never = Event()
    for _ in range(1000):
        if question():
            return
        never.wait(0.01)
    raise AssertionError("it never came to be")


@pytest.fixture
def write() -> Iterator[Callable[..., Writer]]:
    """Begin to write to a file; no thread is left at the end."""
    before = active_count()
    started: list[Writer] = []

    def write(path: Path | str, most: int = 1000) -> Writer:
        file = LineFile(str(path))
        file.open()
        started.append(Writer(file, str(path), most))
        return started[-1]

    yield write
    for writer in started:
        writer.close()
    assert active_count() == before


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A FIFO and the descriptor of its reader, who reads nothing by himself."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def numbers(count: int, first: int = 0) -> list[bytes]:
    """Lines of some length, each with its number."""
    return [b"%090d\n" % number for number in range(first, first + count)]


def readAll(descriptor: int) -> bytes:
    """What is in a pipe."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except BlockingIOError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


def said(logged: list) -> list[str]:
    """What was logged, each without its names."""
    return [event["log_format"].partition("{path} ")[2] for event in logged]


def test_inOrder(write: Callable[..., Writer], tmp_path: Path) -> None:
    """All lines arrive, in order, those of the last moment too."""
    writer = write(tmp_path / "log", 100_000)
    lines = numbers(5000)
    for each in lines:
        writer.put(each)
    writer.close()
    assert (tmp_path / "log").read_bytes() == b"".join(lines)


def test_neverClosed(tmp_path: Path) -> None:
    """A program that ends without closing it has all lines, and does end."""
    path = tmp_path / "log"
    program = (
        "from lbproxy.observe.linefile import LineFile\n"
        "from lbproxy.observe.writer import Writer\n"
        f"file = LineFile({str(path)!r})\n"
        "file.open()\n"
        "writer = Writer(file, 'log')\n"
        "for _ in range(100):\n"
        "    writer.put(b'line\\n')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    assert path.read_bytes() == b"line\n" * 100


def test_withoutClosing(write: Callable[..., Writer], tmp_path: Path) -> None:
    """A line is in the file soon after, whether more come or not."""
    writer = write(tmp_path / "log")
    for _ in range(3):
        writer.put(b"line\n")
        eventually((tmp_path / "log").read_bytes)
        (tmp_path / "log").write_bytes(b"")


def test_nobodyReads(write: Callable[..., Writer], pipe, logged) -> None:
    """
    A reader who has stopped holds up nobody; when he reads again he has all lines
    but those that were counted, whole and in order.
    """
    path, reader = pipe
    writer = write(path)
    lines = numbers(5000)
    began = monotonic()
    for each in lines:
        writer.put(each)
    assert monotonic() - began < 1
    assert said(logged) == ["cannot be written: {error}"]
    got = b""

    def readAgain() -> bool:
        nonlocal got
        got += readAll(reader)
        return len(logged) == 2

    eventually(readAgain)
    got += readAll(reader)
    assert said(logged)[1] == "is written again; {lost} lines were lost"
    there = got.splitlines(keepends=True)
    assert len(there) + logged[1]["lost"] == 5000
    inOrder = iter(lines)
    assert all(each in inOrder for each in there)
    writer.put(b"later\n")
    writer.close()
    assert readAll(reader) == b"later\n"
    assert len(logged) == 2


def test_closedWhileNobodyReads(write: Callable[..., Writer], pipe, logged) -> None:
    """It can be closed within a second or so, and says what nobody will read."""
    path, reader = pipe
    writer = write(path, 100_000)
    for each in numbers(3000):
        writer.put(each)
    began = monotonic()
    writer.close()
    assert monotonic() - began < 3
    assert said(logged) == ["is closed; {lost} lines were lost"]
    there = readAll(reader)
    assert there.endswith(b"\n")
    assert there.count(b"\n") + logged[0]["lost"] == 3000


def test_readerLeaves(write: Callable[..., Writer], pipe, logged) -> None:
    """A reader who is gone is said once; lines wait for the next one."""
    path, reader = pipe
    writer = write(path)
    other = os.open(os.devnull, os.O_RDONLY)
    os.dup2(other, reader)
    os.close(other)
    writer.put(b"one\n")
    eventually(lambda: logged)
    again = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    eventually(lambda: len(logged) == 2)
    assert [event.get("error", event.get("lost")) for event in logged] == [
        "Broken pipe",
        0,
    ]
    assert readAll(again) == b"one\n"
    os.close(again)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_diskFull(write: Callable[..., Writer], logged) -> None:
    """What is never written is told once, and counted when it is too late."""
    writer = write("/dev/full", 7)
    for _ in range(10):
        writer.put(b"line\n")
    eventually(lambda: logged)
    writer.close()
    assert said(logged) == [
        "cannot be written: {error}",
        "is closed; {lost} lines were lost",
    ]
    assert logged[1]["lost"] == 10


def test_diskFullForAWhile(
    write: Callable[..., Writer], tmp_path: Path, logged
) -> None:
    """
    A file that can grow no more for a while has all lines in the end, each once,
    but for those that were counted; the one that was cut off is completed.
    """
    path = tmp_path / "log"
    writer = write(path, 50)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    lines = numbers(20)
    try:
        for each in lines:
            writer.put(each)
        eventually(lambda: logged)
        assert path.stat().st_size == 1000
        more = numbers(60, first=20)
        for each in more:
            writer.put(each)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    eventually(lambda: len(logged) == 2)
    assert said(logged)[1] == "is written again; {lost} lines were lost"
    there = path.read_bytes().splitlines(keepends=True)
    assert len(there) + logged[1]["lost"] == 80
    assert there == [*lines, *more][: len(there)]
    assert logged[1]["lost"] > 0


def test_movedInTheMiddleOfALine(
    write: Callable[..., Writer], tmp_path: Path, logged
) -> None:
    """A line that was cut off in the old file is whole in the new one."""
    path, moved = tmp_path / "log", tmp_path / "log.1"
    writer = write(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    lines = numbers(20)
    try:
        for each in lines:
            writer.put(each)
        eventually(lambda: logged)
        path.rename(moved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    eventually(lambda: len(logged) == 2)
    old = moved.read_bytes()
    assert len(old) == 1000
    assert old[: old.rfind(b"\n") + 1] + path.read_bytes() == b"".join(lines)


def test_deleted(write: Callable[..., Writer], tmp_path: Path, logged) -> None:
    """
    Nothing is written to a file that is deleted: lines wait until it can be made
    again.
    """
    directory = tmp_path / "logs"
    directory.mkdir()
    writer = write(directory / "log")
    writer.put(b"one\n")
    eventually((directory / "log").read_bytes)
    (directory / "log").unlink()
    directory.rmdir()
    writer.put(b"two\n")
    eventually(lambda: logged)
    directory.mkdir()
    eventually(lambda: len(logged) == 2)
    assert (directory / "log").read_bytes() == b"two\n"
    assert logged[1]["lost"] == 0


def test_follow(write: Callable[..., Writer], tmp_path: Path) -> None:
    """Asked to follow a file that was moved, it has done so at once."""
    path = tmp_path / "log"
    writer = write(path)
    path.chmod(0o640)
    path.rename(tmp_path / "log.1")
    writer.follow()
    assert path.exists()
    assert path.stat().st_mode & 0o777 == 0o640
    writer.put(b"one\n")
    writer.close()
    writer.follow()
    assert path.read_bytes() == b"one\n"
