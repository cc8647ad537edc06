"""
What a client begins with is read as far as it is asked for, and no further: PROXY
headers of trusted proxies, and ClientHellos.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories import A, B, Routes, Story
from twisted.internet.address import IPv4Address
from twisted.logger import LogEvent

from lbproxy import Address, End
from lbproxy.streams.clienthello import HELLO_LIMIT
from lbproxy.streams.proxyprotocol.build import LOCAL_V2, headerV1, headerV2
from lbproxy.streams.proxyprotocol.parse import LONGEST_HEADER
from lbproxy.streams.proxyprotocol.values import Details
from lbproxy.streams.proxyprotocol.wire import SIGNATURE
from lbproxy.testing import Far

from .test_limits import Shaking

CLIENT, LOCAL = Address("198.51.100.7", 1234), Address("203.0.113.1", 443)
PROXY, OWN = Address("192.0.2.1", 40001), Address("127.0.0.1", 8080)

REQUIRED = 'proxy-protocol = "required"\ntrusted-proxies = ["192.0.2.0/28"]'
OPTIONAL = 'proxy-protocol = "optional"\ntrusted-proxies = ["192.0.2.0/28"]'
NAMES = """
routes = [
    { server-name = ["b.example", "*.b.example"], pool = "other" },
    { alpn = "h3", pool = "other" },
]
"""
OTHER = f'[pool.other]\nbackends = ["{B}"]'

HEADERS = [headerV1(CLIENT, LOCAL), headerV2(CLIENT, LOCAL)]


def hello(name: str | None = None, *alpn: str) -> bytes:
    """What a TLS client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(alpn)
    said = ssl.MemoryBIO()
    secured = context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        secured.do_handshake()
    return said.read()


def byName(more: str = "", **arguments) -> Story:
    """A balancer whose clients go to the backend at C{B} by what they ask for."""
    told = Story(
        listener=f"{NAMES}\n{more}", pool=f'backends = ["{A}"]\n{OTHER}', **arguments
    )
    told.backends += [
        told.network.backend("10.0.0.1", 80),
        told.network.backend("10.0.0.2", 80),
    ]
    return told


def leaves(story: Story, client: Far) -> None:
    """The client ends its stream, and so does its backend if it has one."""
    client.end()
    for backend in story.backends:
        for far in backend.accepted:
            far.end()
    story.settle()


class TestBelieved:
    """Headers of trusted proxies."""

    @pytest.mark.parametrize("header", HEADERS, ids=["v1", "v2"])
    @pytest.mark.parametrize("listener", [REQUIRED, OPTIONAL])
    def test_withTheFirstBytes(self, header: bytes, listener: str) -> None:
        """The record has the client of the header; the backend gets the rest."""
        story = Story(A, listener=listener)
        client = story.client(header + b"question")
        (backend,) = story.backends[0].accepted
        assert backend.received == b"question"
        leaves(story, client)
        record = story.end
        assert (record.client, record.local) == (CLIENT, LOCAL)
        assert (record.proxy, record.proxyLocal) == (PROXY, OWN)
        assert record.end is End.CLIENT_CLOSED

    @pytest.mark.parametrize("header", HEADERS, ids=["v1", "v2"])
    def test_byteByByte(self, header: bytes) -> None:
        """No backend is dialled before the header is whole."""
        story = Story(A, listener=REQUIRED)
        client = story.client()
        for at in range(len(header)):
            assert not story.backends[0].dials
            client.send(header[at : at + 1])
            story.settle()
        (backend,) = story.backends[0].accepted
        assert backend.received == b""
        client.send(b"question")
        story.settle()
        assert backend.received == b"question"
        leaves(story, client)
        assert story.end.client == CLIENT

    @pytest.mark.parametrize("header", HEADERS, ids=["v1", "v2"])
    @pytest.mark.parametrize("said", [b"", b"question"])
    def test_withTheEnd(self, header: bytes, said: bytes) -> None:
        """An end of stream in one piece with it is passed on."""
        story = Story(A, listener=REQUIRED)
        client = story.network.client(8080)
        client.send(header + said)
        client.end()
        story.settle()
        (backend,) = story.backends[0].accepted
        assert backend.received == said
        assert backend.hasEnd
        backend.end()
        story.settle()
        assert story.end.client == CLIENT
        assert story.end.end is End.CLIENT_CLOSED

    @pytest.mark.parametrize(
        "header", [LOCAL_V2, b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ff 1 2 3\r\n"]
    )
    def test_nothingSaid(self, header: bytes) -> None:
        """A header without addresses leaves those of the connection."""
        story = Story(A, listener=REQUIRED)
        client = story.client(header + b"x")
        assert story.backends[0].accepted[0].received == b"x"
        leaves(story, client)
        assert (story.end.client, story.end.local) == (PROXY, OWN)
        assert story.end.proxy is None

    def test_onUNIX(self) -> None:
        """Whoever may connect to a UNIX socket may be a trusted proxy."""
        story = Story(
            A,
            listener='proxy-protocol = "required"\ntrusted-proxies = ["unix:"]',
            listen="unix:/tmp/front",
        )
        client = story.network.client("/tmp/front")
        client.send(HEADERS[0] + b"x")
        story.settle()
        assert story.backends[0].accepted[0].received == b"x"
        leaves(story, client)
        assert story.end.client == CLIENT
        assert str(story.end.proxy) == "unix:"

    def test_routesAndRouters(self) -> None:
        """They go by the client that the header names."""
        seen = []

        class Notes(Routes):
            def route(self, connection):
                seen.append((connection.client, connection.local))
                return "web"

        route = 'routes = [{ client = "198.51.100.8", pool = "web" }]'
        story = Story(
            A, listener=f"{REQUIRED}\n{route}", routers={"front": Notes(None)}
        )
        story.client(headerV1(Address("198.51.100.8", 1), LOCAL) + b"x")
        assert not seen
        story.client(HEADERS[1] + b"x")
        assert seen == [(CLIENT, LOCAL)]

    def test_opened(self) -> None:
        """An observer is told at once, when only the proxy is known."""
        story = Story(A, listener=REQUIRED)
        story.client()
        (opened,) = story.records.opens
        assert opened.client == PROXY


class TestRefused:
    """What is no header of a trusted proxy."""

    @pytest.mark.parametrize(
        ("said", "detail"),
        [
            (b"GET / HTTP/1.0\r\n\r\n", 'expected a PROXY header, got "GET / HTTP/1.0'),
            (b"PROXY TCP4 a b 1 2\r\n", "is no PROXY header; expected"),
            (b"PROXY UNKNOWN" + b" " * 200, "does not end within 107 bytes"),
            (SIGNATURE + b"\x21\x11\xff\xff", "65551 bytes; expected at most 4096"),
            (SIGNATURE + b"\x20\x00" + LONGEST_HEADER.to_bytes(2), "expected at most"),
            (HEADERS[0].replace(b"TCP4", b"TCP6"), "is no PROXY header"),
        ],
    )
    def test_bad(self, said: bytes, detail: str) -> None:
        """The client is closed in good order, and the record says what it sent."""
        story = Story(A, listener=REQUIRED)
        client = story.client(said)
        assert client.hasEnd
        assert not client.received
        client.end()
        story.settle()
        assert story.end.end is End.BAD_PROXY_HEADER
        assert detail in story.end.detail
        assert not story.backends[0].dials

    def test_badLate(self) -> None:
        """Also if the wrong byte comes late; the line says so, on one line."""
        story = Story(A, listener=REQUIRED)
        client = story.client(b"PROXY ")
        client.send(b"TCP9\n")
        story.settle()
        assert client.hasEnd
        client.end()
        story.settle()
        assert story.end.detail.startswith('"PROXY TCP9\\n" is no PROXY header')

    def test_stranger(self) -> None:
        """Where headers are required, others are refused whatever they send."""
        story = Story(A, listener=REQUIRED)
        client = story.network.client(8080, host="192.0.2.99")
        client.send(HEADERS[0])
        story.settle()
        assert client.hasEnd
        client.end()
        story.settle()
        assert story.end.end is End.BAD_PROXY_HEADER
        assert story.end.detail == "192.0.2.99:40001 is no trusted proxy"
        assert story.end.client.host == "192.0.2.99"

    def test_directClient(self) -> None:
        """Where they are optional, a stranger's header is what it says, and no more."""
        story = Story(A, listener=OPTIONAL)
        client = story.network.client(8080, host="192.0.2.99")
        client.send(HEADERS[0])
        story.settle()
        assert story.backends[0].accepted[0].received == HEADERS[0]
        leaves(story, client)
        assert story.end.client.host == "192.0.2.99"

    @pytest.mark.parametrize("header", [b"", HEADERS[0][:20], HEADERS[1][:20]])
    def test_late(self, header: bytes) -> None:
        """A header that is not whole in time ends the connection, which is cut off."""
        story = Story(A, listener=f'{REQUIRED}\nproxy-header-timeout = "3s"')
        client = story.client(header[:10])
        story.settle(2)
        client.send(header[10:])
        story.settle(0.9)
        assert not client.wasReset
        story.settle(0.2)
        assert client.wasReset
        assert story.end.end is End.BAD_PROXY_HEADER
        assert story.end.detail == "no whole PROXY header within 3s"


def secured(story: Story) -> Far:
    """A client that has come through an endpoint that ends TLS."""
    here, there = (
        IPv4Address("TCP", each.host, each.port or 0) for each in (OWN, PROXY)
    )
    near = Shaking(story.network, here, there)
    protocol: Any = story.network._listening[8080].buildProtocol(there)
    near.connect(protocol)
    protocol.handshakeCompleted()
    story.settle()
    return near.far


class TestWithinTLS:
    """Clients of endpoints that end TLS, as those of plugins may."""

    def test_header(self) -> None:
        """A header is not looked for where nobody would write it."""
        story = Story(A, listener=REQUIRED)
        client = secured(story)
        assert client.hasEnd
        client.end()
        story.settle()
        assert story.end.end is End.BAD_PROXY_HEADER
        assert "comes before TLS" in story.end.detail

    def test_hello(self) -> None:
        """Their ClientHello is over; they are not refused, and wait for nobody."""
        story = Story(A, listener="require-tls = true")
        client = secured(story)
        assert story.backends[0].accepted
        leaves(story, client)

    def test_direct(self) -> None:
        """Whoever need not send a header is served."""
        story = Story(A, listener=OPTIONAL.replace("192.0.2.0/28", "192.0.2.99"))
        client = secured(story)
        assert story.backends[0].accepted
        leaves(story, client)


class TestLeaves:
    """Clients that leave meanwhile: balancers in clouds check like that."""

    @pytest.mark.parametrize("said", [b"", HEADERS[0][:20], HEADERS[1][:20]])
    @pytest.mark.parametrize("halfClose", ["true", "false"])
    def test_ended(self, said: bytes, halfClose: str, logged: list[LogEvent]) -> None:
        """It is closed as usual, and the log says nothing of it."""
        story = Story(A, listener=f"{REQUIRED}\nhalf-close = {halfClose}")
        client = story.client(said)
        client.end()
        story.settle()
        assert client.hasEnd
        assert story.end.end is End.CLIENT_CLOSED
        assert story.end.detail == ("before its PROXY header was whole" if said else "")
        assert not [each for each in logged if "connection" in each]

    @pytest.mark.parametrize("said", [b"", HEADERS[0][:20]])
    def test_reset(self, said: bytes, logged: list[LogEvent]) -> None:
        """A reset is one; without a byte before it, it is not logged."""
        story = Story(A, listener=REQUIRED)
        client = story.client(said)
        client.reset()
        story.settle()
        assert story.end.end is End.CLIENT_RESET
        assert len([each for each in logged if "connection" in each]) == bool(said)

    def test_balancerStops(self) -> None:
        """A client that is waited for is cut off when the balancer is stopped."""
        story = Story(A, listener=REQUIRED)
        client = story.client(b"PROXY ")
        story.stop()
        assert client.wasReset
        assert story.end.end is End.DRAINED


class TestByName:
    """Clients that go where their ClientHello says."""

    @pytest.mark.parametrize(
        ("said", "at"),
        [
            (hello("b.example"), 1),
            (hello("B.example"), 1),
            (hello("any.where.b.example"), 1),
            (hello("a.example"), 0),
            (hello("bb.example"), 0),
            (hello(), 0),
            (hello("a.example", "h2", "h3"), 1),
            (hello("a.example", "h2"), 0),
            (b"GET / HTTP/1.0\r\n\r\n", 0),
            (b"\x16\x02", 0),
        ],
    )
    @pytest.mark.parametrize("dribbles", [False, True])
    def test_routed(self, said: bytes, at: int, dribbles: bool) -> None:
        """Nothing of what the client says is lost on the way."""
        story = byName()
        client = story.client()
        step = 1 if dribbles else len(said)
        for start in range(0, len(said), step):
            client.send(said[start : start + step])
            story.settle()
        (backend,) = story.backends[at].accepted
        assert not story.backends[1 - at].dials
        assert backend.received == said
        leaves(story, client)

    def test_known(self) -> None:
        """Routers and the record know what the client asks for."""
        seen = []

        class Notes(Routes):
            def route(self, connection):
                seen.append((connection.serverName, connection.offeredProtocols))
                return "web"

        story = byName(routers={"front": Notes(None)})
        client = story.client(hello("A.example", "h2", "http/1.1"))
        assert seen == [("a.example", (b"h2", b"http/1.1"))]
        leaves(story, client)
        assert story.end.serverName == "a.example"

    def test_behindAHeader(self) -> None:
        """First the header, then the ClientHello, however they are cut."""
        said = HEADERS[1] + hello("b.example")
        for at in range(1, len(said), 7):
            story = byName(REQUIRED)
            client = story.client(said[:at])
            client.send(said[at:])
            story.settle()
            assert story.backends[1].accepted[0].received == said[len(HEADERS[1]) :]
            leaves(story, client)
            assert story.end.client == CLIENT
            assert story.end.serverName == "b.example"
            story.stop()

    @pytest.mark.parametrize(
        ("said", "detail"),
        [
            (b"GET / HTTP/1.0\r\n\r\n", "not TLS: looks like HTTP"),
            (b"SSH-2.0-x\r\n", "not TLS: looks like SSH"),
            (b"\0", 'not TLS: begins with "\\x00"'),
        ],
    )
    def test_onlyTLS(self, said: bytes, detail: str) -> None:
        """With require-tls whoever speaks something else is refused."""
        story = byName("require-tls = true")
        client = story.client(said)
        assert client.hasEnd
        client.end()
        story.settle()
        assert story.end.end is End.BAD_CLIENT_HELLO
        assert story.end.detail == detail

    def test_onlyTLSWithoutNames(self) -> None:
        """It works without any routes, and lets TLS through."""
        story = Story(A, listener="require-tls = true")
        client = story.client(b"no")
        client.end()
        story.settle()
        assert story.end.end is End.BAD_CLIENT_HELLO
        said = hello("a.example")
        story.client(said)
        assert story.backends[0].accepted[0].received == said

    @pytest.mark.parametrize(
        ("said", "detail"),
        [
            (b"\x16\x03\x01\x00\x00", "a record of the handshake has 0 bytes"),
            (
                b"\x16\x03\x01\x40\x00\x01\x00\x40\x00",
                f"the ClientHello has more than {HELLO_LIMIT} bytes",
            ),
        ],
    )
    def test_bad(self, said: bytes, detail: str) -> None:
        """What begins like TLS and is none is refused in any case."""
        story = byName()
        client = story.client(said)
        assert client.hasEnd
        client.end()
        story.settle()
        assert story.end.end is End.BAD_CLIENT_HELLO
        assert detail in story.end.detail

    @pytest.mark.parametrize("said", [b"", hello("b.example")[:50]], ids=["", "begun"])
    def test_late(self, said: bytes) -> None:
        """One that is not whole in time ends the connection."""
        story = byName('client-hello-timeout = "3s"')
        client = story.client(said)
        story.settle(3.1)
        assert client.wasReset
        assert story.end.end is End.BAD_CLIENT_HELLO
        assert story.end.detail == "no whole ClientHello within 3s"

    @pytest.mark.parametrize("said", [b"", hello("b.example")[:50]], ids=["", "begun"])
    def test_ended(self, said: bytes) -> None:
        """A client that leaves before is closed as usual."""
        story = byName()
        client = story.client(said)
        client.end()
        story.settle()
        assert story.end.end is End.CLIENT_CLOSED
        assert story.end.detail == ("before its ClientHello was whole" if said else "")

    @pytest.mark.parametrize(
        ("said", "at"), [(b"GET / HTTP/1.0\r\n\r\n", 1), (hello("a.example"), 0)]
    )
    def test_namedByAProxy(self, said: bytes, at: int) -> None:
        """
        A proxy that has ended TLS may say what the client asked for; if the client
        speaks TLS within, that counts.
        """
        details = Details(authority="B.Example.", alpn=b"h2")
        story = byName(REQUIRED)
        client = story.client(headerV2(CLIENT, LOCAL, details) + said)
        assert story.backends[at].accepted[0].received == said
        leaves(story, client)
        if at:
            assert story.end.serverName == "b.example"
            assert story.end.offeredProtocols == (b"h2",)

    def test_protocolNamedByAProxy(self) -> None:
        """Likewise the protocol that they have agreed on."""
        story = byName(REQUIRED)
        header = headerV2(CLIENT, LOCAL, Details(alpn=b"h3"))
        story.client(header + b"x")
        assert story.backends[1].accepted

    def test_eachHasItsTime(self) -> None:
        """The time for the ClientHello begins after the header."""
        story = byName(REQUIRED)
        client = story.client()
        story.settle(4)
        client.send(HEADERS[0])
        story.settle(4)
        client.send(hello("b.example"))
        story.settle()
        assert story.backends[1].accepted
        leaves(story, client)


SECRET = hello("b.example", "h2")
BEGINNINGS = [
    (HEADERS[0], b"", 0),
    (HEADERS[1], SECRET, 1),
    (LOCAL_V2, SECRET, 1),
    (HEADERS[1], b"GET / HTTP/1.0\r\n\r\n", 0),
]
"""Headers, what comes after them, and which backend gets it."""


@given(
    st.sampled_from(BEGINNINGS),
    st.lists(st.integers(0, 800), max_size=6),
    st.none() | st.integers(0, 800),
    st.sampled_from([End.CLIENT_CLOSED, End.CLIENT_RESET]),
    st.booleans(),
)
def test_anyCuts(
    beginning: tuple[bytes, bytes, int],
    cuts: list[int],
    length: int | None,
    leaves: End,
    settles: bool,
) -> None:
    """
    However what it says is cut, and wherever it ends: a client has a backend once what
    it begins with is whole, and the backend gets exactly what follows the header.
    """
    header, rest, at = beginning
    said = (header + rest)[:length]
    story = byName(REQUIRED)
    client = story.client()
    bounds = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    for start, end in pairwise(bounds):
        client.send(said[start:end])
        if settles:
            story.settle()
    story.settle()
    # Of what is not TLS the first byte tells; without any byte, more is waited for.
    needed = len(header) + (len(SECRET) if rest == SECRET else 1)
    accepted = [far for backend in story.backends for far in backend.accepted]
    if len(said) >= needed:
        (backend,) = story.backends[at].accepted
        assert accepted == [backend]
        assert backend.received == said[len(header) :]
    else:
        assert not accepted
    if leaves is End.CLIENT_CLOSED:
        client.end()
    else:
        client.reset()
    for far in accepted:
        far.end()
    story.settle()
    assert story.end.end is leaves
    hasAddresses = len(said) >= len(header) and header != LOCAL_V2
    assert story.end.client == (CLIENT if hasAddresses else PROXY)
    story.stop()
