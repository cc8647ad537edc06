"""Connecting to a backend: in time, once, or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trustme
from handshakes import SecureFar, Server, authority, issued, written
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionRefusedError,
)
from twisted.python.failure import Failure

from lbproxy import Backend, Member
from lbproxy.proxy.dialer import Dialer, shortage
from lbproxy.proxy.pluginerrors import PluginErrors
from lbproxy.proxy.reasons import brief
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.clientcontexts import ClientContexts
from lbproxy.streams.wheel import Wheel
from lbproxy.testing import MemoryNetwork
from lbproxy.testing.backends import Answer
from lbproxy.words.tlsoptions import TLSOptions

TCP = "tcp:10.0.0.1:80"
NAMED = "tcp:backend.internal:80"


class Dialled:
    """One dial, and what came of it: its owner."""

    def __init__(
        self,
        answer: Answer,
        connect: str = TCP,
        network: MemoryNetwork | None = None,
        tls: TLSOptions | None = None,
    ) -> None:
        self.network = network or MemoryNetwork()
        self.script = self.network.backend("10.0.0.1", 80)
        self.script.answer = answer
        self.streams: list = []
        self.failures: list[str] = []
        self.said = ""
        errors = PluginErrors(Wheel(ClockAlarm(self.network)))
        dialer = Dialer(self.network, errors, ClientContexts())
        self.dial = dialer.dial(Member(Backend(connect, tls=tls)), 5, 60, self)

    def dialled(self, backend) -> None:
        self.streams.append(backend)

    def dialFailed(self, reason: Failure) -> None:
        self.failures.append(type(reason.value).__name__)
        self.said = brief(reason)

    def outcome(self) -> tuple[int, list[str]]:
        self.network.settle()
        return len(self.streams), self.failures


WAYS = [TCP, "tcp:host=10.0.0.1:port=80", "tcp:10.0.0.1:80:timeout=9", NAMED]
"""The first three are connected to directly, the last by an endpoint of Twisted's."""


@pytest.mark.parametrize("connect", WAYS)
def test_connected(connect: str) -> None:
    """A backend that accepts becomes a stream, and nothing is left to come."""
    network = MemoryNetwork()
    network.alias("backend.internal", "10.0.0.1")
    dialled = Dialled("accept", connect, network)
    assert dialled.outcome() == (1, [])
    dialled.dial.cancel()
    assert dialled.outcome() == (1, [])
    assert not dialled.network.getDelayedCalls()


def test_refused() -> None:
    """One that refuses is one failure."""
    dialled = Dialled("refuse")
    assert dialled.outcome() == (0, ["ConnectionRefusedError"])
    assert not dialled.network.getDelayedCalls()


@pytest.mark.parametrize("connect", WAYS)
@pytest.mark.parametrize("answer", ["accept", "refuse", "hang"])
def test_cancelled(answer: Answer, connect: str) -> None:
    """Of a dial that was cancelled nothing more is heard."""
    network = MemoryNetwork()
    network.alias("backend.internal", "10.0.0.1")
    dialled = Dialled(answer, connect, network)
    dialled.dial.cancel()
    dialled.network.settle(10)
    assert dialled.outcome() == (0, [])
    assert not dialled.network.getDelayedCalls()


def test_noSuchEndpoint() -> None:
    """A description that makes no endpoint is a failed dial."""
    assert Dialled("accept", "bogus:1").outcome() == (0, ["ValueError"])


class LocalNetwork(MemoryNetwork):
    """A network whose UNIX sockets lead to the one backend there is."""

    def connectUNIX(self, path, factory, timeout=30, checkPID=0):
        return self.connectTCP("10.0.0.1", 80, factory, timeout)


LOCAL = "unix:/run/backend.sock"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("accept", (1, [])),
        ("refuse", (0, ["ConnectionRefusedError"])),
        ("hang", (0, ["BacklogFull"])),
    ],
)
def test_localAtOnce(answer: Answer, outcome: tuple[int, list[str]]) -> None:
    """
    A UNIX socket answers at once; one that does not has a full backlog, and is
    not waited for.
    """
    dialled = Dialled(answer, LOCAL, LocalNetwork())
    assert dialled.outcome() == outcome
    if dialled.streams:
        dialled.streams[0].abort()
        dialled.network.settle()
    assert not dialled.network.getDelayedCalls()


def test_localCancelled() -> None:
    """Of a dial that was cancelled nothing more is heard, at once or not."""
    dialled = Dialled("hang", LOCAL, LocalNetwork())
    dialled.dial.cancel()
    assert dialled.outcome() == (0, [])


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (ConnectBindError(errno.EMFILE, "..."), "Too many open files"),
        (OSError(errno.ENFILE, "..."), "Too many open files in system"),
        (ConnectError(errno.ENOBUFS, "..."), "No buffer space available"),
        (OSError(errno.ENOMEM, "..."), "Cannot allocate memory"),
        (ConnectBindError(errno.EADDRNOTAVAIL, "no such address here"), None),
        (ConnectBindError(errno.EADDRINUSE, "taken"), None),
        (ConnectBindError(errno.EAFNOSUPPORT, "no IPv6"), None),
        (ConnectError(errno.EADDRNOTAVAIL, "no local port"), None),
        (ConnectError(errno.EAGAIN, "full"), None),
        (ConnectBindError(), None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), None),
        (ValueError("else"), None),
    ],
)
def test_shortage(error: Exception, lacking: str | None) -> None:
    """No backend is blamed for what this process lacks; for all else it is."""
    assert shortage(Failure(error)) == lacking


class SecureDial(Dialled):
    """One dial of a backend that TLS is spoken to."""

    def __init__(
        self,
        server: Server,
        connect: str = TCP,
        *,
        answer: Answer = "accept",
        plain: bool = False,
        **keys,
    ) -> None:
        network = MemoryNetwork()
        network.alias("backend.internal", "10.0.0.1")
        network.backend("/run/backend.sock").answer = answer
        self.server = server
        tls = TLSOptions(**{"serverName": "a.internal", **keys})
        super().__init__(answer, connect, network, None if plain else tls)

    def begin(self) -> SecureFar:
        """The backend has begun the handshake, or has made it."""
        self.network.settle()
        (far,) = self.script.accepted
        return SecureFar(self.network, far, self.server)


@pytest.fixture
def ca(tmp_path: Path) -> str:
    return written(tmp_path, "ca.pem", authority("ours").cert_pem)


@pytest.mark.parametrize("connect", [*WAYS, "unix:/run/backend.sock"])
def test_secure(connect: str, ca: str) -> None:
    """A dial is over after the handshake, whatever the endpoint is."""
    dialled = SecureDial(Server(issued("a.internal")), connect, ca=ca)
    if connect.startswith("unix:"):
        dialled.script = dialled.network.backend("/run/backend.sock")
    far = dialled.begin()
    assert dialled.outcome() == (0, [])
    far.settle()
    assert dialled.outcome() == (1, [])
    (stream,) = dialled.streams
    assert stream.facts.pauses
    received: list[bytes] = []
    stream.flow(received.append)
    stream.write(b"hello")
    assert far.settle().heard == b"hello"
    far.say(b"back")
    assert received == [b"back"]
    stream.abort()
    dialled.network.settle()
    assert not dialled.network.getDelayedCalls()


def test_secureRefused(ca: str) -> None:
    """A certificate that is refused is a failed dial, and its connection is closed."""
    dialled = SecureDial(Server(issued("b.internal")), ca=ca)
    dialled.begin().settle()
    assert dialled.outcome() == (0, ["CertificateRefused"])
    assert all(far.closed for far in dialled.script.accepted)
    assert not dialled.network.getDelayedCalls()


@pytest.mark.parametrize("answer", ["accept", "hang", "refuse"])
@pytest.mark.parametrize("connect", WAYS)
def test_secureCancelled(answer: Answer, connect: str, ca: str) -> None:
    """Of a dial that was cancelled nothing more is heard, in a handshake or before."""
    for settled in True, False:
        server = Server(issued("a.internal"))
        dialled = SecureDial(server, connect, ca=ca, answer=answer)
        if settled:
            dialled.network.settle()
            dialled.failures.clear()
        dialled.dial.cancel()
        dialled.network.settle(10)
        assert dialled.outcome() == (0, [])
        assert all(far.closed for far in dialled.script.accepted)
        assert not dialled.network.getDelayedCalls()


def test_secureWithoutFile() -> None:
    """A file that is gone is a failed dial, in words that name it."""
    dialled = SecureDial(Server(issued("a.internal")), ca="/nowhere/ca.pem")
    assert dialled.outcome() == (0, ["UnusableFile"])


def test_secureBacklog() -> None:
    """A UNIX socket with a full backlog is told of as ever."""
    server = Server(issued("a.internal"))
    dialled = SecureDial(server, LOCAL, answer="hang", verify=False)
    assert dialled.outcome() == (0, ["BacklogFull"])


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (issued("a.internal", by="a stranger"), "unknown ca"),
        (issued("a.internal", begins=-9, ends=-1), "certificate expired"),
        (issued("a.internal", begins=1), "bad certificate"),
        (issued("b.internal"), "its certificate is not for a.internal"),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_reasons(
    certificate: trustme.LeafCert, reason: str, own: bool, ca: str, tmp_path: Path
) -> None:
    """A C{tls:} endpoint of Twisted's fails for a reason in the same words, nearly."""
    server = Server(certificate)
    if own:
        dialled = SecureDial(server, ca=ca)
    else:
        inner = r"tcp\:10.0.0.1\:80"
        connect = f"tls:a.internal:443:trustRoots={tmp_path}:endpoint={inner}"
        dialled = SecureDial(server, connect, plain=True)
    dialled.begin().settle()
    assert len(dialled.outcome()[1]) == 1
    if own and reason == "bad certificate":
        reason = "certificate not yet valid"
    assert dialled.said.startswith(reason)


@pytest.mark.parametrize("reset", [False, True])
def test_leftHandshake(ca: str, reset: bool) -> None:
    """A backend that leaves before it has answered is said to, however it leaves."""
    dialled = SecureDial(Server(issued("a.internal")), ca=ca)
    dialled.begin()
    (far,) = dialled.script.accepted
    if reset:
        far.reset()
    else:
        far.end()
    assert len(dialled.outcome()[1]) == 1
    assert dialled.said == "it left during the TLS handshake"
