"""
Reads the PROXY header that a stream begins with.

What is no header is refused with its first wrong byte, so that nobody waits for a peer
that speaks something else.
"""

from __future__ import annotations

from re import DOTALL
from re import compile as pattern
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from ...words.connection import Address
from ...words.escaping import oneLine
from .tlvs import readDetails
from .values import BadHeader, Header
from .wire import (
    ADDRESSES,
    FIXED,
    LONGEST_LINE,
    SIGNATURE,
    VERSION_2,
    Command,
    Family,
    Transport,
)

LONGEST_HEADER = 4096
"""
The most bytes that a header may have, unless its reader is told otherwise.  The longest
addresses and all TLVs that the specification names need less than 2 KiB, with a server
name of 255 bytes; the rest is for those of applications.  nginx takes as many since
1.23 (its C{NGX_PROXY_PROTOCOL_MAX_HEADER}).
"""

_LINES = (b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN")
_LINE = pattern(
    rb"PROXY (?:UNKNOWN(?: .*)?"
    rb"|(TCP4|TCP6) ([^ ]+) ([^ ]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))",
    DOTALL,
)
"""A header of version 1, without its CRLF: family, addresses and ports."""

_UNFINISHED = pattern(
    rb"PROXY (?:UNKNOWN(?:\r| .*)?"
    rb"|TCP4 [0-9.]{0,15}(?: [0-9.]{0,15}(?: [0-9 ]{0,11}\r?)?)?"
    rb"|TCP6 [0-9a-fA-F:.]{0,45}(?: [0-9a-fA-F:.]{0,45}(?: [0-9 ]{0,11}\r?)?)?)",
    DOTALL,
)
"""The first part of such a header, from where its family is known."""

_LARGEST_PORT = 65535
_COMMANDS = {VERSION_2 | each: each for each in Command}
_FAMILIES = {
    family << 4 | transport: (family, transport)
    for family in Family
    for transport in Transport
}


def parse(data: bytes, limit: int = LONGEST_HEADER) -> Header | None:
    """
    Read the header that a stream begins with, of either version.

    @param data: The first bytes of the stream: as many as have arrived, or C{limit}.
    @param limit: The most bytes that a header of version 2 may have: from 232, which
        UNIX addresses need, to what a stream holds,
        L{HOLD_LIMIT<lbproxy.streams.stream.HOLD_LIMIT>}.
    @return: L{None} while it is not whole.
    @raise BadHeader: If it never will be a header.
    """
    if data[:1] == b"P":
        return _parseLine(data)
    length = len(data)
    if data[: len(SIGNATURE)] != SIGNATURE[:length]:
        raise BadHeader(f'expected a PROXY header, got "{_shown(data[:16])}"')
    if length <= len(SIGNATURE):
        return None
    return _parseBinary(data, limit)


def _parseLine(data: bytes) -> Header | None:
    """Read a header of version 1 (section 2.1)."""
    line, ending, _ = data[:LONGEST_LINE].partition(b"\r\n")
    if not ending:
        begins = any(each.startswith(line) for each in _LINES)
        if not begins and not _UNFINISHED.fullmatch(line):
            raise _notALine(line)
        if len(line) == LONGEST_LINE:
            raise BadHeader(f"a PROXY line does not end within {LONGEST_LINE} bytes")
        return None
    found = _LINE.fullmatch(line)
    if found is None:
        raise _notALine(line)
    length = len(line) + len(ending)
    name, client, local, clientPort, localPort = found.groups()
    if name is None:
        # Whatever else an UNKNOWN line says is to be ignored.
        return Header(1, length)
    family = AF_INET if name == b"TCP4" else AF_INET6
    try:
        return Header(
            version=1,
            length=length,
            client=_addressInLine(family, client, clientPort),
            local=_addressInLine(family, local, localPort),
        )
    except ValueError:
        raise _notALine(line) from None


def _addressInLine(family: int, host: bytes, port: bytes) -> Address:
    try:
        packed = inet_pton(family, host.decode("ascii"))
    except OSError as error:
        raise ValueError(str(error)) from None
    number = int(port)
    if number > _LARGEST_PORT:
        raise ValueError(f"{number} is no port")
    return Address(inet_ntop(family, packed), number)


def _parseBinary(data: bytes, limit: int) -> Header | None:
    """Read a header of version 2, of which more than the signature has arrived."""
    command = _command(data[12])
    if len(data) > 13 and command is Command.PROXY:
        _familyOf(data[13])
    if len(data) < FIXED.size:
        return None
    _, _, kinds, following = FIXED.unpack_from(data)
    length = FIXED.size + following
    if length > limit:
        raise BadHeader(f"a PROXY header has {length} bytes; expected at most {limit}")
    if command is Command.LOCAL:
        # All that follows is to be discarded, whatever it is.
        return Header(2, length, relayed=False) if len(data) >= length else None
    family, transport = _familyOf(kinds)
    if family is Family.UNSPEC or transport is Transport.UNSPEC:
        # The length of its addresses is not known: TLVs cannot be found after them.
        return Header(2, length) if len(data) >= length else None
    start = FIXED.size + ADDRESSES[family].size
    if length < start:
        raise BadHeader(
            f"a PROXY header has {following} bytes of addresses and TLVs; "
            f"expected at least {start - FIXED.size} with {family.name}"
        )
    if len(data) < length:
        return None
    client, local = _addresses(data, family)
    return Header(
        version=2,
        length=length,
        client=client,
        local=local,
        datagram=transport is Transport.DGRAM,
        details=readDetails(data[:length], start),
    )


def _command(byte: int) -> Command:
    command = _COMMANDS.get(byte)
    if command is not None:
        return command
    if byte & 0xF0 != VERSION_2:
        raise BadHeader(
            f"a binary PROXY header has the version {byte >> 4}; expected 2"
        )
    raise BadHeader(f"a PROXY header has the command {byte & 0x0F}; expected 0 or 1")


def _familyOf(byte: int) -> tuple[Family, Transport]:
    found = _FAMILIES.get(byte)
    if found is None:
        raise BadHeader(
            f"a PROXY header has the address family {byte >> 4} and the transport "
            f"{byte & 0x0F}; expected at most {Family.UNIX:d} and {Transport.DGRAM:d}"
        )
    return found


def _addresses(data: bytes, family: Family) -> tuple[Address, Address]:
    client, local, *ports = ADDRESSES[family].unpack_from(data, FIXED.size)
    if family is Family.UNIX:
        return Address(_path(client)), Address(_path(local))
    kind = AF_INET if family is Family.INET else AF_INET6
    return (
        Address(inet_ntop(kind, client), ports[0]),
        Address(inet_ntop(kind, local), ports[1]),
    )


def _path(field: bytes) -> str:
    """The path of a UNIX socket as text; an abstract one begins with an C{@}."""
    path = field.rstrip(b"\0")
    if path.startswith(b"\0"):
        path = b"@" + path[1:]
    else:
        path = path.partition(b"\0")[0]
    return path.decode("utf-8", "replace")


def _notALine(line: bytes) -> BadHeader:
    return BadHeader(
        f'"{_shown(line)}" is no PROXY header; expected "PROXY TCP4", "PROXY TCP6" or '
        '"PROXY UNKNOWN", two addresses of that family and two ports'
    )


def _shown(data: bytes) -> str:
    return oneLine(data.decode("ascii", "backslashreplace"))
