"""A backend is told who its client is, before anything that the client says."""

from __future__ import annotations

import pytest
from stories import A, B, Story

from lbproxy import Address, Backend, Connection, End, TLSFacts
from lbproxy.proxy.proxyheaders import headerOf
from lbproxy.streams.proxyprotocol.build import LOCAL_V2, headerV1, headerV2
from lbproxy.streams.proxyprotocol.parse import parse
from lbproxy.streams.proxyprotocol.values import ClientFlags

CLIENT, LOCAL = Address("192.0.2.1", 40001), Address("127.0.0.1", 8080)
BELIEVED, THERE = Address("2001:db8::7", 1234), Address("2001:db8::1", 443)

WRITERS = {"v1": headerV1, "v2": headerV2}


def members(version: str, *connects: str) -> str:
    """The tables of backends that are told."""
    return "".join(
        f'\n[[pool.web.backends]]\nconnect = "{each}"\nproxy-protocol = "{version}"'
        for each in connects or (A,)
    )


def told(version: str, **arguments) -> Story:
    """A balancer whose only backend is told."""
    return Story(A, members=members(version), **arguments)


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("said", [b"", b"question"])
def test_first(version: str, said: bytes) -> None:
    """It gets the header even if the client says nothing, and the rest behind it."""
    story = told(version)
    client = story.client(said)
    (backend,) = story.backends[0].accepted
    header = WRITERS[version](CLIENT, LOCAL)
    assert backend.received == header + said
    client.send(b" and more")
    story.settle()
    assert backend.received == header + said + b" and more"
    backend.send(b"answer")
    story.settle()
    assert client.received == b"answer"


@pytest.mark.parametrize("version", WRITERS)
def test_believed(version: str) -> None:
    """It is the client that a trusted proxy has named; nothing is said twice."""
    story = told(
        version, listener='proxy-protocol = "required"\ntrusted-proxies = ["all"]'
    )
    client = story.client(headerV1(BELIEVED, THERE) + b"question")
    (backend,) = story.backends[0].accepted
    assert backend.received == WRITERS[version](BELIEVED, THERE) + b"question"
    client.end()
    story.settle()
    assert backend.hasEnd


@pytest.mark.parametrize("version", WRITERS)
def test_retried(version: str) -> None:
    """The member that is tried next is told as well, once."""
    story = Story(A, B, members=members(version, A, B))
    story.backends[0].answer = "refuse"
    story.client(b"x")
    story.client(b"y")
    first, second = story.backends[1].accepted
    assert first.received.endswith(b"x")
    assert first.received.count(WRITERS[version](CLIENT, LOCAL)) == 1
    assert second.received.endswith(b"y")


def test_both() -> None:
    """Of one pool, each backend is told in its own way, or not at all."""
    story = Story(A, B, members=members("v1", A) + members("off", B))
    story.client(b"x")
    story.client(b"x")
    (a,), (b,) = (each.accepted for each in story.backends)
    assert a.received == headerV1(CLIENT, LOCAL) + b"x"
    assert b.received == b"x"


@pytest.mark.parametrize(
    ("version", "header"), [("v1", b"PROXY UNKNOWN\r\n"), ("v2", LOCAL_V2)]
)
def test_withoutAddresses(version: str, header: bytes) -> None:
    """Of a client on a UNIX socket nothing is said."""
    story = told(version, listen="unix:/tmp/front")
    story.network.client("/tmp/front").send(b"x")
    story.settle()
    assert story.backends[0].accepted[0].received == header + b"x"


def test_stalled() -> None:
    """A backend that takes nothing yet gets the header first when it does."""
    story = told("v2")
    story.backends[0].stalls()
    client = story.client(b"question")
    for _ in range(20):
        client.send(b"x" * 50_000)
    story.settle()
    (backend,) = story.backends[0].accepted
    assert not backend.received
    for _ in range(20):
        backend.take()
        story.settle()
    assert backend.received == (
        headerV2(CLIENT, LOCAL) + b"question" + b"x" * 1_000_000
    )


def test_reset() -> None:
    """A backend that cuts off who sends it headers is one that resets."""
    story = told("v2")
    story.backends[0].resets()
    client = story.client(b"question")
    story.settle(1)
    assert client.wasReset
    assert story.end.end is End.BACKEND_RESET


@pytest.mark.parametrize("connect", ["tls:a.internal:443", "ssl:a.internal:443"])
def test_notWithinTLS(connect: str) -> None:
    """A program cannot ask for headers where nobody would look for them."""
    with pytest.raises(ValueError, match="within TLS, where nobody looks"):
        Backend(connect, proxyProtocol="v1")


def test_unknownVersion() -> None:
    """A program is told which versions there are."""
    with pytest.raises(ValueError, match='proxyProtocol = v3: expected "off" or "v1"'):
        Backend(A, proxyProtocol="v3")


def secured(**facts: object) -> Connection:
    """A connection whose client has completed a TLS handshake."""
    tls = TLSFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", **facts)  # type: ignore[arg-type]
    return Connection(17, "web", CLIENT, LOCAL, 0.0, tls=tls)


def test_afterTLS() -> None:
    """In version 2 a backend learns what the TLS with its client has agreed on."""
    connection = secured(serverName="a.example", alpn="h2")
    header = parse(headerOf(connection, "v2"))
    assert header is not None
    assert (header.client, header.local) == (CLIENT, LOCAL)
    assert header.details.alpn == b"h2"
    assert header.details.authority == "a.example"
    assert header.details.uniqueId == b"17"
    tls = header.details.tls
    assert tls is not None
    assert tls.flags == ClientFlags.TLS
    assert (tls.version, tls.cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert not tls.verified
    assert headerOf(connection, "v1") == headerV1(CLIENT, LOCAL)


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("CN=ann,O=Example", "ann"),
        ("O=Example", ""),
        (r"CN=M\C3\BCller\, A.", "Müller, A."),
        ("=", ""),
    ],
)
def test_clientsCertificate(resumed: bool, subject: str, name: str) -> None:
    """It also learns of a certificate that was verified, and whose it is."""
    connection = secured(clientVerified=True, clientSubject=subject, resumed=resumed)
    header = parse(headerOf(connection, "v2"))
    assert header is not None
    tls = header.details.tls
    assert tls is not None
    assert tls.verified
    assert bool(tls.flags & ClientFlags.CERTIFICATE) is not resumed
    assert tls.commonName == name
