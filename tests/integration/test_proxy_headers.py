"""
HAProxy and nginx understand the PROXY headers that are written here, and theirs are
understood.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest
import trustme

from lbproxy.streams.proxyprotocol.build import LOCAL_V2, headerV1, headerV2
from lbproxy.streams.proxyprotocol.parse import parse
from lbproxy.streams.proxyprotocol.values import (
    ClientFlags,
    ClientTLS,
    Details,
    Header,
)
from lbproxy.words.connection import Address

from .balancers import haproxy, needs, nginx
from .daemon import PATIENCE, eventually, freePort
from .peers import Backend, asks, echo, outcome, readAll

FOUR = Address("192.0.2.1", 1234), Address("198.51.100.2", 443)
SIX = Address("2001:db8::1", 1234), Address("2001:db8::2", 443)


Pair = tuple[Address, Address]


class Reader:
    """
    A peer that reads the header of each connection, and then is an echo.

    @ivar heard: Each header that came, and the address that it came to.
    """

    def __init__(self) -> None:
        self.heard: SimpleQueue[tuple[Header, Address]] = SimpleQueue()

    def __call__(self, connected: socket.socket) -> None:
        """Have one conversation."""
        data = b""
        # Byte by byte, so that what follows the header is left.
        while (header := parse(data)) is None:
            more = connected.recv(1)
            if not more:
                # HAProxy was stopped just when it had begun a check.
                assert not data, "the header is cut off"
                return
            data += more
        assert header.length == len(data)
        host, port = connected.getsockname()
        self.heard.put((header, Address(host, port)))
        echo(connected)

    def first(self, wanted: Callable[[Header, Address], bool]) -> Header:
        """
        The first header that is wanted.

        Others are those of whoever looked whether the balancer listens.
        """
        while True:
            header, own = self.heard.get(timeout=PATIENCE)
            if wanted(header, own):
                return header

    def of(self, pair: Pair) -> Header:
        """The header of a client's connection, which has the right addresses."""
        header = self.first(lambda header, own: header.client == pair[0])
        assert header.local == pair[1]
        assert header.relayed
        return header


def pairOf(connected: socket.socket) -> Pair:
    """The addresses of a connection over IP: this end's, and the other one's."""
    ends = connected.getsockname(), connected.getpeername()
    here, there = (Address(name[0], name[1]) for name in ends)
    return here, there


def talk(client: socket.socket) -> Pair:
    """
    Talk with the echo behind a balancer.

    @return: The addresses of the connection.
    """
    with client:
        client.settimeout(PATIENCE)
        assert asks(client, b"hello") == b"hello"
        return pairOf(client)


@needs("haproxy")
@pytest.mark.parametrize(("how", "version"), [("send-proxy", 1), ("send-proxy-v2", 2)])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_haproxySends(
    serve: Callable[..., Backend], tmp_path: Path, how: str, version: int, host: str
) -> None:
    """HAProxy's headers have the client's addresses, and the client's bytes follow."""
    reader, port = Reader(), freePort(host)
    to = f"server it 127.0.0.1:{serve(reader).port} {how}"
    front = f"bind {host}:{port}\nbind 127.0.0.1:{(other := freePort())}"
    with haproxy(tmp_path, other, front, to):
        pair = talk(socket.create_connection((host, port), PATIENCE))
        header = reader.of(pair)
    assert header.version == version
    assert header.details == Details()


@needs("haproxy")
@pytest.mark.parametrize("certified", [True, False])
def test_haproxySendsDetails(
    serve: Callable[..., Backend],
    tmp_path: Path,
    authority: trustme.CA,
    certificate: Path,
    roots: Path,
    trusting: ssl.SSLContext,
    certified: bool,
) -> None:
    """HAProxy's TLVs are understood, with their checksum."""
    reader, port = Reader(), freePort()
    front = (
        f"bind 127.0.0.1:{port} ssl crt {certificate}/localhost.pem "
        f"ca-file {roots}/authority.pem verify optional alpn h2\n"
        "unique-id-format it-is-%[src_port]"
    )
    options = "crc32c,unique-id,authority,ssl,cert-cn,cert-key,cert-sig,ssl-cipher"
    to = (
        f"server it 127.0.0.1:{serve(reader).port} "
        f"send-proxy-v2-ssl-cn proxy-v2-options {options}"
    )
    if certified:
        authority.issue_cert("me.example", common_name="J\xf6rg").configure_cert(
            trusting
        )
    trusting.set_alpn_protocols(["h2"])
    with haproxy(tmp_path, port, front, to):
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        client = trusting.wrap_socket(plain, server_hostname="localhost")
        pair = talk(client)
        header = reader.of(pair)
    details, tls = header.details, header.details.tls
    assert (details.alpn, details.authority) == (b"h2", "localhost")
    assert details.uniqueId == f"it-is-{pair[0].port}".encode()
    assert tls is not None
    assert tls.verified is certified
    both = ClientFlags.CERTIFICATE | ClientFlags.SESSION_CERTIFICATE
    assert tls.flags == ClientFlags.TLS | (both if certified else 0)
    assert tls.commonName == ("J\xf6rg" if certified else "")
    assert tls.version == "TLSv1.3"
    assert tls.cipher.startswith("TLS_")
    assert (tls.signature, tls.key) == ("ecdsa-with-SHA256", "EC256")


@needs("haproxy")
@pytest.mark.parametrize(("how", "relayed"), [("-v2", False), ("", True)])
def test_haproxyChecks(
    serve: Callable[..., Backend], tmp_path: Path, how: str, relayed: bool
) -> None:
    """A health check is HAProxy's own connection, which version 1 cannot say."""
    reader, port = Reader(), freePort()
    to = (
        f"server it 127.0.0.1:{serve(reader).port} send-proxy{how} "
        "check check-send-proxy inter 100ms"
    )
    with haproxy(tmp_path, port, f"bind 127.0.0.1:{port}", to):
        header = reader.first(
            # The first connection was that of a client.
            lambda header, own: header.local in (None, own)
        )
    if relayed:
        assert header.version == 1
        assert header.client is not None
    else:
        assert header == parse(LOCAL_V2)


@needs("haproxy")
@pytest.mark.parametrize(("how", "relayed"), [("-v2", False), ("", True)])
def test_haproxyOfUNIX(
    serve: Callable[..., Backend], tmp_path: Path, short: str, how: str, relayed: bool
) -> None:
    """Of clients on a UNIX socket HAProxy says what is said here, too: nothing."""
    reader, port = Reader(), freePort()
    front = f"bind 127.0.0.1:{port}\nbind {short}/socket"
    to = f"server it 127.0.0.1:{serve(reader).port} send-proxy{how}"
    with haproxy(tmp_path, port, front, to):
        # It is the last that HAProxy gives its name.
        eventually(Path(short, "socket").exists)
        client = socket.socket(socket.AF_UNIX)
        client.connect(f"{short}/socket")
        with client:
            assert asks(client, b"hello") == b"hello"
        header = reader.first(lambda header, own: header.client is None)
    write = headerV1 if relayed else headerV2
    assert header == parse(write(Address(""), Address(f"{short}/socket")))


@needs("nginx")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_nginxSends(serve: Callable[..., Backend], tmp_path: Path, host: str) -> None:
    """nginx's headers are understood."""
    reader, port, other = Reader(), freePort(host), freePort()
    shown = f"[{host}]" if ":" in host else host
    server = (
        f"listen {shown}:{port}; listen 127.0.0.1:{other}; proxy_protocol on; "
        f"proxy_pass 127.0.0.1:{serve(reader).port};"
    )
    with nginx(tmp_path, other, server):
        pair = talk(socket.create_connection((host, port), PATIENCE))
        header = reader.of(pair)
    assert header.version == 1


TLS = ClientTLS(
    ClientFlags.TLS | ClientFlags.CERTIFICATE, 0, "TLSv1.3", "J\xf6rg", "AES"
)
RICH = Details(
    alpn=b"h2",
    authority="web.example",
    uniqueId=b"an-id",
    tls=TLS,
    namespace="blue",
    others=((0xE0, b"of an application"),),
)

KNOWN = [
    (headerV1(*FOUR), "192.0.2.1 1234 198.51.100.2 443"),
    (headerV1(*SIX), "2001:db8::1 1234 2001:db8::2 443"),
    (headerV1(FOUR[0], SIX[1]), "::ffff:192.0.2.1 1234 2001:db8::2 443"),
    (headerV2(*FOUR), "192.0.2.1 1234 198.51.100.2 443"),
    (headerV2(*SIX), "2001:db8::1 1234 2001:db8::2 443"),
    (headerV2(SIX[0], FOUR[1]), "2001:db8::1 1234 ::ffff:198.51.100.2 443"),
    (headerV2(*FOUR, checksum=True), "192.0.2.1 1234 198.51.100.2 443"),
]
"""Headers, and the addresses that they have."""

UNKNOWN = [
    headerV1(Address(""), FOUR[1]),
    headerV2(Address("/client"), Address("/server"), RICH, checksum=True),
    LOCAL_V2,
]
"""Headers after which the connection's own addresses count."""


@needs("haproxy")
def test_haproxyReceives(tmp_path: Path) -> None:
    """HAProxy takes addresses and details from all headers that are written here."""
    port = freePort()
    answer = " ".join(f"%[{each}]" for each in ["src", "src_port", "dst", "dst_port"])
    answer += " '%[fc_pp_authority]' '%[fc_pp_unique_id]'"
    front = (
        f"bind 127.0.0.1:{port} accept-proxy\n"
        "http-request return status 200 content-type text/plain "
        f'lf-string "{answer}"'
    )

    def said(header: bytes) -> tuple[str, str]:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            own = " ".join(f"{each.host} {each.port}" for each in pairOf(client))
            client.sendall(header + b"GET / HTTP/1.0\r\n\r\n")
            return readAll(client).decode().partition("\r\n\r\n")[2], own

    with haproxy(tmp_path, port, front, mode="http"):
        for header, addresses in KNOWN:
            assert said(header)[0] == f"{addresses} '' ''"
        for details in (RICH, Details(others=((0xE0, bytes(3900)),))):
            rich = headerV2(*FOUR, details, checksum=True)
            names = f"'{details.authority}' '{details.uniqueId.decode()}'"
            assert said(rich)[0] == f"{KNOWN[0][1]} {names}"
        for header in UNKNOWN:
            answered, own = said(header)
            assert answered == f"{own} '' ''"
        # And it checks the checksum in the same way.
        damaged = bytearray(headerV2(*FOUR, RICH, checksum=True))
        damaged[17] ^= 1
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(damaged + b"GET / HTTP/1.0\r\n\r\n")
            assert outcome(client)[0] == b""


@needs("nginx")
def test_nginxReceives(tmp_path: Path) -> None:
    """nginx takes the addresses from them, too."""
    port = freePort()
    names = ["addr", "port", "server_addr", "server_port"]
    answer = " ".join(f"$proxy_protocol_{each}" for each in names)
    server = f'listen 127.0.0.1:{port} proxy_protocol; return "{answer}";'

    def said(header: bytes) -> str:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(header)
            return readAll(client).decode()

    with nginx(tmp_path, port, server):
        for header, addresses in KNOWN:
            assert said(header) == addresses
        for header in UNKNOWN:
            assert said(header) == "   "
