"""
Fuzzes what reads the beginning of a stream, guided by what code is reached (atheris).

Run it for a minute, or so many times::

    .venv/bin/pip install -e '.[fuzz]' --config-settings editable_mode=compat
    .venv/bin/python tests/fuzz/beginnings.py proxy -max_total_time=60
    .venv/bin/python tests/fuzz/beginnings.py hello -runs=1000000

A failure leaves the bytes that led to it in a file.  What has led to new code is kept
in a directory for temporary files, where the next run begins with it.  The other
options are those of libFuzzer.
"""

from __future__ import annotations

import ssl
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

import atheris

with atheris.instrument_imports(include=["lbproxy"]):
    from lbproxy.streams.clienthello import (
        BadHello,
        ClientHello,
        HelloReader,
        NotTLS,
    )
    from lbproxy.streams.proxyprotocol.build import LOCAL_V2, headerV1, headerV2
    from lbproxy.streams.proxyprotocol.parse import parse
    from lbproxy.streams.proxyprotocol.values import (
        BadHeader,
        ClientFlags,
        ClientTLS,
        Details,
        Header,
    )
    from lbproxy.words.connection import Address

LIMIT = 4096


def header(data: bytes) -> Header | str | None:
    """What comes of some bytes if a PROXY header is expected."""
    try:
        return parse(data, LIMIT)
    except BadHeader as error:
        return "bad" if str(error).isprintable() else "not one line"


def proxy(data: bytes) -> None:
    """Read a PROXY header: the first byte says how many come first."""
    first, data = data[:1], data[1:]
    found = header(data)
    assert found != "not one line"
    early = header(data[: first[0] if first else 0])
    assert early is None or early == found
    if not isinstance(found, Header):
        return
    assert found.length <= min(len(data), LIMIT)
    assert header(data[: found.length]) == found
    assert header(data[: found.length - 1]) is None
    if found.client and found.local and found.client.port is not None:
        for written in (
            headerV1(found.client, found.local),
            headerV2(found.client, found.local, found.details, checksum=True),
        ):
            again = parse(written, LIMIT + len(written))
            assert isinstance(again, Header)
            assert again.length == len(written)
            if again.version == 2:
                assert again.details == found.details


def hello(data: bytes) -> None:
    """Read a ClientHello, in two pieces: the first byte says where they are cut."""
    cut, data = data[:1], data[1:]
    whole, pieces = HelloReader(LIMIT), HelloReader(LIMIT)

    def read(reader: HelloReader, data: bytes) -> ClientHello | NotTLS | str | None:
        try:
            return reader.read(data)
        except BadHello as error:
            return "bad" if str(error).isprintable() else "not one line"

    found = read(whole, data)
    assert found != "not one line"
    early = read(pieces, data[: cut[0] if cut else 0])
    assert (read(pieces, data) if early is None else early) == found


def proxySeeds() -> list[bytes]:
    """PROXY headers of all kinds."""
    client, local = Address("192.0.2.1", 1234), Address("2001:db8::2", 443)
    tls = ClientTLS(ClientFlags.TLS, 1, "TLSv1.3", "me", "AES", "RSA-SHA256", "RSA2048")
    details = Details(b"h2", "web.example", b"id", tls, "blue", ((0xE0, b"x"),))
    return [
        headerV1(client, client),
        headerV1(client, local),
        headerV1(Address(""), local),
        headerV2(client, client, checksum=True),
        headerV2(client, local, details, checksum=True),
        LOCAL_V2,
    ]


def helloSeeds() -> list[bytes]:
    """A ClientHello of OpenSSL's, in one record and in several."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="web.example")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    start = outgoing.read()
    parts = [start[at : at + 60] for at in range(5, len(start), 60)]
    cut = (b"\x16\x03\x01" + len(each).to_bytes(2) + each for each in parts)
    return [start, b"".join(cut)]


TARGETS = {"proxy": (proxy, proxySeeds), "hello": (hello, helloSeeds)}


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz a target, beginning with its seeds and what was found before."""
    target, seeds = TARGETS[name]
    corpus = Path(gettempdir(), f"lbproxy-fuzz-{name}")
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds()):
        # The first byte says where it is cut.
        (corpus / f"seed-{number}").write_bytes(b"\x20" + seed)
    atheris.Setup([sys.argv[0], *options, str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"{sys.argv[0]}: expected one of {', '.join(TARGETS)}")
    fuzz(name, options)
