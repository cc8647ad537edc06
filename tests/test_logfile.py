"""The log of twistd --logfile: followed when it is moved away."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger, LogPublisher, textFileLogObserver
from twisted.python.logfile import LogFile
from zope.interface.verify import verifyObject

from lbproxy.logfile import FollowedLog, followLog


class Log:
    """A log file as twistd opens it, and what writes to it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "lbproxy.log"
        self.old = directory / "old"
        self.clock = Clock()
        self.file = LogFile.fromFullPath(str(self.path))
        self.observer = textFileLogObserver(self.file)
        self.publisher = LogPublisher(self.observer)
        self.say = Logger(observer=self.publisher).info

    def follow(self) -> FollowedLog:
        followed = followLog(self.publisher, self.clock.seconds)
        assert followed is not None
        return followed


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """One that is closed at the end."""
    log = Log(tmp_path)
    yield log
    log.file.close()


def words(path: Path) -> list[str]:
    """The last word of each line."""
    return [line.split()[-1] for line in path.read_text().splitlines()]


def test_interface(log: Log) -> None:
    """It is an observer."""
    verifyObject(ILogObserver, log.follow())


@pytest.mark.parametrize("there", [False, True])
def test_movedAway(log: Log, there: bool) -> None:
    """It is begun anew, or gone on with, within a second; each line is in one file."""
    log.follow()
    log.say("one")
    log.path.rename(log.old)
    if there:
        log.path.write_text("zero\n")
    log.say("two")
    log.clock.advance(1)
    log.say("three")
    log.say("four")
    assert words(log.old) == ["one", "two"]
    assert words(log.path) == ["zero"] * there + ["three", "four"]


def test_again(log: Log) -> None:
    """It is followed however often it is moved."""
    log.follow()
    for number in range(3):
        log.say(str(number))
        log.path.rename(log.old)
        log.clock.advance(1)
    log.say("3")
    assert words(log.old) == ["2"]
    assert words(log.path) == ["3"]


def test_atOnce(log: Log) -> None:
    """When it is asked to follow there is nothing to wait for."""
    followed = log.follow()
    log.path.rename(log.old)
    followed.follow()
    assert log.path.exists()
    log.say("one")
    assert words(log.path) == ["one"]


def test_notMoved(log: Log) -> None:
    """A log that is where it was is left alone."""
    followed = log.follow()
    log.say("one")
    followed.follow()
    log.clock.advance(1)
    log.say("two")
    assert words(log.path) == ["one", "two"]


def test_permissions(log: Log) -> None:
    """Whoever could read the old log can read the new one."""
    log.follow()
    log.path.chmod(0o646)
    log.path.rename(log.old)
    log.clock.advance(1)
    log.say("one")
    assert log.path.stat().st_mode & 0o777 == 0o646


def test_cannotBeBegunAnew(log: Log, logged) -> None:
    """Then no line is lost, and it is said once for each time."""
    log.follow()
    for _ in range(2):
        log.path.rename(log.old)
        log.path.mkdir()
        for _ in range(3):
            log.clock.advance(1)
            log.say("one")
        assert words(log.old)[-3:] == ["one"] * 3
        log.path.rmdir()
        log.old.rename(log.path)
        log.clock.advance(1)
        log.say("two")
        assert words(log.path)[-1] == "two"
    said = [event["error"] for event in logged]
    assert said == [f"Is a directory: {log.path}"] * 2


def test_size(log: Log) -> None:
    """twistd still begins a new one when it has grown too large, counted anew."""
    log.follow()
    log.file.rotateLength = 200
    log.say("x" * 150)
    log.path.rename(log.old)
    log.clock.advance(1)
    for word in ("one", "y" * 150, "two"):
        log.say(word)
    assert words(log.path) == ["two"]
    assert words(Path(f"{log.path}.1")) == ["one", "y" * 150]
    assert words(log.old) == ["x" * 150]


def test_nothingToFollow(log: Log) -> None:
    """Standard output is not followed, nor a file that is not under its name."""
    elsewhere = LogPublisher(LogPublisher(), textFileLogObserver(StringIO()))
    assert followLog(elsewhere, log.clock.seconds) is None
    log.path.rename(log.old)
    assert followLog(log.publisher, log.clock.seconds) is None
    log.say("one")
    assert words(log.old) == ["one"]


def test_diskFull(log: Log) -> None:
    """While it can grow no more nothing is raised; then it says what is missing."""
    followed = log.follow()
    followed._log = Logger(observer=log.publisher)
    log.say("one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size, hard))
    try:
        for _ in range(3):
            log.say("lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.say("two")
    log.say("three")
    assert words(log.path) == ["one", "two", "lost", "three"]
    assert "; 3 events were lost" in log.path.read_text()
