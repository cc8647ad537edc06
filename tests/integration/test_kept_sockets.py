"""A socket that a reload keeps is set to what the new configuration says."""

from __future__ import annotations

import os
import pwd
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from configured import configured
from stories import processOf
from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.logger import formatEvent

from lbproxy import CannotStart, LoadBalancer
from lbproxy.config.file import configurationFromText
from lbproxy.ports import portName
from lbproxy.words.endpoints import ServerDescription
from lbproxy.words.place import Place

from .daemon import READABLE, freePort

TCP = "tcp:0:interface=127.0.0.1"

asRoot = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
asNobody = pytest.mark.skipif(not READABLE, reason="nobody else may read this checkout")


class Kept:
    """A balancer, and the sockets that it listens on."""

    def __init__(self) -> None:
        self.balancer: Any = None

    def use(self, listen: str, listener: str = "", more: str = "") -> None:
        """Start with a configuration, or reload it."""
        text = configured("tcp:127.0.0.1:9", listen=listen, listener=listener) + more
        configuration = configurationFromText(text, "kept")
        if self.balancer is None:
            self.balancer = LoadBalancer(reactor, configuration)
            self.balancer.startService()
        else:
            self.balancer.reload(configuration)

    def socket(self, description: str) -> socket.socket:
        """The socket of one endpoint."""
        ports: Any = processOf(self.balancer).ports
        parsed = ServerDescription.parse(description)
        found: list[Any] = []
        ports.take(parsed, 1, Place("test"), Factory).whenOpen(found.append)
        ports.release(portName(parsed))
        return found[0].socket

    def backlog(self, description: str) -> int:
        """How many connections the kernel holds for one TCP endpoint."""
        # On a socket that listens, tcpi_sacked is the backlog; tcp_diag(7).
        info = self.socket(description).getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, 32
        )
        return int.from_bytes(info[28:32], "little")

    def room(self, path: str) -> int:
        """How many connections of a UNIX socket the kernel holds, as it turns out."""
        listening, count = self.socket(f"unix:{path}"), 0
        with ExitStack() as stack:
            while count < 1000:
                trial = stack.enter_context(socket.socket(socket.AF_UNIX))
                trial.setblocking(False)
                try:
                    trial.connect(path)
                except BlockingIOError:
                    break
                count += 1
            for _ in range(count):
                listening.accept()[0].close()
        return count


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Nothing that it listens on is left."""
    kept = Kept()
    yield kept
    if kept.balancer is not None:
        kept.balancer.stopService()


def other(path: str, mode: str, keys: str = "") -> str:
    """The text of a second listener, on a UNIX socket."""
    listen = f'listen = "unix:{path}:mode={mode}"'
    return f'\n[[listener]]\nname = "other"\npool = "web"\n{listen}\n{keys}\n'


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@contextmanager
def being(user: str) -> Iterator[None]:
    """Be another user for a while, as after C{--uid}."""
    os.seteuid(pwd.getpwnam(user).pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def test_backlog(kept: Kept) -> None:
    """The kernel holds as many connections as the key says, or the endpoint itself."""
    kept.use(TCP, "backlog = 10")
    listening = kept.socket(TCP)
    assert kept.backlog(TCP) == 10
    kept.use(TCP, "backlog = 20")
    assert kept.socket(TCP) is listening
    assert kept.backlog(TCP) == 20
    kept.use(TCP)
    assert kept.backlog(TCP) == 1024


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("unix:{}", "unix:{}:600:20"),
        ("unix:{}:mode=660:backlog=5", "unix:address={}:backlog=20:mode=600"),
    ],
)
def test_unix(kept: Kept, short: str, before: str, after: str) -> None:
    """A UNIX socket gets its permissions and its backlog; it is the same file."""
    path = f"{short}/front"
    kept.use(before.format(path))
    there = os.stat(path).st_ino
    kept.use(after.format(path))
    assert os.stat(path).st_ino == there
    assert mode(path) == 0o600
    assert kept.room(path) == 21
    kept.use(f"unix:{path}", "backlog = 30")
    assert mode(path) == 0o666
    assert kept.room(path) == 31


def test_setByHand(kept: Kept, short: str) -> None:
    """Permissions that were set by hand stay, unless those configured are others."""
    path = f"{short}/front"
    kept.use(f"unix:{path}:mode=660")
    os.chmod(path, 0o640)
    kept.use(f"unix:{path}:mode=660")
    assert mode(path) == 0o640


@asRoot
def test_owner(kept: Kept, short: str) -> None:
    """It gets its owner and its group, with its lock; and has the old ones again."""
    path, nobody = f"{short}/front", pwd.getpwnam("nobody")
    kept.use(f"unix:{path}")
    kept.use(f"unix:{path}", 'socket-owner = "nobody"\nsocket-group = 33')
    for there in (os.stat(path), os.lstat(f"{path}.lock")):
        assert (there.st_uid, there.st_gid) == (nobody.pw_uid, 33)
    kept.use(f"unix:{path}", "socket-group = 33")
    assert (os.stat(path).st_uid, os.stat(path).st_gid) == (0, 33)
    kept.use(f"unix:{path}")
    assert os.stat(path).st_gid == 0


def anotherMode(path: str) -> str:
    return other(path, "600")


def anotherOwner(path: str) -> str:
    return other(path, "660", 'socket-owner = "root"\nsocket-group = 33')


@asNobody
@asRoot
@pytest.mark.parametrize(
    ("change", "what"), [(anotherMode, "mode"), (anotherOwner, "owner")]
)
def test_privilegesAreDropped(
    kept: Kept, short: str, change: Callable[[str], str], what: str
) -> None:
    """
    Where one socket cannot be set without privileges, all are as before, and the error
    says so.
    """
    path, mine = f"{short}/other", f"{short}/front"
    os.chmod(short, 0o755)
    owned = 'socket-owner = "nobody"\nbacklog = 10'
    kept.use(f"unix:{mine}:mode=660", owned, other(path, "660"))
    with being("nobody"), pytest.raises(CannotStart) as raised:
        kept.use(f"unix:{mine}:mode=644:backlog=20", owned, change(path))
    assert str(raised.value).startswith(f"cannot listen on unix:{path}:mode=6")
    assert f"its {what} cannot be set: Operation not permitted" in str(raised.value)
    assert str(raised.value).endswith("(privileges were dropped)")
    assert mode(mine) == mode(path) == 0o660
    assert os.stat(path).st_uid == 0
    assert kept.room(mine) == 11
    kept.use(f"unix:{mine}:mode=644:backlog=20", owned, change(path))
    assert mode(mine) == 0o644
    assert kept.room(mine) == 21


@asNobody
@asRoot
def test_whatCannotBeSetBack(kept: Kept, short: str, logged) -> None:
    """Where a group was given up for good before the failure, the log says so."""
    os.chmod(short, 0o755)
    groups, nobody = os.getgroups(), pwd.getpwnam("nobody")
    owned = 'socket-owner = "nobody"\nsocket-group = {}'
    kept.use(f"unix:{short}/a", owned.format(0), other(f"{short}/b", "660"))
    before = os.getegid()
    os.setgroups([nobody.pw_gid])
    os.setegid(nobody.pw_gid)
    try:
        with being("nobody"), pytest.raises(CannotStart):
            kept.use(
                f"unix:{short}/a",
                owned.format(nobody.pw_gid),
                other(f"{short}/b", "600"),
            )
    finally:
        os.setegid(before)
        os.setgroups(groups)
    said = [formatEvent(event) for event in logged]
    assert (
        f"The owner of {short}/a was changed, and cannot be set back: "
        "Operation not permitted"
    ) in said


def test_noSuchBacklog(kept: Kept) -> None:
    """A backlog that no system call takes changes nothing."""
    listen = f"tcp:{freePort()}:interface=127.0.0.1"
    kept.use(listen)
    with pytest.raises(CannotStart, match="its backlog cannot be set"):
        kept.use(f"{listen}:backlog={10**20}")
    assert kept.backlog(listen) == 1024


def test_clientsInherit(kept: Kept) -> None:
    """
    The connections of clients send at once and find out about clients that are gone,
    as the listener says now.
    """

    def accepted() -> tuple[int, int]:
        listening = kept.socket(TCP)
        with socket.create_connection(listening.getsockname()):
            listening.setblocking(True)
            with listening.accept()[0] as client:
                return (
                    client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                    client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                )

    kept.use(TCP)
    assert accepted() == (1, 1)
    kept.use(TCP, "keepalive = 0")
    assert accepted() == (1, 0)
    kept.use(TCP, "keepalive = 60")
    assert accepted() == (1, 1)
