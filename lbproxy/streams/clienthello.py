"""
Reads what a TLS client asks for, from the first message of its handshake.

That message, the ClientHello, is sent in the clear (RFC 8446, section 4.1.2).  It is
looked at here and not taken from the stream, so that the client's handshake can go on
with whoever is chosen by what it asks for.

A client that encrypts its ClientHello (ECH) sends two of them.  The outer one is read,
whose server name is that of the server that can decrypt the inner one.
"""

from __future__ import annotations

from re import DOTALL
from re import compile as pattern

from attrs import field, frozen

from ..words.escaping import oneLine

HELLO_LIMIT = 16384
"""
The most bytes that are read until a ClientHello is whole, headers of records included:
what one record can have (RFC 8446, section 5.1).  With the post-quantum keys of today
it has about 1,800 bytes.
"""

_BEGINNING = b"\x16\x03"
"""The record of a handshake in any version since SSL 3.0; the next byte is ignored."""

_RECORD_HEADER = 5
_LARGEST_FRAGMENT = 16384
_MESSAGE_HEADER = 4
_CLIENT_HELLO = 1
_VERSION = 2
_RANDOM = 32
_LONGEST_SESSION = 32

_SERVER_NAME = 0
_ALPN = 16
_VERSIONS = 43
_NAMES = {
    _SERVER_NAME: "server_name",
    _ALPN: "application_layer_protocol_negotiation",
    _VERSIONS: "supported_versions",
}
"""The extensions that are read, by their numbers."""

_HOST_NAME = 0
_LONGEST_NAME = 255
_TLS_1_3 = 0x0304

_GREASE = frozenset(bytes([each, each]) for each in range(0x0A, 0x100, 0x10))
"""
Protocols that do not exist.  Clients offer them so that servers stay used to unknown
ones (RFC 8701, section 2).
"""

_OTHERS = (
    (pattern(rb"[A-Z]{3,7} [/*h]|CONNECT |PRI "), "HTTP"),
    (pattern(rb"SSH-"), "SSH"),
    (pattern(rb"PROXY |\r\n\r\n\0\r\nQUIT\n"), "a PROXY header"),
    (pattern(rb"[\x80-\xff].\x01[\0\x03]", DOTALL), "a hello of SSL 2.0"),
    (pattern(rb"[\x14\x15\x17]\x03"), "TLS, but begins with no handshake"),
)
"""What other protocols begin with; SSL 2.0 as in RFC 5246, appendix E.2."""


class BadHello(ValueError):
    """A TLS client's first message is malformed.  The text is one line."""


@frozen
class ClientHello:
    """
    What a TLS client asks for.

    @ivar serverName: The name of the server, in lower case and without a dot at its
        end: 1 to 255 printable ASCII characters, none of them a blank (RFC 6066,
        section 3).  It is empty if the client names none.
    @ivar alpn: The protocols that it offers, the best first; opaque, of 1 to 255 bytes
        each (RFC 7301, section 3.1).
    @ivar offersTLS13: Whether it offers TLS 1.3.
    """

    serverName: str = ""
    alpn: tuple[bytes, ...] = ()
    offersTLS13: bool = False


@frozen
class NotTLS:
    """
    A client does not speak TLS, or so old a version that nobody serves it.

    @ivar reason: What it seems to speak, in a few words.  It may depend on how much has
        arrived, and does not count when two of these are compared.
    """

    reason: str = field(eq=False)


class HelloReader:
    """
    Reads the ClientHello that a stream begins with.

    It remembers how far it has come, so that a client that sends byte by byte does not
    have all of them read again each time.
    """

    def __init__(self, limit: int = HELLO_LIMIT) -> None:
        """
        @param limit: The most bytes to read until the message is whole; from 64.
        """
        self._limit = limit
        self._message = bytearray()
        self._at = 0
        self._left = 0

    def read(self, data: bytes) -> ClientHello | NotTLS | None:
        """
        Go on reading, until there is an answer.

        @param data: The first bytes of the stream: those of the last call, and what has
            arrived since.
        @return: L{None} while the message is not whole.
        @raise BadHello: If it never will be a ClientHello.
        """
        data = data[: self._limit]
        if not self._at and not _BEGINNING.startswith(data[:2]):
            return NotTLS(_otherProtocol(data))
        while self._gather(data):
            end = self._end()
            if end is not None and end <= len(self._message):
                return _readHello(bytes(self._message[_MESSAGE_HEADER:end]))
        if len(data) == self._limit:
            raise self._tooLong()
        return None

    def _gather(self, data: bytes) -> bool:
        """
        Add what has arrived of one record to the message (RFC 8446, section 5.1).

        @return: Whether there was anything.
        """
        if not self._left:
            header = data[self._at : self._at + _RECORD_HEADER]
            if not _BEGINNING.startswith(header[:2]):
                raise BadHello("another record begins within the ClientHello")
            if len(header) < _RECORD_HEADER:
                return False
            self._left = int.from_bytes(header[3:])
            if not 1 <= self._left <= _LARGEST_FRAGMENT:
                raise BadHello(
                    f"a record of the handshake has {self._left} bytes; "
                    f"expected 1 to {_LARGEST_FRAGMENT}"
                )
            self._at += _RECORD_HEADER
        piece = data[self._at : self._at + self._left]
        self._at += len(piece)
        self._left -= len(piece)
        self._message += piece
        return bool(piece)

    def _end(self) -> int | None:
        """Where the message ends; L{None} if that is not known yet."""
        if self._message[0] != _CLIENT_HELLO:
            raise BadHello(
                f"the handshake begins with the message {self._message[0]}; "
                f"expected a ClientHello, {_CLIENT_HELLO}"
            )
        if len(self._message) < _MESSAGE_HEADER:
            return None
        end = _MESSAGE_HEADER + int.from_bytes(self._message[1:_MESSAGE_HEADER])
        if _RECORD_HEADER + end > self._limit:
            raise self._tooLong()
        return end

    def _tooLong(self) -> BadHello:
        return BadHello(f"the ClientHello has more than {self._limit} bytes")


class _Part:
    """A part of a ClientHello, read from its beginning to its end."""

    def __init__(self, data: bytes, name: str) -> None:
        """
        @param name: What it is, for errors.
        """
        self._data = data
        self._name = name
        self._at = 0

    @property
    def isOver(self) -> bool:
        """Whether all of it has been read."""
        return self._at == len(self._data)

    def take(self, length: int) -> bytes:
        """Read some bytes."""
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise BadHello(f"{self._name} is cut off")
        return self._data[start : self._at]

    def number(self, size: int) -> int:
        """Read a number of some bytes."""
        return int.from_bytes(self.take(size))

    def vector(self, size: int, least: int = 1, each: int = 1) -> bytes:
        """
        Read what has its length before it (RFC 8446, section 3.4).

        @param size: How many bytes the length has.
        @param least: The least bytes there have to be.
        @param each: The bytes of one element.
        """
        data = self.take(self.number(size))
        if len(data) < least or len(data) % each:
            raise BadHello(f"{self._name} has a list of {len(data)} bytes")
        return data

    def end(self) -> None:
        """Check that all of it has been read."""
        if not self.isOver:
            raise BadHello(f"{self._name} has more bytes than it says")


def _readHello(message: bytes) -> ClientHello:
    """Read a whole ClientHello, without its header (RFC 8446, section 4.1.2)."""
    hello = _Part(message, "the ClientHello")
    hello.take(_VERSION + _RANDOM)
    if len(hello.vector(1, least=0)) > _LONGEST_SESSION:
        raise BadHello(f"a session has more than {_LONGEST_SESSION} bytes")
    hello.vector(2, least=2, each=2)
    hello.vector(1)
    found: dict[int, bytes] = {}
    if not hello.isOver:
        # Clients of TLS 1.2 and before may have no extensions at all.
        found = _extensions(hello.vector(2, least=0))
        hello.end()
    return ClientHello(
        serverName=_serverName(found[_SERVER_NAME]) if _SERVER_NAME in found else "",
        alpn=_alpn(found[_ALPN]) if _ALPN in found else (),
        offersTLS13=_VERSIONS in found and _TLS_1_3 in _versions(found[_VERSIONS]),
    )


def _extensions(data: bytes) -> dict[int, bytes]:
    """Those extensions that are read here (RFC 8446, section 4.2)."""
    found: dict[int, bytes] = {}
    extensions = _Part(data, "the list of extensions")
    while not extensions.isOver:
        kind = extensions.number(2)
        value = extensions.vector(2, least=0)
        if kind in _NAMES:
            if kind in found:
                raise BadHello(f"the extension {_NAMES[kind]} is there twice")
            found[kind] = value
    return found


def _elements(extension: int, data: bytes, size: int) -> _Part:
    """The list that is all that an extension has; its length has some bytes."""
    name = f"the extension {_NAMES[extension]}"
    part = _Part(data, name)
    elements = part.vector(size)
    part.end()
    return _Part(elements, name)


def _serverName(data: bytes) -> str:
    """Read the extension server_name (RFC 6066, section 3)."""
    found: list[bytes] = []
    names = _elements(_SERVER_NAME, data, 2)
    while not names.isOver:
        kind = names.number(1)
        # Names of all kinds have their length in two bytes.
        name = names.vector(2)
        if kind == _HOST_NAME:
            found.append(name)
    if len(found) > 1:
        raise BadHello("the client names several servers")
    return _hostName(found[0]) if found else ""


def _hostName(name: bytes) -> str:
    stripped = name.removesuffix(b".")
    plain = all(0x21 <= each <= 0x7E for each in stripped)
    if not plain or not 1 <= len(stripped) <= _LONGEST_NAME:
        shown = oneLine(name[:64].decode("ascii", "backslashreplace"))
        raise BadHello(f'the client names the server "{shown}", which is no host')
    return stripped.decode("ascii").lower()


def _alpn(data: bytes) -> tuple[bytes, ...]:
    """Read the extension for protocols (RFC 7301, section 3.1)."""
    protocols: list[bytes] = []
    names = _elements(_ALPN, data, 2)
    while not names.isOver:
        protocols.append(names.vector(1))
    return tuple(each for each in protocols if each not in _GREASE)


def _versions(data: bytes) -> set[int]:
    """Read the extension supported_versions (RFC 8446, section 4.2.1)."""
    versions: set[int] = set()
    numbers = _elements(_VERSIONS, data, 1)
    while not numbers.isOver:
        versions.add(numbers.number(2))
    return versions


def _otherProtocol(data: bytes) -> str:
    """What a client seems to speak whose first bytes are no TLS handshake."""
    for form, name in _OTHERS:
        if form.match(data):
            return f"looks like {name}"
    shown = oneLine(data[:8].decode("ascii", "backslashreplace"))
    return f'begins with "{shown}"'
