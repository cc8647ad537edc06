"""
Reads and writes the TLVs of PROXY headers of version 2 (section 2.2).

A TLV has a type, a length and a value of that many bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .checksum import crc32c
from .values import BadHeader, ClientFlags, ClientTLS, Details
from .wire import LONGEST_UNIQUE_ID, SSL, TLV, SSLType, Type

_CHECKSUM_LENGTH = 4
_LONGEST_VALUE = 0xFFFF
_NOTHING = Details()
_LARGEST_VERIFY = 0xFFFFFFFF
_TYPES = frozenset(Type)
_SSL_TYPES = frozenset(SSLType)


def readDetails(header: bytes, start: int) -> Details:
    """
    Read all TLVs of a header.

    @param header: The whole header, and nothing after it.
    @param start: Where its TLVs begin.
    @raise BadHeader: If one of them is malformed or there twice, or if the checksum of
        the header is wrong.
    """
    if start == len(header):
        return _NOTHING
    known: dict[int, bytes] = {}
    others: list[tuple[int, bytes]] = []
    for kind, begin, end in _parts(header, start, "TLV"):
        value = header[begin:end]
        if kind == Type.CRC32C:
            _check(header, begin, end)
        if kind not in _TYPES:
            others.append((kind, value))
        elif kind != Type.NOOP:
            _put(known, kind, value, Type(kind).name)
    uniqueId = known.get(Type.UNIQUE_ID, b"")
    if len(uniqueId) > LONGEST_UNIQUE_ID:
        raise BadHeader(
            f"the TLV UNIQUE_ID has {len(uniqueId)} bytes; "
            f"expected at most {LONGEST_UNIQUE_ID}"
        )
    return Details(
        alpn=known.get(Type.ALPN, b""),
        authority=_text(known, Type.AUTHORITY, "utf-8"),
        uniqueId=uniqueId,
        tls=_readTLS(known[Type.SSL]) if Type.SSL in known else None,
        namespace=_text(known, Type.NETNS, "ascii"),
        others=tuple(others),
    )


def _readTLS(value: bytes) -> ClientTLS:
    if len(value) < SSL.size:
        raise BadHeader(
            f"the TLV SSL has {len(value)} bytes; expected at least {SSL.size}"
        )
    flags, verify = SSL.unpack_from(value)
    known: dict[int, bytes] = {}
    others: list[tuple[int, bytes]] = []
    for kind, begin, end in _parts(value, SSL.size, "TLV within SSL"):
        if kind in _SSL_TYPES:
            _put(known, kind, value[begin:end], f"SSL_{SSLType(kind).name}")
        else:
            others.append((kind, value[begin:end]))
    return ClientTLS(
        flags=ClientFlags(flags),
        verify=verify,
        version=_text(known, SSLType.VERSION, "ascii"),
        commonName=_text(known, SSLType.CN, "utf-8"),
        cipher=_text(known, SSLType.CIPHER, "ascii"),
        signature=_text(known, SSLType.SIG_ALG, "ascii"),
        key=_text(known, SSLType.KEY_ALG, "ascii"),
        others=tuple(others),
    )


def _parts(data: bytes, start: int, what: str) -> Iterator[tuple[int, int, int]]:
    """
    Split TLVs.

    @return: The type of each, and where its value begins and ends.
    """
    while start < len(data):
        begin = start + TLV.size
        if begin > len(data):
            raise BadHeader(f"the last {what} is cut off within its type and length")
        kind, length = TLV.unpack_from(data, start)
        start = begin + length
        if start > len(data):
            raise BadHeader(
                f"the {what} of type 0x{kind:02x} has a length of {length}, of which "
                f"only {len(data) - begin} are there"
            )
        yield kind, begin, start


def _put(known: dict[int, bytes], kind: int, value: bytes, name: str) -> None:
    # Which of the two would count, differs from one reader to the next.
    if kind in known:
        raise BadHeader(f"the TLV {name} is there twice")
    known[kind] = value


def _text(known: dict[int, bytes], kind: Type | SSLType, encoding: str) -> str:
    try:
        return known.get(kind, b"").decode(encoding)
    except UnicodeDecodeError:
        within = "SSL_" if isinstance(kind, SSLType) else ""
        name = encoding.upper()
        raise BadHeader(f"the TLV {within}{kind.name} is no {name} text") from None


def _check(header: bytes, begin: int, end: int) -> None:
    """Check the checksum of a header, which is the value between two places."""
    if end - begin != _CHECKSUM_LENGTH:
        raise BadHeader(f"the TLV CRC32C has {end - begin} bytes; expected 4")
    said = int.from_bytes(header[begin:end])
    found = crc32c(header[:begin] + bytes(_CHECKSUM_LENGTH) + header[end:])
    if said != found:
        raise BadHeader(
            f"the checksum is 0x{said:08x}, and that of the header 0x{found:08x}"
        )


def writeDetails(details: Details) -> bytes:
    """
    Write TLVs.

    @raise ValueError: If something is too long, or has characters or a type that its
        TLV cannot have.
    """
    if len(details.uniqueId) > LONGEST_UNIQUE_ID:
        raise ValueError(f"a unique id has at most {LONGEST_UNIQUE_ID} bytes")
    tls = b"" if details.tls is None else _writeTLS(details.tls)
    known = {
        Type.ALPN: details.alpn,
        Type.AUTHORITY: details.authority.encode(),
        Type.UNIQUE_ID: details.uniqueId,
        Type.SSL: tls,
        Type.NETNS: details.namespace.encode("ascii"),
    }
    return _written(known, details.others, _TYPES)


def _writeTLS(tls: ClientTLS) -> bytes:
    if not 0 <= tls.verify <= _LARGEST_VERIFY or not 0 <= tls.flags <= 0xFF:
        raise ValueError(f"{tls.verify} or {tls.flags!r} does not fit into a TLV SSL")
    known = {
        SSLType.VERSION: tls.version.encode("ascii"),
        SSLType.CN: tls.commonName.encode(),
        SSLType.CIPHER: tls.cipher.encode("ascii"),
        SSLType.SIG_ALG: tls.signature.encode("ascii"),
        SSLType.KEY_ALG: tls.key.encode("ascii"),
    }
    parts = _written(known, tls.others, _SSL_TYPES)
    return SSL.pack(tls.flags, tls.verify) + parts


def _written(
    known: Mapping[Type, bytes] | Mapping[SSLType, bytes],
    others: tuple[tuple[int, bytes], ...],
    types: frozenset[int],
) -> bytes:
    """
    Write what is not empty, then all others.

    @param types: Those that the others cannot have.
    """
    for kind, _ in others:
        if kind in types or not 0 <= kind <= 0xFF:
            raise ValueError(f"no further TLV can be of the type {kind}")
    parts = [(int(kind), value) for kind, value in known.items() if value]
    return b"".join(_part(kind, value) for kind, value in (*parts, *others))


def _part(kind: int, value: bytes) -> bytes:
    if len(value) > _LONGEST_VALUE:
        raise ValueError(f"the TLV of type 0x{kind:02x} has {len(value)} bytes")
    return TLV.pack(kind, len(value)) + value


def checksummed(header: bytes) -> bytes:
    """
    Set the checksum of a header whose last TLV is that (section 2.2.3).

    @param header: A header that ends with the TLV CRC32C, whose value is zero.
    """
    return header[:-_CHECKSUM_LENGTH] + crc32c(header).to_bytes(_CHECKSUM_LENGTH)


EMPTY_CHECKSUM = TLV.pack(Type.CRC32C, _CHECKSUM_LENGTH) + bytes(_CHECKSUM_LENGTH)
"""The TLV CRC32C before the checksum is known."""
