"""Backends are told where a client comes from, in the way that they understand best."""

from __future__ import annotations

import pytest
from proxyheaders import FOUR, SIGNATURE, binary, tlv

from lbproxy.streams.proxyprotocol.build import LOCAL_V2, headerV1, headerV2
from lbproxy.streams.proxyprotocol.parse import parse
from lbproxy.streams.proxyprotocol.values import (
    ClientFlags,
    ClientTLS,
    Details,
)
from lbproxy.words.connection import Address

CLIENT, LOCAL = Address("192.0.2.1", 1234), Address("198.51.100.2", 443)


def test_examples() -> None:
    """The headers are those of the specification, byte by byte."""
    assert headerV1(CLIENT, LOCAL) == (
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\r\n"
    )
    assert headerV2(CLIENT, LOCAL) == binary(FOUR)
    assert LOCAL_V2 == SIGNATURE + b"\x20\0\0\0"
    within = tlv(0x21, b"TLSv1.3") + tlv(0x22, b"me") + tlv(0x23, b"AES")
    tls = ClientTLS(
        ClientFlags.TLS | ClientFlags.CERTIFICATE, 0, "TLSv1.3", "me", "AES"
    )
    details = Details(b"h2", "web.example", b"id", tls, others=((0xE0, b""),))
    assert headerV2(CLIENT, LOCAL, details) == binary(
        FOUR
        + tlv(1, b"h2")
        + tlv(2, b"web.example")
        + tlv(5, b"id")
        + tlv(0x20, b"\x03\0\0\0\0" + within)
        + tlv(0xE0, b"")
    )


@pytest.mark.parametrize(
    ("client", "local", "line"),
    [
        ("2001:db8::1", "2001:db8:0::2", "TCP6 2001:db8::1 2001:db8::2 1 2"),
        # Of a listener for both families.
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", "TCP4 192.0.2.1 192.0.2.2 1 2"),
        ("::ffff:192.0.2.1", "192.0.2.2", "TCP4 192.0.2.1 192.0.2.2 1 2"),
        ("fe80::1%eth0", "fe80::2%2", "TCP6 fe80::1 fe80::2 1 2"),
        # Mixed families.
        ("192.0.2.1", "2001:db8::2", "TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2"),
        ("2001:db8::2", "192.0.2.1", "TCP6 2001:db8::2 ::ffff:192.0.2.1 1 2"),
        # What is no address.
        ("", "192.0.2.1", "UNKNOWN"),
        ("localhost", "192.0.2.1", "UNKNOWN"),
        ("192.0.2.1", "\xe4:\0", "UNKNOWN"),
    ],
)
def test_families(client: str, local: str, line: str) -> None:
    """Both versions say the same; the family is that which the connection has."""
    pair = Address(client, 1), Address(local, 2)
    said = headerV1(*pair)
    assert said == f"PROXY {line}\r\n".encode()
    header, other = parse(said), parse(headerV2(*pair))
    assert header is not None
    assert other is not None
    assert (header.client, header.local) == (other.client, other.local)
    assert other.relayed == (line != "UNKNOWN")


@pytest.mark.parametrize(
    ("client", "local"),
    [
        (Address(""), Address("")),
        (Address("/a"), Address("/b")),
        # Sockets with such names.
        (Address("192.0.2.1"), Address("192.0.2.2", 9)),
        (Address("192.0.2.1", 9), Address("192.0.2.2")),
        (Address("@a"), Address("192.0.2.1", 9)),
        (Address("192.0.2.1", 9), Address("/b")),
    ],
)
def test_noAddresses(client: Address, local: Address) -> None:
    """Where there are no IP addresses, the header is one that everybody accepts."""
    assert headerV1(client, local) == b"PROXY UNKNOWN\r\n"
    assert headerV2(client, local, Details(alpn=b"h2"), checksum=True) == LOCAL_V2
