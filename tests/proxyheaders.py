"""What PROXY headers may say, for tests that draw it; and TLVs as they are written."""

from __future__ import annotations

from ipaddress import IPv6Address
from struct import pack

from hypothesis import strategies as st

from lbproxy.streams.proxyprotocol.values import ClientFlags, ClientTLS, Details
from lbproxy.streams.proxyprotocol.wire import SSLType, Type
from lbproxy.words.connection import Address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

PORTS = st.integers(0, 65535)
IPV4 = st.builds(Address, st.ip_addresses(v=4).map(str), PORTS)
# Those below are written like IPv4 addresses, and so is ::ffff:0:0/96.
IPV6 = st.builds(
    Address,
    st.integers(1 << 48, (1 << 128) - 1).map(lambda number: str(IPv6Address(number))),
    PORTS,
)
PAIRS = st.tuples(IPV4, IPV4) | st.tuples(IPV6, IPV6)
"""The two addresses of a connection: the client's, and the one it connected to."""

ASCII = st.text(st.characters(max_codepoint=127), max_size=30)
UTF8 = st.text(max_size=30)


def others(types: type[Type] | type[SSLType]) -> st.SearchStrategy[object]:
    """TLVs of types that are not known."""
    free = st.integers(0, 255).filter(lambda kind: kind not in set(types))
    return st.lists(st.tuples(free, st.binary(max_size=20)), max_size=3).map(tuple)


TLS = st.builds(
    ClientTLS,
    flags=st.integers(0, 255).map(ClientFlags),
    verify=st.integers(0, 2**32 - 1),
    version=ASCII,
    commonName=UTF8,
    cipher=ASCII,
    signature=ASCII,
    key=ASCII,
    others=others(SSLType),
)

DETAILS = st.builds(
    Details,
    alpn=st.binary(max_size=20),
    authority=UTF8,
    uniqueId=st.binary(max_size=128),
    tls=st.none() | TLS,
    namespace=ASCII,
    others=others(Type),
)


def tlv(kind: int, value: bytes) -> bytes:
    """A TLV."""
    return pack("!BH", kind, len(value)) + value


def binary(
    following: bytes = b"", command: int = 0x21, kinds: int = 0x11, length: int = -1
) -> bytes:
    """A header of version 2; the length is that of what follows, unless it is given."""
    length = len(following) if length < 0 else length
    return SIGNATURE + pack("!BBH", command, kinds, length) + following


FOUR = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + pack("!HH", 1234, 443)
"""Two IPv4 addresses and their ports, as version 2 has them."""
