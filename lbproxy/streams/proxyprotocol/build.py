"""
Writes the PROXY header that a connection to a backend begins with.

IPv4 and IPv6 are told apart by the connection, as the specification has it (section
2.2: "the address family maps to the original socket family").  Where a listener for
both families reports an IPv4 client as C{::ffff:192.0.2.1}, the header is one of IPv4.
If only one of the two addresses is of IPv4, that one is written so, as HAProxy does:
the addresses are still correct (RFC 4291, section 2.5.5.2), and a line may say UNKNOWN
only if it cannot be filled correctly (section 2.1).

UNIX sockets have a family in version 2, but hardly anybody reads it: HAProxy 2.8 and
nginx 1.22 reset such connections, and HAProxy also those whose family is unspecified.
What every receiver must accept is the command LOCAL (section 2.2); HAProxy sends it in
this case, too.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from ...words.connection import Address
from .tlvs import EMPTY_CHECKSUM, checksummed, writeDetails
from .values import Details
from .wire import (
    ADDRESSES,
    FIXED,
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
The header of version 2 after which the connection's own addresses count (section 2.2),
such as that of a health check.  In version 1 a check has the header of its own two
addresses, since some receivers refuse UNKNOWN (section 2.1).
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
) -> bytes:
    """
    Write a header of version 2 (section 2.2).

    It is L{LOCAL_V2}, without any details, if the addresses are not those of an IP
    connection.  nginx 1.22 refuses a header that has more than 107 bytes.

    @param client: The client's address.
    @param local: The address that it connected to.
    @param details: What else it says.
    @param checksum: Whether it has a checksum (section 2.2.3).
    @raise ValueError: If some of C{details} cannot be written, or they have more than
        64 KiB.
    """
    pair = _packedPair(client, local)
    if pair is None:
        return LOCAL_V2
    family, *packed = pair
    following = ADDRESSES[family].pack(*packed, client.port, local.port)
    following += writeDetails(details)
    if checksum:
        following += EMPTY_CHECKSUM
    if len(following) > _LONGEST:
        raise ValueError(
            f"a header has room for {_LONGEST} bytes, not {len(following)}"
        )
    kinds = family << 4 | Transport.STREAM
    command = VERSION_2 | Command.PROXY
    header = FIXED.pack(SIGNATURE, command, kinds, len(following)) + following
    return checksummed(header) if checksum else header


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
