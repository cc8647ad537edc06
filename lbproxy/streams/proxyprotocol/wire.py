"""The form of PROXY headers on the wire, which their readers and writers share."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

LONGEST_LINE: Final = 107
"""The most bytes that a header of version 1 has, with its CRLF (section 2.1)."""

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""What a header of version 2 begins with (section 2.2)."""

FIXED: Final = Struct("!12sBBH")
"""Signature, version and command, family and transport, and length of what follows."""

VERSION_2: Final = 0x20


class Command(IntEnum):
    """What a connection is for: the low half of the byte after the signature."""

    LOCAL = 0
    PROXY = 1


class Family(IntEnum):
    """The family of addresses: the high half of the next byte."""

    UNSPEC = 0
    INET = 1
    INET6 = 2
    UNIX = 3


class Transport(IntEnum):
    """How the client sends: the low half of the same byte."""

    UNSPEC = 0
    STREAM = 1
    DGRAM = 2


ADDRESSES: Final = {
    Family.INET: Struct("!4s4sHH"),
    Family.INET6: Struct("!16s16sHH"),
    Family.UNIX: Struct("!108s108s"),
}
"""
The addresses: that of the client, the one it connected to, and the ports of both, which
UNIX sockets do not have.
"""


class Type(IntEnum):
    """The types of TLVs (section 2.2)."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    NETNS = 0x30


class SSLType(IntEnum):
    """The types of the TLVs within one of type SSL (section 2.2.6)."""

    VERSION = 0x21
    CN = 0x22
    CIPHER = 0x23
    SIG_ALG = 0x24
    KEY_ALG = 0x25


TLV: Final = Struct("!BH")
"""Type and length of a TLV; its value follows."""

SSL: Final = Struct("!BI")
"""Flags and result of the verification, with which the value of an SSL TLV begins."""

LONGEST_UNIQUE_ID: Final = 128
"""The most bytes that an identifier of a connection has (section 2.2.5)."""
