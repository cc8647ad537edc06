"""The access log: its lines and its files."""

from __future__ import annotations

import os
from pathlib import Path
from threading import active_count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories import A, Story, record
from zope.interface.verify import verifyObject

from lbproxy import Address, Backend, IConnectionObserver
from lbproxy.observe.accesslog import AccessLog, line


def test_interface() -> None:
    """It is an observer."""
    verifyObject(IConnectionObserver, AccessLog("stdout"))


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
    proxied = line(record(proxy=Address("10.0.0.1", 5)))
    assert proxied.endswith(" total=2.500 proxy=10.0.0.1:5 client-closed\n")
    assert "pool=- backend=- tried=- in=0 out=0 connect=-" in line(record())


@given(st.text(), st.text())
def test_alwaysOneLine(name: str, detail: str) -> None:
    """Whatever a name or a peer's words contain, it stays one line of its fields."""
    written = line(record(pool=name or "x", detail=detail))
    assert written.count("\n") == 1
    assert written[:-1].isprintable()
    assert len(written.split(" (", 1)[0].split(" ")) == 12


def numbers(path: Path) -> list[str]:
    """Which connections a file has lines of."""
    return [each.split()[1] for each in path.read_text().splitlines()]


@pytest.mark.parametrize("gone", [True, False])
def test_rotation(tmp_path: Path, gone: bool) -> None:
    """A log that was moved away goes on under its old name with the next line."""
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLog(str(path))
    log.closed(record(number=6))
    log.open()
    log.opened(record())
    path.rename(moved)
    if not gone:
        path.touch()
    log.closed(record(number=8))
    log.closed(record(number=9))
    log.close()
    log.closed(record(number=10))
    assert numbers(moved) == []
    assert numbers(path) == ["#8", "#9"]


def test_reopen(tmp_path: Path) -> None:
    """Asked to, it looks at once whether its file was moved away."""
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    log.reopen()
    assert not path.exists()
    log.open()
    log.reopen()
    path.rename(tmp_path / "access.log.1")
    log.reopen()
    assert path.exists()
    log.closed(record(number=8))
    log.close()
    log.reopen()
    assert numbers(path) == ["#8"]


def test_reopenInVain(tmp_path: Path, logged) -> None:
    """When it cannot be reopened it says so, and goes on in the old file."""
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLog(str(path))
    log.open()
    path.rename(moved)
    path.mkdir()
    log.reopen()
    log.closed(record())
    log.close()
    (event,) = logged
    assert "cannot be begun anew" in event["log_format"]
    assert len(numbers(moved)) == 1


def test_nobodyReads(tmp_path: Path) -> None:
    """A FIFO that nobody reads is an error, and does not wait for a reader."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(OSError, match="that nobody reads"):
        AccessLog(str(path)).open()


def test_stdout(capfd) -> None:
    """The log can go to standard output."""
    log = AccessLog("stdout")
    log.open()
    log.closed(record())
    log.close()
    assert capfd.readouterr().out == line(record())


def test_stopped(tmp_path: Path) -> None:
    """When a balancer has stopped all lines are written, and no thread is left."""
    path = tmp_path / "access.log"
    before = active_count()
    story = Story(A, log=str(path))
    assert active_count() == before + 1
    for _ in range(3):
        story.client(b"x")
    story.stop()
    assert [each.split()[-1] for each in path.read_text().splitlines()] == [
        "drained"
    ] * 3
    assert active_count() == before
