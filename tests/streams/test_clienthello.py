"""
What a TLS client asks for is known before its handshake begins, and whoever is no TLS
client is not waited for.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from lbproxy.streams.clienthello import (
    HELLO_LIMIT,
    BadHello,
    ClientHello,
    HelloReader,
    NotTLS,
)

Outcome = ClientHello | NotTLS | str | None


def outcome(data: bytes, limit: int = HELLO_LIMIT) -> Outcome:
    """What comes of some bytes: an answer, the word for an error, or nothing yet."""
    try:
        return HelloReader(limit).read(data)
    except BadHello as error:
        return "bad" if str(error).isprintable() else "not one line"


def inPieces(data: bytes, limit: int = HELLO_LIMIT) -> Outcome:
    """What comes of the same bytes when they arrive one by one."""
    reader = HelloReader(limit)
    try:
        for length in range(len(data) + 1):
            found = reader.read(data[:length])
            if found is not None:
                return found
    except BadHello:
        return "bad"
    return None


def vector(size: int, data: bytes) -> bytes:
    """Some bytes with their length before them."""
    return len(data).to_bytes(size) + data


def extension(kind: int, data: bytes) -> bytes:
    """An extension."""
    return pack("!H", kind) + vector(2, data)


def names(*entries: tuple[int, bytes]) -> bytes:
    """The extension server_name."""
    parts = (bytes([kind]) + vector(2, name) for kind, name in entries)
    return extension(0, vector(2, b"".join(parts)))


def protocols(*offered: bytes) -> bytes:
    """The extension for protocols."""
    return extension(16, vector(2, b"".join(vector(1, each) for each in offered)))


def versions(*numbers: int) -> bytes:
    """The extension supported_versions."""
    return extension(43, vector(1, b"".join(pack("!H", each) for each in numbers)))


def body(
    *extensions: bytes,
    session: bytes = bytes(32),
    suites: bytes = b"\x13\x01\x13\x02",
    methods: bytes = b"\0",
    after: bytes = b"",
) -> bytes:
    """A ClientHello without its header."""
    return (
        b"\x03\x03"
        + bytes(32)
        + vector(1, session)
        + vector(2, suites)
        + vector(1, methods)
        + vector(2, b"".join(extensions))
        + after
    )


def message(content: bytes) -> bytes:
    """A ClientHello."""
    return b"\x01" + vector(3, content)


def record(data: bytes, kind: int = 22, version: int = 0x0301) -> bytes:
    """A record."""
    return pack("!BH", kind, version) + vector(2, data)


def records(data: bytes, each: int) -> bytes:
    """Records of so many bytes each."""
    parts = range(0, len(data), each)
    return b"".join(record(data[at : at + each]) for at in parts)


def hello(*extensions: bytes) -> bytes:
    """A ClientHello in one record."""
    return record(message(body(*extensions)))


WEB = names((0, b"web.example"))
FULL = hello(WEB, protocols(b"h2", b"http/1.1"), versions(0x0304, 0x0303))
ASKED = ClientHello("web.example", (b"h2", b"http/1.1"), True)


def bySSL(
    name: str | None, alpn: list[str], newest: ssl.TLSVersion, oldest: ssl.TLSVersion
) -> bytes:
    """The first bytes of a client that the standard library makes."""
    context = ssl.create_default_context()
    context.maximum_version, context.minimum_version = newest, oldest
    context.check_hostname = name is not None
    if alpn:
        context.set_alpn_protocols(alpn)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def byOpenSSL(name: bytes, alpn: list[bytes]) -> bytes:
    """The first bytes of a client that pyOpenSSL makes."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if alpn:
        context.set_alpn_protos(alpn)
    client = SSL.Connection(context, None)
    client.set_connect_state()
    client.set_tlsext_host_name(name)
    with suppress(SSL.WantReadError):
        client.do_handshake()
    return client.bio_read(1 << 16)


NEW, OLD = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "name", ["a.example", "web-1.Sub.Example", "xn--bcher-kva.example", "a" * 63, None]
)
@pytest.mark.parametrize("alpn", [[], ["h2"], ["h2", "http/1.1", "x" * 255]])
@pytest.mark.parametrize(("newest", "oldest"), [(NEW, NEW), (NEW, OLD), (OLD, OLD)])
def test_realClients(
    name: str | None, alpn: list[str], newest: ssl.TLSVersion, oldest: ssl.TLSVersion
) -> None:
    """Real clients are understood, at whatever byte what they send is split."""
    data = bySSL(name, alpn, newest, oldest)
    offered = tuple(each.encode() for each in alpn)
    asked = ClientHello((name or "").lower(), offered, newest is NEW)
    assert outcome(data + b"early data") == asked
    assert inPieces(data) == asked
    for length in range(len(data)):
        assert outcome(data[:length]) is None
    # As one record that was cut into many.
    assert data[:1] == b"\x16"
    for each in (1, 3, 100):
        assert outcome(records(data[5:], each)) == asked


@pytest.mark.parametrize("name", [b"b.example", b"UPPER.example.", b"_x.example"])
def test_pyOpenSSL(name: bytes) -> None:
    """So are those whose name has a dot at its end, or what a host should not have."""
    found = outcome(byOpenSSL(name, [b"h2", b"\x2a\x2a", b"\xff"]))
    asked = name.decode().lower().removesuffix(".")
    assert found == ClientHello(asked, (b"h2", b"\xff"), True)


def test_consumesNothing() -> None:
    """The server's handshake works with the very bytes that were looked at."""
    with_name: list[bytes] = []

    def named(connection: SSL.Connection) -> None:
        with_name.append(connection.get_servername() or b"")

    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_tlsext_servername_callback(named)
    server = SSL.Connection(context, None)
    server.set_accept_state()
    data = byOpenSSL(b"web.example", [])
    found = outcome(data)
    server.bio_write(data)
    with pytest.raises(SSL.Error):
        # It has no certificate.
        server.do_handshake()
    assert isinstance(found, ClientHello)
    assert with_name == [found.serverName.encode()]


@pytest.mark.parametrize(
    ("extensions", "asked"),
    [
        ([], ClientHello()),
        ([WEB], ClientHello("web.example")),
        ([names((0, b"WEB.Example."))], ClientHello("web.example")),
        ([names((0, b"a" * 255 + b"."))], ClientHello("a" * 255)),
        ([names((0, b"!~"))], ClientHello("!~")),
        ([names((7, b"\xff"), (0, b"b"), (9, b"x"))], ClientHello("b")),
        ([names((7, b"\xff"))], ClientHello()),
        ([protocols(b"h2")], ClientHello(alpn=(b"h2",))),
        ([protocols(b"\xff\0")], ClientHello(alpn=(b"\xff\0",))),
        ([versions(0x0304)], ClientHello(offersTLS13=True)),
        ([versions(0x0303, 0x0302)], ClientHello()),
        # GREASE: in versions, protocols, and as extensions, one of them twice.
        ([versions(0x7A7A, 0x0304)], ClientHello(offersTLS13=True)),
        ([protocols(b"\x1a\x1a", b"h2", b"\xfa\xfa")], ClientHello(alpn=(b"h2",))),
        (
            [extension(0x0A0A, b""), WEB, extension(0xFAFA, b"\0")],
            ClientHello("web.example"),
        ),
        ([extension(0x0A0A, b""), extension(0x0A0A, b"")], ClientHello()),
        # Encrypted: the outer name.
        ([extension(0xFE0D, bytes(200)), WEB], ClientHello("web.example")),
    ],
)
def test_asks(extensions: list[bytes], asked: ClientHello) -> None:
    """The parts that count are found among those that do not."""
    assert outcome(hello(*extensions)) == asked
    assert inPieces(hello(*extensions)) == asked


def test_least() -> None:
    """An old client may have no extensions at all, no session, and one cipher."""
    least = body(WEB, session=b"", suites=b"\0\x2f")
    assert outcome(record(message(least))) == ClientHello("web.example")
    bare = body()[:-2]
    assert outcome(record(message(bare), version=0x0300)) == ClientHello()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            record(b"\x02\0\0\x01"),
            "the handshake begins with the message 2; expected a ClientHello, 1",
        ),
        (record(b""), "a record of the handshake has 0 bytes; expected 1 to 16384"),
        (
            b"\x16\x03\x01\x40\x01",
            "a record of the handshake has 16385 bytes; expected 1 to 16384",
        ),
        (
            records(message(body()), 20)[:25] + record(b"x", kind=23),
            "another record begins within the ClientHello",
        ),
        (
            record(b"\x01") + b"\x15",
            "another record begins within the ClientHello",
        ),
        (
            record(b"\x01\0\x40\x00"),
            "the ClientHello has more than 16384 bytes",
        ),
        (
            record(b"\x01\x01\0\0"),
            "the ClientHello has more than 16384 bytes",
        ),
        (record(message(b"\x03\x03")), "the ClientHello is cut off"),
        (record(message(body()[:-1])), "the ClientHello is cut off"),
        (
            record(message(body()[:-2] + b"\0\x01")),
            "the ClientHello is cut off",
        ),
        (
            record(message(body(after=b"\0"))),
            "the ClientHello has more bytes than it says",
        ),
        (
            record(message(body(session=bytes(33)))),
            "a session has more than 32 bytes",
        ),
        (
            record(message(body(suites=b""))),
            "the ClientHello has a list of 0 bytes",
        ),
        (
            record(message(body(suites=b"abc"))),
            "the ClientHello has a list of 3 bytes",
        ),
        (
            record(message(body(methods=b""))),
            "the ClientHello has a list of 0 bytes",
        ),
        (hello(b"\0"), "the list of extensions is cut off"),
        (hello(b"\0\0\0\x01"), "the list of extensions is cut off"),
        (hello(WEB, WEB), "the extension server_name is there twice"),
        (
            hello(versions(1), versions(2)),
            "the extension supported_versions is there twice",
        ),
        (hello(extension(0, b"")), "the extension server_name is cut off"),
        (
            hello(extension(0, vector(2, b""))),
            "the extension server_name has a list of 0 bytes",
        ),
        # A name that reaches beyond its list, and a list that is not all there is.
        (
            hello(extension(0, vector(2, b"\0\0\x03ab"))),
            "the extension server_name is cut off",
        ),
        (
            hello(extension(0, vector(2, b"\0\0\x01a") + b"x")),
            "the extension server_name has more bytes than it says",
        ),
        (hello(names((0, b"a"), (0, b"a"))), "the client names several servers"),
        (
            hello(names((0, b""))),
            "the extension server_name has a list of 0 bytes",
        ),
        (
            hello(names((0, b"."))),
            'the client names the server ".", which is no host',
        ),
        (
            hello(names((0, b"a b\n\xff"))),
            r'the client names the server "a b\n\xff", which is no host',
        ),
        (
            hello(names((0, b" "))),
            'the client names the server " ", which is no host',
        ),
        (
            hello(names((0, b"\x7f"))),
            r'the client names the server "\x7f", which is no host',
        ),
        (
            hello(names((0, b"a\0.example"))),
            r'the client names the server "a\x00.example", which is no host',
        ),
        (
            hello(names((0, b"a" * 256))),
            f'the client names the server "{"a" * 64}", which is no host',
        ),
        (
            hello(protocols()),
            (
                "the extension application_layer_protocol_negotiation has a list of 0 "
                "bytes"
            ),
        ),
        (
            hello(protocols(b"h2", b"")),
            (
                "the extension application_layer_protocol_negotiation has a list of 0 "
                "bytes"
            ),
        ),
        (
            hello(extension(16, vector(2, b"\x03h2"))),
            "the extension application_layer_protocol_negotiation is cut off",
        ),
        (
            hello(extension(43, vector(1, b""))),
            "the extension supported_versions has a list of 0 bytes",
        ),
        (
            hello(extension(43, vector(1, b"\x03\x04\x03"))),
            "the extension supported_versions is cut off",
        ),
    ],
)
def test_malformed(data: bytes, reason: str) -> None:
    """A malformed ClientHello is refused, and the reason says where it is wrong."""
    with pytest.raises(BadHello) as raised:
        HelloReader().read(data)
    assert str(raised.value) == reason
    assert inPieces(data) == "bad"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "looks like HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "looks like HTTP"),
        (b"OPTIONS *", "looks like HTTP"),
        (b"CONNECT a:443 ", "looks like HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "looks like SSH"),
        (b"PROXY TCP4 ", "looks like a PROXY header"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21", "looks like a PROXY header"),
        (b"\x80\x2e\x01\x03\x01\0\x15", "looks like a hello of SSL 2.0"),
        (b"\x80\x0a\x01\0\x02\0\x15", "looks like a hello of SSL 2.0"),
        (b"\x15\x03\x01\0\x02", "looks like TLS, but begins with no handshake"),
        (b"EHLO a\n\xff\0 and more", r'begins with "EHLO a\n\xff"'),
        (b"G", 'begins with "G"'),
        (b"\x16\x02", r'begins with "\x16\x02"'),
    ],
)
def test_notTLS(data: bytes, reason: str) -> None:
    """A client that speaks something else is recognized by its first bytes."""
    found = outcome(data)
    assert found == NotTLS("")
    assert isinstance(found, NotTLS)
    assert found.reason == reason
    # The first two bytes are enough, for whatever it is.
    assert outcome(data[:2]) == found == inPieces(data)


def test_limit() -> None:
    """A ClientHello may have as many bytes as are read, and no more."""
    whole = len(FULL)
    assert outcome(FULL, whole) == inPieces(FULL, whole) == ASKED
    assert outcome(FULL, whole - 1) == inPieces(FULL, whole - 1) == "bad"
    # It is refused as soon as it says how long it is.
    assert outcome(FULL[:8], whole - 1) is None
    assert outcome(FULL[:9], whole - 1) == "bad"
    # The headers of its records count.
    split = records(FULL[5:], 1)
    assert outcome(split, len(split)) == inPieces(split, len(split)) == ASKED
    assert outcome(split, len(split) - 1) == inPieces(split, len(split) - 1) == "bad"
    with pytest.raises(BadHello, match=r"^the ClientHello has more than 500 bytes$"):
        HelloReader(500).read(records(message(body(bytes(400))), 1))


def test_longest() -> None:
    """A record may have as many bytes as TLS has room for, if they are read at all."""
    empty = len(message(body(extension(99, b""))))
    longest = record(message(body(extension(99, bytes(16384 - empty)))))
    assert len(longest) == 5 + 16384
    assert outcome(longest, len(longest)) == ClientHello()
    assert outcome(longest) == "bad"


def test_byteByByte() -> None:
    """A client that sends single bytes, in records of one byte, costs little for it."""
    endless = records(message(body(bytes(2700))), 1)
    reader = HelloReader()
    began = time.process_time()
    for length in range(HELLO_LIMIT):
        assert reader.read(endless[:length]) is None
    # If each time all records were read again, it took 25 s.
    assert time.process_time() - began < 1
    with pytest.raises(BadHello):
        reader.read(endless)


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=9), max_size=4),
    st.text("abcXYZ019-._:", min_size=1, max_size=30).filter(
        lambda name: name != "." and not name.startswith(".")
    ),
    st.booleans(),
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
)
def test_anySplit(offered: list[bytes], name: str, new: bool, cuts: list[int]) -> None:
    """However it is cut into records and pieces, the same comes of it."""
    extensions = [names((0, name.encode()))]
    if offered:
        extensions.append(protocols(*offered))
    if new:
        extensions.insert(0, versions(0x0304))
    rest = message(body(*extensions))
    data = b""
    while rest:
        cuts.append(cuts.pop(0))
        data += record(rest[: cuts[0]])
        rest = rest[cuts[0] :]
    grease = [bytes([each, each]) for each in range(10, 256, 16)]
    kept = tuple(each for each in offered if each not in grease)
    asked = ClientHello(name.lower().removesuffix("."), kept, new)
    assert outcome(data) == inPieces(data) == asked
    for length in range(len(data)):
        assert outcome(data[:length]) is None


@settings(deadline=None)
@given(
    st.binary(max_size=150)
    | st.binary(max_size=150).map(record)
    | st.binary(max_size=150).map(lambda data: record(message(data)))
    | st.binary(max_size=150).map(lambda data: hello(data))
)
def test_anyBytes(data: bytes) -> None:
    """Whatever comes is answered the same way, all at once or byte by byte."""
    assert outcome(data, 120) == inPieces(data, 120)
    assert outcome(data) == inPieces(data)


@settings(deadline=None)
@given(st.data())
def test_changedBytes(data: st.DataObject) -> None:
    """The same of a ClientHello of which some bytes were changed."""
    changed = bytearray(records(FULL[5:], data.draw(st.integers(1, 200))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    assert outcome(bytes(changed)) == inPieces(bytes(changed))
