"""What clients of a TLS listener get: certificates, versions, protocols, sessions."""

from __future__ import annotations

import ssl
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from securing import RSA, Files, said, shake
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface.verify import verifyObject

from lbproxy.streams.certificates import CertificateFiles, TLSRefused
from lbproxy.streams.tlsoptions import ServerTLSOptions
from lbproxy.streams.tlsserver import ServerTLS

VERSIONS = ["1.2", "1.3"]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> ServerTLS:
    return serving(Files(tmp_path_factory.mktemp("pem")).issue("a.example"))


def serving(*certificates: CertificateFiles, **options: Any) -> ServerTLS:
    return ServerTLS(ServerTLSOptions(certificates=certificates, **options))


def test_twistedTakesIt(files: Files) -> None:
    """Twisted's TLS may be given it to make its connections."""
    server = serving(files.issue("a.example"))
    assert verifyObject(IOpenSSLServerConnectionCreator, server)
    assert server.serverConnectionForTLS(None).get_servername() is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("a.example", ["a.example", "b.example"]),
        ("b.example", ["a.example", "b.example"]),
        ("B.Example", ["a.example", "b.example"]),
        ("one.w.example", ["one.w.example"]),
        ("two.w.example", ["*.w.example"]),
        ("deep.two.w.example", ["a.example", "b.example"]),
        ("w.example", ["a.example", "b.example"]),
        ("nobody.example", ["a.example", "b.example"]),
        (None, ["a.example", "b.example"]),
    ],
)
def test_certificateByName(
    files: Files, version: str, asked: str | None, names: list[str]
) -> None:
    """The exact name, else the wildcard one level up, else the first certificate."""
    server = serving(
        files.issue("a.example", "b.example"),
        files.issue("*.w.example"),
        files.issue("one.w.example"),
    )
    context = files.client(version=version)
    context.check_hostname = False
    shaken = shake(server, context, asked)
    assert shaken.names == names
    assert shaken.facts is not None
    assert shaken.facts.serverName == (asked or "").lower()


def test_commonNameWithoutOthers(files: Files) -> None:
    """An old certificate without a subjectAltName is for its common name."""
    server = serving(files.issue("a.example"), _withoutNames(files, "Old.Example"))
    assert server.contexts.contextOf("old.example") is not server.contexts.default
    assert files.issue("x.example", common="y.example").chain
    server = serving(files.issue("x.example", common="y.example"))
    assert server.contexts.contextOf("y.example") is None


def test_weakKey(files: Files) -> None:
    """A key that OpenSSL finds too weak is refused in one line that names the file."""
    good, weak = files.issue("a.example"), _withoutNames(files, "old.example", 1024)
    with pytest.raises(TLSRefused) as raised:
        serving(good, weak)
    assert str(raised.value) == (
        f"{weak.chain}: OpenSSL does not take the certificate: ee key too small"
    )
    assert raised.value.keys == ("certificates", 1, "chain")


def test_bothKindsOfKeys(files: Files) -> None:
    """A client that knows only one kind of key gets a certificate of that kind."""
    server = serving(
        files.issue("a.example", to="ec"),
        files.issue("a.example", to="rsa", kind=RSA),
    )
    for kind in ("ECDSA", "RSA"):
        client = files.client(version="1.2", ciphers=f"ECDHE-{kind}-AES128-GCM-SHA256")
        facts = shake(server, client).facts
        assert facts is not None
        assert facts.cipher == f"ECDHE-{kind}-AES128-GCM-SHA256"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("asked", ["nobody.example", None])
def test_unknownNameIsRejected(files: Files, version: str, asked: str | None) -> None:
    """A client that asks for another name, or for none, gets no certificate at all."""
    server = serving(files.issue("a.example"), rejectUnknownNames=True)
    assert shake(server, files.client(version=version)).facts
    shaken = shake(server, files.client(version=version), asked)
    assert shaken.facts is None
    assert shaken.words == (f"unknown name {asked}" if asked else "no name")


@pytest.mark.parametrize("version", VERSIONS)
def test_unknownNameIsRejectedWhenResumed(files: Files, version: str) -> None:
    """To resume a session takes no certificate; the name is refused all the same."""
    server = serving(files.issue("a.example"), rejectUnknownNames=True)
    client = files.client(version=version)
    first = shake(server, client)
    assert not first.refused
    again = shake(server, client, "a.example", first.client.session)
    assert again.facts is not None
    assert again.facts.resumed
    assert not again.refused
    other = shake(server, client, "nobody.example", first.client.session)
    if version == "1.3":
        assert other.refused == "unknown name nobody.example"
    else:
        # Before TLS 1.3 the name belongs to the session.
        assert other.facts is not None
        assert other.facts.serverName == "a.example"


@pytest.mark.parametrize("version", VERSIONS)
def test_resumption(files: Files, version: str) -> None:
    """A client that comes again resumes its session, and the facts say so."""
    server = serving(files.issue("a.example"), files.issue("b.example"))
    client = files.client(version=version)
    for name in ("a.example", "b.example"):
        first = shake(server, client, name)
        assert first.facts is not None
        assert not first.facts.resumed
        again = shake(server, client, name, first.client.session).facts
        assert again is not None
        assert again.resumed
        assert again.serverName == name


@pytest.mark.parametrize(
    ("ours", "offered", "agreed"),
    [
        (("h2", "http/1.1"), ("http/1.1", "h2"), "h2"),
        (("h2", "http/1.1"), ("http/1.1",), "http/1.1"),
        (("h2",), ("smtp",), ""),
        (("h2",), (), ""),
        ((), ("h2",), ""),
    ],
)
def test_alpn(
    files: Files, ours: tuple[str, ...], offered: tuple[str, ...], agreed: str
) -> None:
    """Ours is the preference; where nothing is shared, it goes on without."""
    server = serving(files.issue("a.example"), files.issue("b.example"), alpn=ours)
    for name in ("a.example", "b.example"):
        shaken = shake(server, files.client(alpn=offered), name)
        assert shaken.facts is not None
        assert shaken.facts.alpn == agreed
        assert (shaken.client.selected_alpn_protocol() or "") == agreed


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_oldVersions(files: Files, version: str) -> None:
    """Nobody speaks TLS 1.1 to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client = files.client(
            version=version.removesuffix(".0"), ciphers="@SECLEVEL=0:ALL"
        )
    shaken = shake(serving(files.issue("a.example")), client)
    assert shaken.words == "unsupported protocol"


def test_minimumVersion(files: Files) -> None:
    """With 1.3 as the minimum, 1.2 is too old."""
    server = serving(files.issue("a.example"), minimumVersion="1.3")
    assert shake(server, files.client(version="1.2")).words == "unsupported protocol"
    facts = shake(server, files.client(version="1.3")).facts
    assert facts is not None
    assert facts.version == "TLSv1.3"


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256"]
)
def test_modernCiphers(files: Files, cipher: str) -> None:
    """What is not authenticated encryption is not spoken, unless it is configured."""
    client = files.client(version="1.2", ciphers=cipher)
    certificate = files.issue("a.example")
    assert shake(serving(certificate), client).words == "no shared cipher"
    facts = shake(serving(certificate, ciphers=cipher), client).facts
    assert facts is not None
    assert facts.cipher == cipher


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not TLS: looks like HTTP"),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", "not TLS: looks like HTTP for a proxy"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "not TLS"),
        (b"\0" * 40, "not TLS"),
        (b"\x16\x03\x01\xff\xff" + b"a" * 100, "not TLS"),
    ],
)
def test_notTLS(files: Files, first: bytes, words: str) -> None:
    """What is no TLS is said to be none."""
    assert said(serving(files.issue("a.example")), first) == words


@settings(deadline=None)
@given(first=st.binary(min_size=1, max_size=400))
def test_anyBytes(server: ServerTLS, first: bytes) -> None:
    """Whatever a client sends first, it is waited for more, or refused in words."""
    for sent in (first, b"\x16\x03\x01\0\x40\1\0\0\x3c\3\3" + first):
        words = said(server, sent)
        assert words is None or (words and words.isprintable())


# Certificates of clients.


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wanted", ["optional", "required"])
def test_clientCertificate(files: Files, version: str, wanted: str) -> None:
    """Who shows a certificate of the authority is known by it, resumed or not."""
    server = serving(
        files.issue("a.example"), clientCa=files.root, clientCertificate=wanted
    )
    certificate = files.issue("me@mail.example", "client.example", common="Me")
    client = files.client(certificate, version)
    first = shake(server, client)
    again = shake(server, client, session=first.client.session)
    for shaken in (first, again):
        assert shaken.facts is not None
        assert shaken.facts.clientVerified
        assert shaken.facts.clientSubject.startswith("CN=Me,OU=")
        assert shaken.facts.clientNames == ("client.example", "me@mail.example")
    assert again.facts is not None
    assert again.facts.resumed


@pytest.mark.parametrize("version", VERSIONS)
def test_withoutClientCertificate(files: Files, version: str) -> None:
    """A certificate that is required has to come; an optional one has not."""
    options = {"clientCa": files.root, "clientCertificate": "required"}
    certificate = files.issue("a.example")
    client = files.client(version=version)
    shaken = shake(serving(certificate, **options), client)
    assert shaken.words == "no certificate from the client"
    options["clientCertificate"] = "optional"
    facts = shake(serving(certificate, **options), client).facts
    assert facts is not None
    assert not facts.clientVerified
    assert not facts.clientSubject


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wanted", ["optional", "required"])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("stranger", "unknown ca"),
        ("expired", "certificate expired"),
        ("revoked", "certificate revoked"),
    ],
)
def test_badClientCertificate(
    files: Files, tmp_path: Path, version: str, wanted: str, fault: str, words: str
) -> None:
    """One that is shown has to be good, also where none would do."""
    there = tmp_path / "theirs"
    there.mkdir()
    theirs = Files(there, None if fault == "stranger" else files.authority)
    past = datetime.now(UTC) - timedelta(days=1)
    mine = theirs.issue("me@mail.example", until=past if fault == "expired" else None)
    server = serving(
        files.issue("a.example"),
        clientCa=files.root,
        clientCertificate=wanted,
        clientCrl=files.revoking(*([mine] if fault == "revoked" else [])),
    )
    shaken = shake(server, files.client(mine, version))
    assert shaken.facts is None
    assert shaken.words == f"the client's certificate: {words}"
    good = files.client(files.issue("other@mail.example"), version)
    assert shake(server, good).facts


def test_intermediateIsTrusted(files: Files) -> None:
    """An authority that another one vouches for may be named alone."""
    below = files.authority.create_child_ca()
    path = files.directory / "below.pem"
    below.cert_pem.write_to_path(path)
    server = serving(
        files.issue("a.example"), clientCa=str(path), clientCertificate="required"
    )
    issued = below.issue_cert("me@mail.example")
    client = files.client()
    issued.configure_cert(client)
    assert shake(server, client).facts
    client = files.client(files.issue("you@mail.example"))
    assert shake(server, client).words == "the client's certificate: unknown ca"


def test_noListOfTheIssuer(files: Files, tmp_path: Path) -> None:
    """With revocation lists, each authority has to have one."""
    there = tmp_path / "other"
    there.mkdir()
    other = Files(there)
    both = tmp_path / "both.pem"
    both.write_bytes(Path(files.root).read_bytes() + Path(other.root).read_bytes())
    server = serving(
        files.issue("a.example"),
        clientCa=str(both),
        clientCertificate="required",
        clientCrl=files.revoking(),
    )
    assert shake(server, files.client(files.issue("me@mail.example"))).facts
    words = shake(server, files.client(other.issue("me@mail.example"))).words
    assert words == "the client's certificate: no revocation list of its issuer"


def test_clientDistrusts(files: Files) -> None:
    """The log says that it is the client who does not trust the certificate."""
    server = serving(files.issue("a.example"))
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trustme.CA().configure_trust(stranger)
    assert shake(server, stranger).words == "the client says: unknown ca"


def _withoutNames(files: Files, common: str, bits: int = 2048) -> CertificateFiles:
    """A certificate without a subjectAltName."""
    made = files.issue("old.example")
    key = generate_private_key(65537, bits)
    how = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    Path(made.key).write_bytes(key.private_bytes(*how))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=90))
        .sign(key, SHA256())
    )
    Path(made.chain).write_bytes(certificate.public_bytes(Encoding.PEM))
    return made
