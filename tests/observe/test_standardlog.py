"""The main log on standard output: it waits for nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogPublisher, textFileLogObserver
from zope.interface.verify import verifyObject

from lbproxy.observe.linefile import LineFile
from lbproxy.observe.standardlog import StandardLog, freeStandardLog


@pytest.fixture
def reader(tmp_path) -> Iterator[tuple[int, LineFile]]:
    """A pipe: the end that is read, and the file that is written."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = LineFile(str(path))
    file.open()
    yield reader, file
    file.close()
    os.close(reader)


def test_unread(reader, logged) -> None:
    """
    Events that are not read wait; too many are counted, and how many were lost is
    said when they are read again.
    """
    descriptor, file = reader
    log = StandardLog(lambda event: event["text"], file, 10)
    verifyObject(ILogObserver, log)
    log({"text": None})
    events = [f"{number:01000d}\n" for number in range(200)]
    for text in events:
        log({"text": text})
    assert not logged
    there = os.read(descriptor, 200_000)
    log({"text": "lost as well\n"})
    (event,) = logged
    there += os.read(descriptor, 200_000)
    written = there.decode().splitlines(keepends=True)
    assert written == events[: len(written)]
    assert event["lost"] == 201 - len(written)
    log({"text": "again\n"})
    assert os.read(descriptor, 100) == b"again\n"


def test_readerIsGone(tmp_path) -> None:
    """When there is nobody to read it, nothing is raised."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = LineFile(str(path))
    file.open()
    os.close(reader)
    StandardLog(lambda event: "text\n", file)({})
    file.close()


def test_elsewhere(tmp_path) -> None:
    """A log that goes into a file is left alone."""
    with (tmp_path / "log").open("w") as file:
        observer = textFileLogObserver(file)
        publisher = LogPublisher(observer)
        freeStandardLog(publisher)
        assert publisher._observers == [observer]
