"""The backends of a file follow it, and are never those of half a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy import Backend, ConfigurationError, IDiscovery, IDiscoveryObserver
from lbproxy.discovery.file import LARGEST, LOOK_EVERY, RESTLESS, FileDiscovery
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import Wheel

LONG_AGO = 1_000_000_000
"""When the files of these stories were written that are put in place whole."""


def read(content: bytes, path: str) -> list[Backend]:
    """A file of this test has a word for each backend."""
    if content.startswith(b"wrong"):
        raise ConfigurationError(f"{path}: {content.decode()}")
    return [Backend(f"tcp:{each}:80") for each in content.decode().split()]


@implementer(IDiscoveryObserver)
class Looked:
    """A discovery of a file, and what it has told of."""

    def __init__(
        self, path: Path, reads: Callable[[bytes, str], Sequence[Backend]] = read
    ) -> None:
        self.path, self.new = path, path.with_name("new")
        self.clock = Clock()
        self.told: list[str] = []
        wheel = Wheel(ClockAlarm(self.clock))
        self.discovery = FileDiscovery(wheel, str(path), reads)

    def start(self) -> Looked:
        self.discovery.start(self)
        return self

    def found(self, backends: Iterable[Backend], why: str = "") -> None:
        assert why == f"{self.path} is another"
        self.told.append(" ".join(each.connect.split(":")[1] for each in backends))

    def failed(self, reason: str) -> None:
        self.told.append(f"failed: {reason}")

    def look(self, times: int = 1) -> list[str]:
        """What it tells of after some more looks at the file."""
        self.told.clear()
        for _ in range(times):
            self.clock.advance(LOOK_EVERY + 0.01)
        return self.told[:]

    def replace(self, text: str) -> None:
        """Rename another file, of long ago, to the path."""
        self.new.write_text(text)
        os.utime(self.new, (LONG_AGO, LONG_AGO))
        self.new.replace(self.path)

    def write(self, text: str) -> None:
        """Write to the file where it is."""
        self.path.write_text(text)


@pytest.fixture
def looked(tmp_path: Path) -> Looked:
    looked = Looked(tmp_path / "web")
    looked.replace("a b")
    looked.start()
    assert looked.told == ["a b"]
    return looked


def test_provides(looked: Looked) -> None:
    """A pool can run it."""
    assert verifyObject(IDiscovery, looked.discovery)
    assert verifyObject(IDiscoveryObserver, looked)


def test_replaced(looked: Looked) -> None:
    """Another file in its place is read at the next look, and once."""
    assert looked.look(3) == []
    looked.replace("a c")
    assert looked.look() == ["a c"]
    assert looked.look(3) == []


def test_replacedAgainAndAgain(looked: Looked) -> None:
    """Each file that was put there whole counts, of whatever size and time it is."""
    for text in ("a c", "a d", "c d", "x y z"):
        looked.replace(text)
        assert looked.look() == [text]


def test_writtenInPlace(looked: Looked) -> None:
    """What is written bit by bit is used when it is whole, not before."""
    for text in ("a", "a c", "a c d"):
        looked.write(text)
        assert looked.look() == []
    assert looked.look() == ["a c d"]


def test_sameFileOfTheSameTime(looked: Looked) -> None:
    """A change is noticed of which the number, the size and the time say nothing."""
    before = looked.path.stat()
    looked.write("a c")
    os.utime(looked.path, (LONG_AGO, LONG_AGO))
    now = looked.path.stat()
    assert (now.st_ino, now.st_size) == (before.st_ino, before.st_size)
    assert now.st_mtime_ns == before.st_mtime_ns
    assert looked.look(2) == ["a c"]


def test_deletedAndWrittenAnew(looked: Looked) -> None:
    """A file that is made anew in place is not read while it is half written."""
    looked.path.unlink()
    assert looked.look() == ["failed: No such file or directory"]
    looked.write("a")
    assert looked.look() == []
    looked.write("a c")
    assert looked.look() == []
    assert looked.look() == ["a c"]


def test_deletedAndWrittenBetweenLooks(looked: Looked) -> None:
    """Nor is it if nobody has seen that it was gone."""
    looked.path.rename(looked.new)
    looked.write("a")
    assert looked.look() == []
    looked.write("a c")
    assert looked.look(2) == ["a c"]


def test_backAgain(looked: Looked) -> None:
    """The same file that is back is told of, for the log says that it was gone."""
    looked.path.rename(looked.new)
    assert looked.look() == ["failed: No such file or directory"]
    looked.new.rename(looked.path)
    assert looked.look() == ["a b"]


def test_notThereYet(tmp_path: Path) -> None:
    """A pool may start before its file is written, or while that is wrong."""
    looked = Looked(tmp_path / "web").start()
    assert looked.told == ["failed: No such file or directory"]
    looked.replace("wrong: at 1")
    assert looked.look() == ["failed: wrong: at 1"]
    looked.replace("a")
    assert looked.look() == ["a"]


def test_wrongInBetween(looked: Looked) -> None:
    """A file that is wrong is told of once, and so is the next that is not."""
    looked.write("wrong: at 1")
    assert looked.look(5) == ["failed: wrong: at 1"]
    looked.write("a b")
    assert looked.look(5) == ["a b"]


def test_switchedLink(tmp_path: Path) -> None:
    """A link to a folder that is switched, as Kubernetes does it, is followed."""
    for name, text in (("one", "a"), ("two", "b")):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "web"
        file.write_text(text)
        os.utime(file, (LONG_AGO, LONG_AGO))
    data, web = tmp_path / "data", tmp_path / "web"
    data.symlink_to("one")
    web.symlink_to("data/web")
    looked = Looked(web).start()
    assert looked.told == ["a"]
    for name, text in (("two", "b"), ("one", "a")):
        new = tmp_path / "switched"
        new.symlink_to(name)
        new.replace(data)
        assert looked.look(2) == [text]
    data.unlink()
    assert looked.look() == ["failed: No such file or directory"]


@pytest.mark.parametrize("half", ["a", "wrong: it ends early"])
def test_writtenWhileItIsRead(tmp_path: Path, half: str) -> None:
    """What was read of a file while it was written to is not used, nor told of."""

    def interrupted(content: bytes, path: str) -> list[Backend]:
        if content != b"a b":
            Path(path).write_text("a b")
        return read(content, path)

    looked = Looked(tmp_path / "web", interrupted)
    looked.replace(half)
    assert looked.start().told == []
    assert looked.look(4) == ["a b"]


def test_changesForEver(looked: Looked) -> None:
    """A file that is written to all the time is told of, and once."""
    for at in range(RESTLESS - 1):
        looked.write("a" * at)
        assert looked.look() == []
    looked.write("still")
    words = "failed: it has changed for 10 s; it is read when it no longer does"
    assert looked.look() == [words]
    for at in range(RESTLESS):
        looked.write("b" * at)
        assert looked.look() == []
    looked.write("c")
    assert looked.look(2) == ["c"]


def test_notAFile(looked: Looked) -> None:
    """A folder is refused; a FIFO is too, and holds up nothing."""
    looked.path.unlink()
    looked.path.mkdir()
    assert set(looked.look(2)) == {"failed: Is a directory"}
    looked.path.rmdir()
    os.mkfifo(looked.path)
    assert looked.look() == ["failed: it is not a file"]
    looked.path.unlink()
    looked.replace("a")
    assert looked.look() == ["a"]


def test_mayNotBeRead(looked: Looked) -> None:
    """A file is read as soon as it may be, though it is the same one."""
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    looked.write("a")
    looked.path.chmod(0)
    assert set(looked.look(3)) == {"failed: Permission denied"}
    looked.path.chmod(0o600)
    assert looked.look(2) == ["a"]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="has no such file")
def test_readErrors(looked: Looked) -> None:
    """A read that fails for a while is tried again at each look."""
    link = looked.path
    link.unlink()
    # It can be opened, and not be read from its beginning.
    link.symlink_to("/proc/self/mem")
    told = looked.look(4)
    assert len(told) >= 2
    assert set(told) == {"failed: Input/output error"}


def test_tooLarge(looked: Looked) -> None:
    """A file that is much too large is refused, and not read to its end."""
    looked.replace("x")
    with looked.path.open("r+b") as file:
        file.truncate(LARGEST + 1)
    assert looked.look(2) == [f"failed: more than {LARGEST} bytes"]


def test_stop(looked: Looked) -> None:
    """After a stop it is looked at no more."""
    looked.discovery.stop()
    looked.replace("a c")
    assert looked.look(5) == []
    assert not looked.clock.calls


def test_stopWhenTold(tmp_path: Path) -> None:
    """What is told may stop the discovery, even from within its start."""

    class Once(Looked):
        def found(self, backends: Iterable[Backend], why: str = "") -> None:
            super().found(backends, why)
            self.discovery.stop()

    looked = Once(tmp_path / "web")
    looked.replace("a")
    looked.start()
    assert looked.told == ["a"]
    assert not looked.clock.calls
