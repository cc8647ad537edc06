"""
What a TLS listener makes of the protocols that its client offers; also, whether
Twisted still has to be reached into for it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from OpenSSL.crypto import FILETYPE_PEM
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, KeyPair
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory

from lbproxy.streams.alpn import ignoreOffers

# Twisted's own "tls:" asks pyOpenSSL for the issuer in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:X509.get_:DeprecationWarning")

NAMES = ["a.example", "b.example"]
OFFERS = [["h2"], ["h2", "http/1.1"], ["something-else"]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificates(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    for name in NAMES:
        pem = authority.issue_cert(name).private_key_and_cert_chain_pem
        pem.write_to_path(directory / f"{name}.pem")
    return directory


@pytest.fixture(params=["ssl", "tls"])
def endpoint(
    request: pytest.FixtureRequest, certificates: Path
) -> IStreamServerEndpoint:
    """What Twisted makes of a description, on a reactor that only takes notes."""
    pem = certificates / "a.example.pem"
    kind = request.param
    description = (
        f"{kind}:{certificates}:443"
        if kind.endswith("tls")
        else f"{kind}:443:privateKey={pem}:certKey={pem}"
    )
    return serverFromString(MemoryReactorClock(), description)


@pytest.fixture
def greet(
    authority: trustme.CA,
) -> Callable[[IStreamServerEndpoint, str, list[str]], str | None]:
    """
    A handshake with an endpoint, by name, with an offer; what was agreed upon.
    """

    def greet(
        endpoint: IStreamServerEndpoint, name: str, offered: list[str]
    ) -> str | None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if offered:
            context.set_alpn_protocols(offered)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname=name)
        transport = StringTransport()
        server = secured(endpoint).buildProtocol(None)
        server.makeConnection(transport)
        for _ in range(3):
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
                assert client.getpeercert()["subjectAltName"] == (("DNS", name),)
                return client.selected_alpn_protocol()
            server.dataReceived(outgoing.read())
            incoming.write(transport.value())
            transport.clear()
        raise AssertionError("the handshake does not end")

    return greet


def secured(endpoint: IStreamServerEndpoint) -> TLSMemoryBIOFactory:
    """The TLS in what an endpoint listens with."""
    while inner := getattr(endpoint, "_wrappedEndpoint", None):
        endpoint = inner
    endpoint.listen(Factory.forProtocol(Protocol))
    reactor = getattr(endpoint, "_reactor", None) or endpoint.endpoint._reactor
    if reactor.sslServers:
        _, factory, options, *_ = reactor.sslServers[-1]
        return TLSMemoryBIOFactory(options, False, factory, reactor)
    return reactor.tcpServers[-1][1]


def test_twistedStillRefuses(endpoint, greet) -> None:
    """
    Left alone, Twisted refuses every client that offers anything.  Once this
    fails, lbproxy.streams.alpn is needless.
    """
    assert greet(endpoint, "a.example", []) is None
    with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):
        greet(endpoint, "a.example", ["h2"])


@pytest.mark.parametrize("offered", [[], *OFFERS])
def test_ignored(endpoint, greet, offered: list[str]) -> None:
    """Whatever is offered, also again and again, nothing is agreed upon."""
    ignoreOffers(endpoint)
    for _ in range(3):
        assert greet(endpoint, "a.example", offered) is None


@pytest.mark.parametrize("endpoint", ["tls"], indirect=True)
def test_everyName(endpoint, greet) -> None:
    """It is the same under each certificate's name, however they take turns."""
    ignoreOffers(endpoint)
    for name in NAMES * 2:
        assert greet(endpoint, name, ["h2"]) is None


def test_protocolsOfItsOwn(certificates: Path, greet) -> None:
    """A listener that somebody made to speak a protocol goes on to speak it."""
    pem = (certificates / "a.example.pem").read_bytes()
    key, certificate = KeyPair.load(pem, FILETYPE_PEM), Certificate.loadPEM(pem)
    options = CertificateOptions(
        key.original, certificate.original, acceptableProtocols=[b"h2"]
    )
    endpoint = SSL4ServerEndpoint(MemoryReactorClock(), 443, options)
    ignoreOffers(endpoint)
    assert greet(endpoint, "a.example", ["http/1.1", "h2"]) == "h2"


def test_notTLS() -> None:
    """A plain listener stays as it was."""
    plain = serverFromString(MemoryReactorClock(), "tcp:80")
    before = dict(vars(plain))
    ignoreOffers(plain)
    assert vars(plain) == before
