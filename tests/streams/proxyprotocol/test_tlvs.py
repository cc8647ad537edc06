"""What a header says besides the addresses is read whole, or refused."""

from __future__ import annotations

import pytest
from proxyheaders import FOUR, binary, tlv

from lbproxy.streams.proxyprotocol.build import headerV2
from lbproxy.streams.proxyprotocol.checksum import crc32c
from lbproxy.streams.proxyprotocol.parse import parse
from lbproxy.streams.proxyprotocol.values import (
    BadHeader,
    ClientFlags,
    ClientTLS,
    Details,
)
from lbproxy.words.connection import Address

CLIENT, LOCAL = Address("192.0.2.1", 1234), Address("198.51.100.2", 443)
SSL = bytes([0x07, 0, 0, 0, 0])


def details(*tlvs: bytes) -> Details:
    """What a header with some TLVs says."""
    header = parse(binary(FOUR + b"".join(tlvs)))
    assert header is not None
    return header.details


def test_all() -> None:
    """Every TLV of the specification is understood, in any order."""
    within = [
        tlv(0x25, b"RSA2048"),
        tlv(0x24, b"RSA-SHA256"),
        tlv(0x23, b"ECDHE-RSA-AES128-GCM-SHA256"),
        tlv(0x22, "J\xf6rg".encode()),
        tlv(0x21, b"TLSv1.2"),
        tlv(0x26, b"X25519"),
    ]
    said = details(
        tlv(0x30, b"blue"),
        tlv(0x20, bytes([0x0F, 0, 0, 0, 20]) + b"".join(within)),
        tlv(0x04, b"padding"),
        tlv(0x04, b""),
        tlv(0x05, b"\0\xff"),
        tlv(0x02, "b\xfccher.example".encode()),
        tlv(0x01, b"h2"),
        tlv(0xEA, b"one"),
        tlv(0xEA, b"two"),
    )
    assert said == Details(
        alpn=b"h2",
        authority="b\xfccher.example",
        uniqueId=b"\0\xff",
        tls=ClientTLS(
            flags=ClientFlags(0x0F),
            verify=20,
            version="TLSv1.2",
            commonName="J\xf6rg",
            cipher="ECDHE-RSA-AES128-GCM-SHA256",
            signature="RSA-SHA256",
            key="RSA2048",
            others=((0x26, b"X25519"),),
        ),
        namespace="blue",
        others=((0xEA, b"one"), (0xEA, b"two")),
    )
    assert said.tls is not None
    assert ClientFlags.SESSION_CERTIFICATE in said.tls.flags


def test_bounds() -> None:
    """What is just as long as it may be is read, and written."""
    longest = Details(uniqueId=bytes(128))
    assert details(tlv(5, bytes(128))) == longest
    assert headerV2(CLIENT, LOCAL, longest) == binary(FOUR + tlv(5, bytes(128)))
    assert details(tlv(0x20, SSL)).tls == ClientTLS(ClientFlags(7), 0)
    full = Details(tls=ClientTLS(ClientFlags(0xFF), 0xFFFFFFFF))
    assert headerV2(CLIENT, LOCAL, full) == binary(FOUR + tlv(0x20, b"\xff" * 5))
    room = Details(others=((0xE0, bytes(65535 - 12 - 3)),))
    assert len(headerV2(CLIENT, LOCAL, room)) == 16 + 65535
    more = Details(others=((0xE0, bytes(65535 - 12 - 2)),))
    with pytest.raises(ValueError, match=r"has room for 65535 bytes, not 65536$"):
        headerV2(CLIENT, LOCAL, more)


@pytest.mark.parametrize(
    ("tlvs", "reason"),
    [
        (b"\x01", "the last TLV is cut off within its type and length"),
        (b"\x01\0", "the last TLV is cut off within its type and length"),
        (
            b"\x01\0\x03h2",
            ("the TLV of type 0x01 has a length of 3, of which only 2 are there"),
        ),
        (
            tlv(0xEE, b"") + b"\xee\xff\xff",
            ("the TLV of type 0xee has a length of 65535, of which only 0 are there"),
        ),
        (tlv(1, b"h2") * 2, "the TLV ALPN is there twice"),
        (tlv(0x20, SSL) * 2, "the TLV SSL is there twice"),
        (tlv(2, b"\xff"), "the TLV AUTHORITY is no UTF-8 text"),
        (tlv(0x30, b"\xc3\xa4"), "the TLV NETNS is no ASCII text"),
        (tlv(3, b"123"), "the TLV CRC32C has 3 bytes; expected 4"),
        (tlv(5, bytes(129)), "the TLV UNIQUE_ID has 129 bytes; expected at most 128"),
        (tlv(0x20, SSL[:4]), "the TLV SSL has 4 bytes; expected at least 5"),
        (
            tlv(0x20, SSL + b"\x21"),
            "the last TLV within SSL is cut off within its type and length",
        ),
        # What is within SSL does not reach beyond it.
        (
            tlv(0x20, SSL + b"\x21\0\x04TLS") + tlv(4, b"some more"),
            (
                "the TLV within SSL of type 0x21 has a length of 4, of which "
                "only 3 are there"
            ),
        ),
        (
            tlv(0x20, SSL + tlv(0x22, b"a") + tlv(0x22, b"b")),
            "the TLV SSL_CN is there twice",
        ),
        (tlv(0x20, SSL + tlv(0x22, b"\xff")), "the TLV SSL_CN is no UTF-8 text"),
        (tlv(0x20, SSL + tlv(0x23, b"\xff")), "the TLV SSL_CIPHER is no ASCII text"),
    ],
)
def test_malformed(tlvs: bytes, reason: str) -> None:
    """A malformed TLV spoils the header, and the reason names it."""
    with pytest.raises(BadHeader) as raised:
        details(tlvs)
    assert str(raised.value) == reason


def test_checksum() -> None:
    """A header with a checksum is refused if any of its bits was changed."""
    before = FOUR + tlv(1, b"h2")
    after = tlv(2, b"web.example")
    zeroed = binary(before + tlv(3, bytes(4)) + after)
    checksum = crc32c(zeroed).to_bytes(4)
    data = binary(before + tlv(3, checksum) + after)
    header = parse(data + b"more")
    assert header is not None
    assert header.details == Details(alpn=b"h2", authority="web.example")
    # Signature and length say that it is another header, or none; and the type of the
    # TLV, that there is no checksum.
    bits = set(range(8 * 16, 8 * len(data)))
    kind = data.index(tlv(3, checksum))
    for bit in bits - set(range(8 * kind, 8 * kind + 8)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadHeader):
            parse(bytes(changed))
    with pytest.raises(BadHeader, match=r"^the checksum is 0x00000000, and that of"):
        parse(zeroed)
    with pytest.raises(BadHeader, match=r"checksum is|CRC32C is there twice"):
        parse(binary(before + tlv(3, checksum) * 2 + after))


@pytest.mark.parametrize(
    ("flags", "verify", "verified"),
    [(1, 0, False), (3, 0, True), (5, 0, True), (7, 10, False), (0, 0, False)],
)
def test_verified(flags: int, verify: int, verified: bool) -> None:
    """A client without a certificate is none whose certificate was verified."""
    assert ClientTLS(ClientFlags(flags), verify).verified is verified


@pytest.mark.parametrize(
    "said",
    [
        Details(uniqueId=bytes(129)),
        Details(alpn=bytes(65536)),
        Details(alpn=bytes(65500), authority="a" * 100),
        Details(authority="\ud800"),
        Details(namespace="b\xfccher"),
        Details(others=((1, b"h2"),)),
        Details(others=((256, b""),)),
        Details(others=((-1, b""),)),
        Details(tls=ClientTLS(verify=1 << 32)),
        Details(tls=ClientTLS(verify=-1)),
        Details(tls=ClientTLS(flags=ClientFlags(0x100))),
        Details(tls=ClientTLS(cipher="\xe4")),
        Details(tls=ClientTLS(others=((0x22, b"CN"),))),
    ],
)
def test_cannotBeWritten(said: Details) -> None:
    """What has no place in a header is not cut off, but refused."""
    with pytest.raises(ValueError, match=r"."):
        headerV2(CLIENT, LOCAL, said)
