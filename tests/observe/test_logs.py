"""What is written of connections, and what happens when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories import A, Story
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from lbproxy import Address, Backend, Connection, End, IConnectionObserver
from lbproxy.observe.accesslog import AccessLog, line
from lbproxy.observe.endslog import EndsLog
from lbproxy.observe.observers import Observers
from lbproxy.streams.deadlines import Deadlines


def record(end: End = End.CLIENT_CLOSED, number: int = 7, **more) -> Connection:
    return Connection(
        id=number,
        listener="front",
        client=Address("192.0.2.1", 40001),
        local=Address("127.0.0.1", 8080),
        opened=1000.0,
        closed=1002.5,
        end=end,
        **more,
    )


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


def test_interfaces(tmp_path: Path) -> None:
    """All of them are observers."""
    verifyObject(IConnectionObserver, AccessLog("stdout", float))
    verifyObject(IConnectionObserver, EndsLog(Deadlines(Clock())))
    verifyObject(IConnectionObserver, Observers([]))


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


def test_floodOfEnds(logged) -> None:
    """Of a flood a few are written and the rest are counted."""
    clock = Clock()
    log = EndsLog(Deadlines(clock))
    log.opened(record())
    log.closed(record())
    for number in range(10):
        log.closed(record(End.CONNECT_FAILED, number, backend=Backend(A)))
    log.closed(record(End.IDLE_TIMEOUT))
    log.closed(record(End.INTERNAL_ERROR))
    assert [str(event["log_level"]) for event in logged] == [
        *["<LogLevel=warn>"] * 3,
        "<LogLevel=info>",
        "<LogLevel=critical>",
    ]
    assert logged[0]["id"] == 0
    clock.advance(1)
    assert [event.get("more") for event in logged[5:]] == [7]
    log.closed(record(End.CONNECT_FAILED))
    assert len(logged) == 7
    log.close()
    assert not clock.getDelayedCalls()


class Bad:
    def opened(self, connection) -> None:
        raise RuntimeError("no")

    closed = opened


def test_badObserver(logged) -> None:
    """An observer that raises disturbs neither the connection nor the others."""
    story = Story(A, observers=[Bad()])
    story.client(b"x").reset()
    story.settle(1)
    assert story.end.end is End.CLIENT_RESET
    story.stop()
    assert sum("log_failure" in event for event in logged) == 2
