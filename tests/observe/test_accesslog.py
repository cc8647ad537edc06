"""The access log: its lines, its files, and what happens when it cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories import A, record
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from lbproxy import Backend, IConnectionObserver
from lbproxy.observe.accesslog import AccessLog, line


def test_interface() -> None:
    """It is an observer."""
    verifyObject(IConnectionObserver, AccessLog("stdout", float))


def test_line() -> None:
    """A line has it all, and ends with why the connection did."""
    written = line(
        record(
            pool="web",
            backend=Backend(A, "a"),
            tried=[Backend(A, "b"), Backend(A, "c")],
            connected=1000.25,
            bytesFromClient=5,
            bytesFromBackend=6,
            detail="so it is",
        )
    )
    assert written.split(" ", 1)[1] == (
        "#7 front 192.0.2.1:40001 pool=web backend=a tried=b,c in=5 out=6 "
        "connect=0.250 total=2.500 client-closed (so it is)\n"
    )
    assert "pool=- backend=- tried=- in=0 out=0 connect=-" in line(record())


@given(st.text(), st.text())
def test_alwaysOneLine(name: str, detail: str) -> None:
    """Whatever a name or a peer's words contain, it stays one line of its fields."""
    written = line(record(pool=name or "x", detail=detail))
    assert written.count("\n") == 1
    assert written[:-1].isprintable()
    assert len(written.split(" (", 1)[0].split(" ")) == 12


@pytest.mark.parametrize("gone", [True, False])
def test_rotation(tmp_path: Path, gone: bool) -> None:
    """A log that was moved away goes on under its old name within a second."""
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    clock = Clock()
    log = AccessLog(str(path), clock.seconds)
    log.open()
    log.opened(record())
    log.closed(record())
    path.rename(moved)
    if not gone:
        path.touch()
    log.closed(record(number=8))
    clock.advance(1)
    log.closed(record(number=9))
    clock.advance(1)
    log.closed(record(number=10))
    log.close()
    log.closed(record(number=11))
    assert [each.split()[1] for each in moved.read_text().splitlines()] == ["#7", "#8"]
    assert [each.split()[1] for each in path.read_text().splitlines()] == ["#9", "#10"]


def test_reopen(tmp_path: Path) -> None:
    """Asked to, it looks at once whether its file was moved away."""
    path = tmp_path / "access.log"
    log = AccessLog(str(path), Clock().seconds)
    log.reopen()
    assert not path.exists()
    log.open()
    log.closed(record(number=7))
    log.reopen()
    assert len(path.read_text().splitlines()) == 1
    path.rename(tmp_path / "access.log.1")
    log.reopen()
    log.closed(record(number=8))
    log.close()
    log.reopen()
    assert [each.split()[1] for each in path.read_text().splitlines()] == ["#8"]


def test_reopenInVain(tmp_path: Path, logged) -> None:
    """When it cannot be reopened it says so, and goes on in the old file."""
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLog(str(path), Clock().seconds)
    log.open()
    path.rename(moved)
    path.mkdir()
    log.reopen()
    log.closed(record())
    log.close()
    (event,) = logged
    assert "cannot be begun anew" in event["log_format"]
    assert len(moved.read_text().splitlines()) == 1


def test_diskFull(logged) -> None:
    """Lines that cannot be written are counted, and said so once."""
    log = AccessLog("/dev/full", float)
    log.open()
    for _ in range(5):
        log.closed(record())
    log.close()
    said = [event["log_format"] for event in logged]
    assert said == ["The access log {path} cannot be written: {error}"]


def test_writtenAgain(tmp_path: Path, logged) -> None:
    """When it can be written again, the log says how many lines were lost."""
    directory = tmp_path / "logs"
    directory.mkdir()
    clock = Clock()
    log = AccessLog(str(directory / "access.log"), clock.seconds)
    log.open()
    (directory / "access.log").unlink()
    directory.rmdir()
    for _ in range(2):
        clock.advance(1)
        log.closed(record())
    directory.mkdir()
    clock.advance(1)
    log.closed(record())
    log.close()
    assert logged[-1]["lost"] == 2
    assert len((directory / "access.log").read_text().splitlines()) == 1


def test_stdout(capfd) -> None:
    """The log can go to standard output."""
    log = AccessLog("stdout", float)
    log.open()
    log.closed(record())
    log.close()
