"""What proxies send is understood however it arrives, and nothing else is."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxyheaders import DETAILS, FOUR, PAIRS, SIGNATURE, binary, tlv

from lbproxy.streams.proxyprotocol.build import LOCAL_V2, headerV1, headerV2
from lbproxy.streams.proxyprotocol.parse import LONGEST_HEADER, parse
from lbproxy.streams.proxyprotocol.values import BadHeader, Details, Header
from lbproxy.words.connection import Address

CLIENT, LOCAL = Address("192.0.2.1", 1234), Address("198.51.100.2", 443)
SIX = Address("2001:db8::1", 1234), Address("2001:db8::2", 443)
UNIX = b"/run/client".ljust(108, b"\0") + b"\0abstract".ljust(108, b"\0")


def outcome(data: bytes, limit: int = LONGEST_HEADER) -> Header | str | None:
    """What comes of some bytes: a header, the word for an error, or nothing yet."""
    try:
        return parse(data, limit)
    except BadHeader as error:
        return "bad" if str(error).isprintable() else "not one line"


def inPieces(data: bytes) -> Header | str | None:
    """What comes of the same bytes when they arrive one by one."""
    for length in range(len(data) + 1):
        found = outcome(data[:length])
        if found is not None:
            return found
    return None


@pytest.mark.parametrize(
    ("line", "client", "local"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443", CLIENT, LOCAL),
        (
            b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0",
            Address("255.255.255.255", 65535),
            Address("0.0.0.0", 0),
        ),
        (b"PROXY TCP6 2001:db8::1 2001:DB8:0::2 1234 443", *SIX),
        (
            b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2",
            Address("::ffff:192.0.2.1", 1),
            Address("::1", 2),
        ),
        (
            (
                b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1 "
                b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2 65535 65534"
            ),
            Address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1", 65535),
            Address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2", 65534),
        ),
        (b"PROXY UNKNOWN", None, None),
        (b"PROXY UNKNOWN ", None, None),
        (b"PROXY UNKNOWN 192.0.2.1 any thing \xff\n\r at all\r", None, None),
        (b"PROXY UNKNOWN".ljust(105), None, None),
    ],
)
def test_lines(line: bytes, client: Address | None, local: Address | None) -> None:
    """A line of version 1 ends with its first CRLF; what follows is the client's."""
    length = len(line) + 2
    header = Header(1, length, client, local)
    assert parse(line + b"\r\n") == header
    assert parse(line + b"\r\nGET / HTTP/1.1\r\n\r\n") == header
    for partial in range(length):
        assert parse((line + b"\r\n")[:partial]) is None


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 ",
        b"proxy TCP4 192.0.2.1 198.51.100.2 1234 443\r\n",
        b"PROXY tcp4 192.0.2.1 198.51.100.2 1234 443\r\n",
        b"PROXY  TCP4 192.0.2.1 198.51.100.2 1234 443\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.2 1234 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2  1234 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443 \r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443 5\r\n",
        b"PROXY TCP4 192.0.2.1\t198.51.100.2 1234 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1234\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\rx",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\n\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 01234 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 00\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 99999 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 +123 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1_2 443\r\n",
        b"PROXY TCP4 192.0.2.01 198.51.100.2 1234 443\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.2 1234 443\r\n",
        b"PROXY TCP4 192.0.2 198.51.100.2 1234 443\r\n",
        b"PROXY TCP4 0xc0.0.2.1 198.51.100.2 1234 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1234 443\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.2 1234 443\r\n",
        b"PROXY TCP6 2001:db8::1::2 2001:db8::2 1234 443\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::2 1234 443\r\n",
        b"PROXY TCP6 [::1] [::1] 1234 443\r\n",
        b"PROXY TCP6 \xb2::1 ::1 1234 443\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY UNKNOWN\rX",
        b"PROXY UNKNOWN\n",
        b"PROXY UNKNOWN" + b" " * 93 + b"\r\n",
        b"PROXY UNKNOWN" + b" " * 94,
        b"POST / HTTP/1.1\r\n",
    ],
)
def test_notALine(line: bytes) -> None:
    """What differs from the form is refused, without waiting for what may follow."""
    with pytest.raises(BadHeader) as raised:
        parse(line)
    assert str(raised.value).isprintable()
    assert inPieces(line) == "bad"


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (binary(FOUR), Header(2, 28, CLIENT, LOCAL)),
        (binary(FOUR, kinds=0x12), Header(2, 28, CLIENT, LOCAL, datagram=True)),
        (
            binary(
                bytes.fromhex("20010db8000000000000000000000001")
                + bytes.fromhex("20010db8000000000000000000000002")
                + FOUR[8:],
                kinds=0x21,
            ),
            Header(2, 52, *SIX),
        ),
        (
            binary(UNIX, kinds=0x31),
            Header(2, 232, Address("/run/client"), Address("@abstract")),
        ),
        # Names that fill their field, and what comes after the end of one.
        (
            binary(b"x" * 108 + b"/a\0b".ljust(108, b"\0"), kinds=0x32),
            Header(2, 232, Address("x" * 108), Address("/a"), datagram=True),
        ),
        # Addresses that are not known.
        (binary(kinds=0), Header(2, 16)),
        (binary(b"anything", kinds=0), Header(2, 24)),
        (binary(FOUR, kinds=0x10), Header(2, 28)),
        (binary(FOUR, kinds=0x01), Header(2, 28)),
        # A connection of the proxy's own, and whatever it says besides.
        (binary(command=0x20, kinds=0), Header(2, 16, relayed=False)),
        (binary(FOUR, command=0x20), Header(2, 28, relayed=False)),
        (binary(b"xy", command=0x20, kinds=0xFF), Header(2, 18, relayed=False)),
        (LOCAL_V2, Header(2, 16, relayed=False)),
    ],
)
def test_binary(data: bytes, header: Header) -> None:
    """A header of version 2 is as long as it says, whatever it says."""
    assert parse(data) == parse(data + b"\0\r\nwhat follows") == header
    for partial in range(len(data)):
        assert parse(data[:partial]) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\r\n\r\n\r", r'expected a PROXY header, got "\r\n\r\n\r"'),
        (SIGNATURE + b"\x31", "a binary PROXY header has the version 3; expected 2"),
        (SIGNATURE + b"\x11", "a binary PROXY header has the version 1; expected 2"),
        (SIGNATURE + b"\x22", "a PROXY header has the command 2; expected 0 or 1"),
        (SIGNATURE + b"\x2f", "a PROXY header has the command 15; expected 0 or 1"),
        (
            SIGNATURE + b"\x21\x41",
            (
                "a PROXY header has the address family 4 and the transport 1; "
                "expected at most 3 and 2"
            ),
        ),
        (
            SIGNATURE + b"\x21\x13",
            (
                "a PROXY header has the address family 1 and the transport 3; "
                "expected at most 3 and 2"
            ),
        ),
        (
            binary(length=11),
            (
                "a PROXY header has 11 bytes of addresses and TLVs; "
                "expected at least 12 with INET"
            ),
        ),
        (
            binary(kinds=0x31, length=215),
            (
                "a PROXY header has 215 bytes of addresses and TLVs; "
                "expected at least 216 with UNIX"
            ),
        ),
        (binary(length=285), "a PROXY header has 301 bytes; expected at most 300"),
        (
            binary(command=0x20, kinds=0, length=0xFFFF),
            "a PROXY header has 65551 bytes; expected at most 300",
        ),
    ],
)
def test_notBinary(data: bytes, reason: str) -> None:
    """It is refused as soon as what is wrong with it has arrived."""
    with pytest.raises(BadHeader) as raised:
        parse(data, 300)
    assert str(raised.value) == reason
    assert parse(data[: len(data) - 1 if len(data) < 16 else 14], 300) is None


@pytest.mark.parametrize(
    "data",
    [
        b"G",
        b"\x16\x03\x01",
        b"SSH-2.0-x\r\n",
        b"\n",
        b"\r\r",
        b"\0",
        b"\r\n\r\n\0Q",
    ],
)
def test_otherProtocols(data: bytes) -> None:
    """A peer that speaks something else is not waited for."""
    assert inPieces(data) == "bad"
    with pytest.raises(BadHeader, match=r'^expected a PROXY header, got "'):
        parse(data)


def test_limit() -> None:
    """A header may be as long as it is allowed to be, and no longer."""
    data = binary(FOUR + tlv(0xEE, bytes(LONGEST_HEADER - 31)))
    assert len(data) == LONGEST_HEADER
    assert parse(data) is not None
    longer = binary(FOUR + tlv(0xEE, bytes(LONGEST_HEADER - 30)))
    assert outcome(longer[:16]) == "bad"
    assert parse(longer, LONGEST_HEADER + 1) is not None


@settings(deadline=None)
@given(PAIRS)
def test_anyAddressesInLines(pair: tuple[Address, Address]) -> None:
    """What is written into a line is read from it, and no part of a line is enough."""
    data = headerV1(*pair)
    assert parse(data + b"rest") == Header(1, len(data), *pair)
    for length in range(len(data)):
        assert parse(data[:length]) is None


@settings(deadline=None)
@given(PAIRS, DETAILS, st.booleans())
def test_anythingInBinary(
    pair: tuple[Address, Address], details: Details, checksum: bool
) -> None:
    """The same of version 2, with all that it can say."""
    data = headerV2(*pair, details, checksum=checksum)
    header = Header(2, len(data), *pair, details=details)
    assert parse(data + b"rest") == header
    for length in range(len(data)):
        assert parse(data[:length]) is None


HEADERS = st.one_of(
    st.builds(lambda pair: headerV1(pair[0], pair[1]), PAIRS),
    st.builds(
        lambda pair, *said: headerV2(pair[0], pair[1], said[0], checksum=said[1]),
        PAIRS,
        DETAILS,
        st.booleans(),
    ),
    st.builds(binary, st.binary(), st.sampled_from([0x20, 0x21]), st.integers(0, 255)),
)


@settings(deadline=None)
@given(st.binary(max_size=150) | st.binary().map(lambda rest: b"PROXY " + rest))
def test_anyBytes(data: bytes) -> None:
    """Whatever comes is a header, part of one, or refused, and that at once."""
    assert inPieces(data) == outcome(data)


@settings(deadline=None)
@given(HEADERS, st.data())
def test_changedBytes(header: bytes, data: st.DataObject) -> None:
    """The same of a header of which some bytes were changed."""
    changed = bytearray(header)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(header), 60) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    assert inPieces(bytes(changed)) == outcome(bytes(changed))


@settings(deadline=None)
@given(HEADERS, st.binary(max_size=9))
def test_lengthIsExact(header: bytes, rest: bytes) -> None:
    """What is read is never more than the header, whatever follows it."""
    with suppress(BadHeader):
        found = parse(header)
        assert found is not None
        assert found.length == len(header)
        assert parse(header + rest) == found
