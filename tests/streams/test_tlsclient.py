"""TLS to backends: who is trusted, who is refused and why, and which sessions go on."""

from __future__ import annotations

import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
import trustme
from handshakes import (
    Server,
    authority,
    clientTLS,
    connected,
    exchange,
    issued,
    shake,
    written,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import _representsEOF
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from lbproxy.proxy.reasons import brief
from lbproxy.streams.clientcontexts import ClientContexts
from lbproxy.streams.refusals import CertificateRefused
from lbproxy.streams.tlsclient import ClientTLS
from lbproxy.words.tlsoptions import TLSOptions

VERSIONS = [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]


@pytest.fixture
def ca(tmp_path: Path) -> str:
    """The file of the authority that is trusted."""
    return written(tmp_path, "ca.pem", authority("ours").cert_pem)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("a.internal", ["a.internal"]),
        ("A.internal.", ["a.internal"]),
        ("a.shop.internal", ["*.shop.internal"]),
        ("a.internal", ["b.internal", "a.internal"]),
        ("bücher.example", ["bücher.example"]),
        ("10.0.0.1", ["10.0.0.1"]),
        ("::1", ["::1"]),
        ("fe80::1%eth0", ["fe80::1"]),
    ],
)
def test_trusted(ca: str, name: str, names: list[str], version: int) -> None:
    """A certificate of a trusted authority, for the right name or address, will do."""
    tls = clientTLS(name, ca=ca)
    verifyObject(IOpenSSLClientConnectionCreator, tls)
    client, server = connected(tls, Server(issued(*names), version))
    assert client.established
    assert client.get_protocol_version() == version
    exchange(client, server)
    assert (tls.handshakes, tls.reused) == (1, 0)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "certificate", "reason"),
    [
        (
            "a.internal",
            issued("b.internal"),
            "its certificate is not for a.internal but for b.internal",
        ),
        (
            "a.internal",
            issued(*(f"{each}.internal" for each in "bcdef")),
            (
                "its certificate is not for a.internal but for b.internal, c.internal, "
                "d.internal and 2 more"
            ),
        ),
        (
            "10.0.0.1",
            issued("10.0.0.2", "10.internal"),
            "its certificate is not for 10.0.0.1 but for 10.internal, 10.0.0.2",
        ),
        (
            "10.0.0.1",
            issued("a.internal"),
            "its certificate is not for 10.0.0.1 but for a.internal",
        ),
        ("a.internal", issued("a.internal", by="a stranger"), "unknown ca"),
        ("a.internal", issued("a.internal", begins=-9, ends=-1), "certificate expired"),
        ("a.internal", issued("a.internal", begins=1), "certificate not yet valid"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_refused(
    ca: str, name: str, certificate: trustme.LeafCert, reason: str, version: int
) -> None:
    """Any other one is refused, in words that say what is wrong with it."""
    tls = clientTLS(name, ca=ca)
    with pytest.raises(CertificateRefused) as raised:
        connected(tls, Server(certificate, version))
    assert str(raised.value) == reason
    assert brief(Failure(raised.value)) == reason
    assert isinstance(raised.value, SSL.Error)
    assert tls.handshakes == 0


def selfSigned(*names: str) -> trustme.LeafCert:
    """A certificate that nobody but itself vouches for."""
    made = trustme.CA(organization_name="itself")
    # An authority's own certificate, which has no name of a host.
    return trustme.LeafCert(made.private_key_pem.bytes(), made.cert_pem.bytes(), [])


def test_selfSigned(ca: str, tmp_path: Path) -> None:
    """A certificate that has signed itself is said to, unless it is trusted."""
    certificate = selfSigned()
    with pytest.raises(CertificateRefused, match="self-signed certificate"):
        connected(clientTLS(ca=ca), Server(certificate))
    own = written(tmp_path, "own.pem", *certificate.cert_chain_pems)
    with pytest.raises(CertificateRefused) as raised:
        connected(clientTLS(ca=own), Server(certificate))
    said = "its certificate is not for a.internal; it has no subjectAltName"
    assert str(raised.value) == said


def test_system(ca: str) -> None:
    """Without a file of authorities those of the system are trusted: not ours."""
    with pytest.raises(CertificateRefused, match="unknown ca"):
        connected(clientTLS(), Server(issued("a.internal")))


def test_unverified() -> None:
    """Without verification every certificate will do, and no name is needed."""
    certificate = issued("b.internal", by="a stranger")
    for name in "a.internal", "":
        client, server = connected(clientTLS(name, verify=False), Server(certificate))
        exchange(client, server)


def test_listedIsTrusted(tmp_path: Path) -> None:
    """An authority between is trusted if it is listed, though nobody vouches for it."""
    between = authority("ours").create_child_ca()
    listed = written(tmp_path, "between.pem", between.cert_pem)
    connected(clientTLS(ca=listed), Server(between.issue_cert("a.internal")))


def test_nameless() -> None:
    """There has to be a name to verify."""
    contexts = ClientContexts()
    with pytest.raises(ValueError, match="no host whose name could be verified"):
        ClientTLS(contexts, TLSOptions(), "")
    for name in "ü..example", "a$b.example":
        with pytest.raises(ValueError, match="cannot be the name of a host"):
            ClientTLS(contexts, TLSOptions(), name)


@pytest.mark.parametrize(
    ("name", "sent"), [("a.internal", b"a.internal"), ("10.0.0.1", None), ("::1", None)]
)
def test_serverName(ca: str, name: str, sent: bytes | None) -> None:
    """The name is sent (SNI); an address is not."""
    _, server = connected(clientTLS(name, ca=ca), Server(issued(name)))
    assert server.get_servername() == sent


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["http/1.1", "x"], b"http/1.1"), ([], b"")]
)
def test_alpn(ca: str, offered: list[str], chosen: bytes) -> None:
    """The protocols are offered, and the backend chooses."""
    tls = clientTLS(ca=ca, alpn=tuple(offered))
    client, _ = connected(tls, Server(issued("a.internal"), alpn=b"http/1.1"))
    assert client.get_alpn_proto_negotiated() == chosen


def test_minimumVersion(ca: str) -> None:
    """A backend with older versions only is refused."""
    server = Server(issued("a.internal"), SSL.TLS1_2_VERSION)
    with pytest.raises(SSL.Error) as raised:
        connected(clientTLS(ca=ca, minimumVersion="1.3"), server)
    assert brief(Failure(raised.value)) == "TLS: tlsv1 alert protocol version"


@pytest.mark.parametrize("apart", [True, False])
def test_ownCertificate(ca: str, tmp_path: Path, apart: bool) -> None:
    """A backend that asks for a certificate is shown one, with its authorities'."""
    between = authority("clients").create_child_ca()
    own = between.issue_cert("lbproxy.internal")
    chain = written(tmp_path, "own.pem", *own.cert_chain_pems)
    key = written(tmp_path, "own.key", own.private_key_pem)
    if not apart:
        chain, key = (
            written(tmp_path, "both.pem", own.private_key_and_cert_chain_pem),
            "",
        )
    server = Server(issued("a.internal"), clients=authority("clients"))
    client, other = connected(clientTLS(ca=ca, chain=chain, key=key), server)
    exchange(client, other)
    with pytest.raises(SSL.Error, match="did not return a certificate"):
        connected(clientTLS(ca=ca), server)


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions(ca: str, version: int) -> None:
    """A connection goes on with the session of the last one."""
    tls, server = clientTLS(ca=ca), Server(issued("a.internal"), version)
    for reused in range(4):
        client, other = connected(tls, server)
        exchange(client, other)
        assert (tls.handshakes, tls.reused) == (reused + 1, reused)


def test_sessionsOfEachBackend(ca: str) -> None:
    """A session is offered to no other backend, though its options are the same."""
    contexts, server = ClientContexts(), Server(issued("a.internal", "b.internal"))
    for name in "a.internal", "b.internal":
        tls = clientTLS(name, contexts, ca=ca)
        exchange(*connected(tls, server))
        assert tls.reused == 0


def test_sessionsThatAreNotKept(ca: str) -> None:
    """A check sees the certificate that a backend has now."""
    tls = clientTLS(ca=ca, resumes=False)
    exchange(*connected(tls, Server(issued("a.internal"))))
    server = Server(issued("a.internal"))
    exchange(*connected(tls, server))
    assert (tls.handshakes, tls.reused) == (2, 0)


def test_sessionsOfAnotherServer(ca: str) -> None:
    """One that a backend does not know (any more) is no harm."""
    tls = clientTLS(ca=ca)
    exchange(*connected(tls, Server(issued("a.internal"))))
    exchange(*connected(tls, Server(issued("a.internal"))))
    assert (tls.handshakes, tls.reused) == (2, 0)
    with pytest.raises(CertificateRefused):
        connected(tls, Server(issued("b.internal")))


def test_otherFiles(tmp_path: Path) -> None:
    """When contexts are replaced, their files count, and sessions are begun anew."""
    contexts = ClientContexts()
    ca = written(tmp_path, "ca.pem", authority("ours").cert_pem)
    tls, server = clientTLS("a.internal", contexts, ca=ca), Server(issued("a.internal"))
    exchange(*connected(tls, server))
    written(tmp_path, "ca.pem", authority("a stranger").cert_pem)
    exchange(*connected(tls, server))
    assert tls.reused == 1
    contexts.replace({})
    tls.prepare()
    with pytest.raises(CertificateRefused, match="unknown ca"):
        connected(tls, server)


def test_onASocket(ca: str) -> None:
    """A connection may have the socket itself, without memory BIOs."""
    here, there = socket.socketpair()
    with here, there:
        client = clientTLS(ca=ca).connection(here)
        server = SSL.Connection(Server(issued("a.internal")).context, there)
        server.set_accept_state()
        here.setblocking(False)
        there.setblocking(False)
        left = [client, server]
        while left:
            for each in tuple(left):
                try:
                    each.do_handshake()
                    left.remove(each)
                except SSL.WantReadError:
                    pass
        client.send(b"hello")
        assert server.recv(10) == b"hello"


def test_peerThatLeaves(ca: str) -> None:
    """A handshake that fails for another reason fails with OpenSSL's error."""
    client = clientTLS(ca=ca).connection()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    client.bio_write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(SSL.Error) as raised:
        client.do_handshake()
    assert not isinstance(raised.value, CertificateRefused)
    assert brief(Failure(raised.value)) == "TLS: wrong version number"


def test_shakenOnce(ca: str) -> None:
    """Asking for a handshake that is complete does nothing."""
    tls = clientTLS(ca=ca)
    client, server = connected(tls, Server(issued("a.internal")))
    shake(client, server)
    assert tls.handshakes == 1


def test_refusalsAreLikeErrorsOfOpenSSL() -> None:
    """Twisted's TLS looks into the queue of what a handshake raises."""
    refused = CertificateRefused("unknown ca")
    assert str(refused) == "unknown ca"
    assert refused.args[0][-1][-1] == "unknown ca"
    assert not _representsEOF(refused)


class Backends(NamedTuple):
    """What a backend may be like when it is connected to: two that are right."""

    right: Server
    restarted: Server
    wrong: Server


STEPS = st.lists(st.sampled_from([*Backends._fields, "replace", "cut"]), max_size=12)


@settings(deadline=None)
@given(STEPS, st.sampled_from(VERSIONS))
def test_whateverIsConnectedTo(steps: list[str], version: int) -> None:
    """
    Sessions let nobody in whose certificate is wrong, keep nobody out whose certificate
    is right, and go on with the one who began them.
    """
    with TemporaryDirectory() as directory:
        ca = written(Path(directory), "ca.pem", authority("ours").cert_pem)
        contexts = ClientContexts()
        tls = clientTLS("a.internal", contexts, ca=ca)
        backends = Backends(
            Server(issued("a.internal"), version),
            Server(issued("a.internal"), version),
            Server(issued("b.internal"), version),
        )
        last, cut = "", False
        for step in steps:
            if step == "replace":
                contexts.replace({})
                tls.prepare()
                last = ""
            elif step == "cut":
                cut = True
            elif step == "wrong":
                with pytest.raises(CertificateRefused):
                    connected(tls, backends.wrong)
            else:
                reused = tls.reused
                pair = connected(tls, getattr(backends, step))
                goesOn = tls.reused > reused
                assert goesOn == (step == last)
                if not cut:
                    exchange(*pair)
                    last = step
                elif goesOn:
                    # OpenSSL ends a session whose connection was cut.
                    last = ""
                cut = False
                del pair
