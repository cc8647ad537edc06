"""
Writes the PROXY header that a connection to a backend begins with.

IPv4 and IPv6 are told apart by the connection, as the specification has it (section
2.2: "the family maps to the original socket family").  Where a listener for both
families reports an IPv4 client as C{::ffff:192.0.2.1}, the header is one of IPv4.  If
only one of the two addresses is of IPv4, that one is written so, as HAProxy does: the
addresses are still correct (RFC 4291, section 2.5.5.2), and a line may say UNKNOWN only
if it cannot be filled correctly (section 2.1).
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from ...words.connection import Address
from .tlvs import EMPTY_CHECKSUM, checksummed, writeDetails
from .values import Details
from .wire import (
    ADDRESSES,
    FIXED,
    LONGEST_PATH,
    SIGNATURE,
    VERSION_2,
    Command,
    Family,
    Transport,
)

_MAPPED = bytes(10) + b"\xff\xff"
"""What an IPv4 address begins with if it is written as an IPv6 one."""

_NOTHING = Details()
_LONGEST = 0xFFFF

LOCAL_V2 = FIXED.pack(SIGNATURE, VERSION_2 | Command.LOCAL, 0, 0)
"""
The header of version 2 for a connection of the proxy's own, such as a health check: the
connection's own addresses count (section 2.2).  In version 1 a check has the header of
its own two addresses, since some receivers refuse UNKNOWN (section 2.1).
"""


def headerV1(client: Address, local: Address) -> bytes:
    """
    Write a header of version 1 (section 2.1).

    It says UNKNOWN if the addresses are not those of an IP connection.

    @param client: The client's address.
    @param local: The address that it connected to.
    """
    pair = _packedPair(client, local)
    if pair is None:
        return b"PROXY UNKNOWN\r\n"
    family, *packed = pair
    kind, name = (AF_INET, "TCP4") if family is Family.INET else (AF_INET6, "TCP6")
    hosts = " ".join(inet_ntop(kind, each) for each in packed)
    return f"PROXY {name} {hosts} {client.port} {local.port}\r\n".encode("ascii")


def headerV2(
    client: Address,
    local: Address,
    details: Details = _NOTHING,
    *,
    checksum: bool = False,
    datagram: bool = False,
) -> bytes:
    """
    Write a header of version 2 (section 2.2).

    Its family is unspecified if the addresses are neither those of an IP connection nor
    those of UNIX sockets with paths of at most 108 bytes.

    @param client: The client's address.
    @param local: The address that it connected to.
    @param details: What else it says.
    @param checksum: Whether it has a checksum (section 2.2.3).
    @param datagram: Whether the client sends datagrams.
    @raise ValueError: If some of C{details} cannot be written, or they have more than
        64 KiB.
    """
    family, addresses = _addresses(client, local)
    transport = Transport.DGRAM if datagram else Transport.STREAM
    if family is Family.UNSPEC:
        transport = Transport.UNSPEC
    following = addresses + writeDetails(details)
    if checksum:
        following += EMPTY_CHECKSUM
    if len(following) > _LONGEST:
        raise ValueError(
            f"a header has room for {_LONGEST} bytes, not {len(following)}"
        )
    kinds = family << 4 | transport
    command = VERSION_2 | Command.PROXY
    header = FIXED.pack(SIGNATURE, command, kinds, len(following)) + following
    return checksummed(header) if checksum else header


def _addresses(client: Address, local: Address) -> tuple[Family, bytes]:
    """The family of a connection, and its addresses as version 2 writes them."""
    pair = _packedPair(client, local)
    if pair is not None:
        family, *packed = pair
        return family, ADDRESSES[family].pack(*packed, client.port, local.port)
    if client.port is None and local.port is None:
        paths = [_path(each.host) for each in (client, local)]
        if any(paths) and max(map(len, paths)) <= LONGEST_PATH:
            return Family.UNIX, ADDRESSES[Family.UNIX].pack(*paths)
    return Family.UNSPEC, b""


def _path(path: str) -> bytes:
    """The path of a UNIX socket; an abstract one begins with a C{@} in an address."""
    encoded = path.encode("utf-8", "surrogateescape")
    return b"\0" + encoded[1:] if path.startswith("@") else encoded


def _packedPair(client: Address, local: Address) -> tuple[Family, bytes, bytes] | None:
    """The addresses of an IP connection, in the family that both have."""
    if client.port is None or local.port is None:
        return None
    first, second = _packed(client.host), _packed(local.host)
    if first is None or second is None:
        return None
    if first.startswith(_MAPPED) and second.startswith(_MAPPED):
        return Family.INET, first[len(_MAPPED) :], second[len(_MAPPED) :]
    return Family.INET6, first, second


def _packed(host: str) -> bytes | None:
    """An IP address as an IPv6 one; L{None} if it is none."""
    try:
        if ":" not in host:
            return _MAPPED + inet_pton(AF_INET, host)
        # Its zone means something only to this host.
        return inet_pton(AF_INET6, host.partition("%")[0])
    except (OSError, ValueError):
        return None
