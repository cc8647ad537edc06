"""Another implementation of the protocol, proxy-protocol, reads and writes the same."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from socket import SOCK_DGRAM, SOCK_STREAM

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxyheaders import ASCII, DETAILS, PAIRS
from proxyprotocol import ProxyProtocolChecksumError
from proxyprotocol.result import (
    ProxyResult,
    ProxyResultIPv4,
    ProxyResultIPv6,
    ProxyResultLocal,
    ProxyResultUnix,
    ProxyResultUnknown,
)
from proxyprotocol.tlv import ProxyProtocolSSLTLV, ProxyProtocolTLV
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from lbproxy.streams.proxyprotocol.build import LOCAL_V2, headerV1, headerV2
from lbproxy.streams.proxyprotocol.parse import parse
from lbproxy.streams.proxyprotocol.values import (
    BadHeader,
    ClientFlags,
    ClientTLS,
    Details,
    Header,
)
from lbproxy.words.connection import Address

NO_TLV = ProxyProtocolTLV()
PATHS = ASCII.filter(lambda path: "\0" not in path and path[:1] != "@")
UNIX = st.builds(Address, PATHS, st.none())


def theirs(
    client: Address,
    local: Address,
    tlv: ProxyProtocolTLV = NO_TLV,
    datagram: bool = False,
) -> ProxyResult:
    """A connection as the other implementation has it."""
    protocol = SOCK_DGRAM if datagram else SOCK_STREAM
    if client.port is None or local.port is None:
        return ProxyResultUnix(client.host, local.host, protocol=protocol, tlv=tlv)
    if ":" in client.host:
        return ProxyResultIPv6(
            (IPv6Address(client.host), client.port),
            (IPv6Address(local.host), local.port),
            protocol=protocol,
            tlv=tlv,
        )
    return ProxyResultIPv4(
        (IPv4Address(client.host), client.port),
        (IPv4Address(local.host), local.port),
        protocol=protocol,
        tlv=tlv,
    )


@settings(deadline=None)
@given(PAIRS)
def test_lines(pair: tuple[Address, Address]) -> None:
    """Each writes the line that the other one reads; it is even the same line."""
    written = headerV1(*pair)
    assert written == ProxyProtocolV1().pack(theirs(*pair))
    read = ProxyProtocolV1().unpack(written)
    assert (read.source, read.dest) == (theirs(*pair).source, theirs(*pair).dest)


def test_unknown() -> None:
    """The same of the line that says nothing."""
    written = ProxyProtocolV1().pack(ProxyResultUnknown())
    assert parse(written) == Header(1, len(written))
    none = Address("")
    assert isinstance(
        ProxyProtocolV1().unpack(headerV1(none, none)), ProxyResultUnknown
    )


def test_local() -> None:
    """The same of the header for a connection of the proxy's own."""
    written = ProxyProtocolV2().pack(ProxyResultLocal())
    # It has nothing but a checksum.
    assert parse(written) == Header(2, len(written), relayed=False)
    assert isinstance(ProxyProtocolV2().unpack(LOCAL_V2), ProxyResultLocal)


@settings(deadline=None)
@given(PAIRS, DETAILS, st.booleans())
def test_reads(pair: tuple[Address, Address], details: Details, checksum: bool) -> None:
    """What is written in version 2 is read by the other one, the checksum included."""
    if checksum:
        # The other one checks the TLVs as it would have written them, which is in the
        # order of their types.
        details = Details(details.alpn, details.authority)
    data = headerV2(*pair, details, checksum=checksum)
    read = ProxyProtocolV2().unpack(data)
    expected = theirs(*pair)
    assert (read.source, read.dest) == (expected.source, expected.dest)
    assert read.protocol == expected.protocol
    tlv = read.tlv
    assert (tlv.crc32c is not None) == checksum
    assert (tlv.alpn or b"") == details.alpn
    assert (tlv.authority or "") == details.authority
    assert tlv.unique_id == details.uniqueId
    assert (tlv.netns or "") == details.namespace
    assert all(kind in tlv for kind, _ in details.others)
    if details.tls is not None:
        assert tlv.ssl.client == details.tls.flags
        assert tlv.ssl.verify == details.tls.verify
        assert (tlv.ssl.version or "") == details.tls.version
        assert (tlv.ssl.cn or "") == details.tls.commonName
        assert (tlv.ssl.cipher or "") == details.tls.cipher
        assert (tlv.ssl.sig_alg or "") == details.tls.signature
        assert (tlv.ssl.key_alg or "") == details.tls.key


@settings(deadline=None)
@given(
    PAIRS | st.tuples(UNIX, UNIX),
    st.booleans(),
    st.binary(max_size=9),
    st.text(max_size=9),
    st.integers(0, 7),
)
def test_isRead(
    pair: tuple[Address, Address], datagram: bool, alpn: bytes, name: str, flags: int
) -> None:
    """What the other one writes in version 2, with its checksum, is read."""
    tls = ProxyProtocolSSLTLV(
        has_ssl=bool(flags & 1),
        has_cert_conn=bool(flags & 2),
        has_cert_sess=bool(flags & 4),
        verified=True,
        version="TLSv1.3",
        cn=name,
        cipher="AES",
        sig_alg="RSA-SHA256",
        key_alg="RSA2048",
    )
    tlv = ProxyProtocolTLV(
        alpn=alpn, authority=name, unique_id=b"id", ssl=tls, netns="blue"
    )
    data = ProxyProtocolV2().pack(theirs(*pair, tlv, datagram))
    expected = Details(
        alpn=alpn,
        authority=name,
        uniqueId=b"id",
        tls=ClientTLS(
            ClientFlags(flags), 0, "TLSv1.3", name, "AES", "RSA-SHA256", "RSA2048"
        ),
        namespace="blue",
    )
    header = Header(2, len(data), *pair, datagram=datagram, details=expected)
    assert parse(data) == header


def test_wrongChecksum() -> None:
    """Neither reads a header that was damaged."""
    pair = Address("192.0.2.1", 1), Address("192.0.2.2", 2)
    damaged = bytearray(headerV2(*pair, checksum=True))
    damaged[17] ^= 1
    with pytest.raises(BadHeader):
        parse(bytes(damaged))
    with pytest.raises(ProxyProtocolChecksumError):
        ProxyProtocolV2().unpack(bytes(damaged))
