"""A balancer that speaks TLS to its backends, from its start to its reloads."""

from __future__ import annotations

from pathlib import Path

import pytest
from configured import configured
from handshakes import SecureFar, Server, authority, issued, written
from stories import A, B, Story

from lbproxy import Backend, ConfigurationError, End, LoadBalancer, TLSOptions
from lbproxy.config.file import configurationFromText
from lbproxy.runningpool import RunningPool
from lbproxy.streams.proxyprotocol.parse import parse
from lbproxy.testing import Far, MemoryNetwork

RIGHT = Server(issued("a.internal"))
WRONG = Server(issued("b.internal"))


def members(ca: str, *connects: str, keys: str = "") -> str:
    """Lines for backends that TLS is spoken to."""
    return "".join(
        f'\n[[pool.web.backends]]\nconnect = "{each}"\n{keys}\n'
        f'tls = {{ server-name = "a.internal", ca = "{ca}" }}\n'
        for each in connects
    )


@pytest.fixture
def ca(tmp_path: Path) -> str:
    """The file of the authority that is trusted."""
    return written(tmp_path, "ca.pem", authority("ours").cert_pem)


def backend(story: Story, at: int, server: Server) -> SecureFar:
    """The TLS of a backend at the last connection to it."""
    far = story.backends[at].accepted[-1]
    return SecureFar(story.network, far, server).settle()


def detail(story: Story, client: Far) -> str:
    """Why a client whose stream was ended got no backend."""
    assert client.hasEnd
    client.end()
    story.settle()
    assert story.end.end is End.CONNECT_FAILED
    return story.end.detail


def runningPool(story: Story) -> RunningPool:
    return story.balancer.pool("web")


def reload(story: Story, text: str) -> None:
    story.balancer.reload(configurationFromText(configured() + text, "story"))
    story.settle()


def test_bytes(ca: str) -> None:
    """What a client says is heard through TLS, and so is the answer."""
    story = Story(A, members=members(ca, A))
    client = story.client(b"hello")
    far = backend(story, 0, RIGHT)
    assert far.heard == b"hello"
    far.say(b"back")
    assert client.received == b"back"
    client.reset()


CLIENT_HELLO = b"\x16\x03\x01"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_afterTheHeader(ca: str, version: str) -> None:
    """A PROXY header comes before TLS, and within it there is none."""
    keys = f'proxy-protocol = "{version}"'
    story = Story(A, members=members(ca, A, keys=keys))
    client = story.client(b"hello")
    received = story.backends[0].accepted[-1].received
    header = parse(bytes(received))
    assert header is not None
    assert header.client is not None
    assert received[header.length :].startswith(CLIENT_HELLO)
    client.reset()


def test_refusedIsTriedElsewhere(ca: str) -> None:
    """
    A certificate that is refused is a failed dial: it counts for the health of its
    member, and another member is tried.
    """
    lines = 'picker = "first"\nejection = { consecutive-failures = 1 }'
    story = Story(A, B, members=f"{lines}\n{members(ca, A, B)}")
    client = story.client(b"hello")
    assert backend(story, 0, WRONG).heard == b""
    assert backend(story, 1, RIGHT).heard == b"hello"
    first, _ = story.pool.members
    assert first.ejectedUntil is not None
    client.reset()
    story.settle()
    assert [str(each) for each in story.end.tried] == [A]


def test_refusedByAll(ca: str) -> None:
    """The record says which certificate was refused, and why."""
    story = Story(A, members=f"retries = 0\n{members(ca, A)}")
    client = story.client(b"hello")
    backend(story, 0, WRONG)
    reason = "its certificate is not for a.internal but for b.internal"
    assert detail(story, client) == f"{A}: {reason}"


def test_handshakeInTime(ca: str) -> None:
    """The handshake is a part of the dial, and so within C{connect-timeout}."""
    lines = 'connect-timeout = "2s"\nretries = 0'
    story = Story(A, members=f"{lines}\n{members(ca, A)}")
    client = story.client(b"hello")
    story.settle(1.9)
    assert not client.hasEnd
    story.settle(0.2)
    assert detail(story, client) == f"{A}: no answer in 2s"
    assert all(far.closed for far in story.backends[0].accepted)


def test_reload(ca: str, tmp_path: Path) -> None:
    """
    Files are read again, and sessions begun anew; members and connections stay as they
    are.
    """
    checked = 'health-check = { kind = "tls", interval = "10s", fall = 1 }\n'
    text = checked + members(ca, A)
    story = Story(A, members=text)
    client = story.client(b"one")
    before = backend(story, 0, RIGHT)
    (member,) = story.pool.members
    written(tmp_path, "ca.pem", authority("a stranger").cert_pem)
    reload(story, text)
    assert story.pool.members == (member,)
    assert member.active == 1
    client.send(b" two")
    story.settle()
    assert before.settle().heard == b"one two"
    client.reset()
    story.settle()
    story.client(b"three")
    assert backend(story, 0, RIGHT).alerts == ["tlsv1 alert unknown ca"]
    assert member.downSince is None
    for _ in range(2):
        story.settle(10)
        backend(story, 0, RIGHT)
    assert member.downSince is not None


def test_reloadWithoutFile(ca: str) -> None:
    """With a file that is gone nothing is changed."""
    story = Story(A, members=members(ca, A))
    with pytest.raises(ConfigurationError, match=r"ca = .*: No such file"):
        reload(story, members("/nowhere/ca.pem", A))
    client = story.client(b"hello")
    assert backend(story, 0, RIGHT).heard == b"hello"
    client.reset()


def test_otherName(ca: str) -> None:
    """A member with another name to verify is the same member, and verified anew."""
    story = Story(A, members=members(ca, A))
    story.client(b"one").reset()
    (member,) = story.pool.members
    reload(story, members(ca, A).replace("a.internal", "b.internal"))
    assert story.pool.members == (member,)
    client = story.client(b"two")
    assert backend(story, 0, WRONG).heard == b"two"
    client.reset()


def test_keysAreReadAtTheStart(ca: str) -> None:
    """Files may be for root only: they are not read after privileges were dropped."""
    text = configured() + members(ca, A)
    balancer = LoadBalancer(MemoryNetwork(), configurationFromText(text, "story"))
    Path(ca).unlink()
    with pytest.raises(ConfigurationError, match="No such file"):
        balancer.privilegedStartService()


def test_contextsAreKept(ca: str) -> None:
    """After the start no file is needed any more."""
    story = Story(A, members=members(ca, A))
    Path(ca).unlink()
    client = story.client(b"hello")
    assert backend(story, 0, RIGHT).heard == b"hello"
    client.reset()


def test_ofAProgram(ca: str) -> None:
    """A program adds a backend that TLS is spoken to."""
    story = Story(A, B)
    pool = runningPool(story)
    pool.setState(A, "drain")
    pool.remove(B)
    tls = TLSOptions(ca=ca, serverName="a.internal")
    pool.add(Backend(B, "secure", tls=tls))
    client = story.client(b"hello")
    assert backend(story, 1, RIGHT).heard == b"hello"
    client.reset()


def test_namelessOfAProgram() -> None:
    """A name that is missing is a failed dial."""
    story = Story(A, pool="retries = 0")
    pool = runningPool(story)
    pool.remove(A)
    pool.add(Backend("unix:/run/a.sock", "secure", tls=TLSOptions()))
    client = story.client(b"hello")
    said = "secure: it has no host whose name could be verified"
    assert detail(story, client) == said
