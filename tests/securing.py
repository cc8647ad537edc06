"""Certificates in files, and TLS handshakes in memory."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_pem_private_key,
)
from OpenSSL import SSL

from lbproxy.streams.certificates import CertificateFiles
from lbproxy.streams.tlserrors import handshakeWords
from lbproxy.streams.tlsfacts import tlsFacts
from lbproxy.streams.tlsserver import ServerConnection, ServerTLS, refusal
from lbproxy.words.tls import TLSFacts

ECDSA, RSA = trustme.KeyType.ECDSA, trustme.KeyType.RSA


class Files:
    """
    An authority, and files with the certificates that it issues.

    @ivar root: The path of the authority's own certificate.
    """

    def __init__(self, directory: Path, authority: trustme.CA | None = None) -> None:
        self.directory = directory
        self.authority = authority or trustme.CA()
        self.root = str(directory / "root.pem")
        self.authority.cert_pem.write_to_path(self.root)

    def issue(
        self,
        *names: str,
        to: str = "",
        kind: trustme.KeyType = ECDSA,
        until: datetime | None = None,
        common: str | None = None,
    ) -> CertificateFiles:
        """
        Issue a certificate.

        @param to: The stem of the files' names; by default the first name.
        """
        issued = self.authority.issue_cert(
            *names, key_type=kind, not_after=until, common_name=common
        )
        stem = self.directory / (to or names[0].replace("*", "any"))
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        files = CertificateFiles(f"{stem}.pem", f"{stem}.key")
        Path(files.chain).write_bytes(chain)
        issued.private_key_pem.write_to_path(files.key)
        return files

    def revoking(self, *revoked: CertificateFiles) -> str:
        """The path of a list of the authority that revokes some certificates."""
        issuer = x509.load_pem_x509_certificate(self.authority.cert_pem.bytes())
        key: Any = load_pem_private_key(self.authority.private_key_pem.bytes(), None)
        now = datetime.now(UTC)
        revoking = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(now - timedelta(days=1))
            .next_update(now + timedelta(days=1))
        )
        for each in revoked:
            serial = x509.load_pem_x509_certificate(
                Path(each.chain).read_bytes()
            ).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial)
            revoking = revoking.add_revoked_certificate(
                entry.revocation_date(now).build()
            )
        path = self.directory / "revoked.pem"
        path.write_bytes(revoking.sign(key, SHA256()).public_bytes(Encoding.PEM))
        return str(path)

    def client(
        self,
        certificate: CertificateFiles | None = None,
        version: str = "",
        alpn: tuple[str, ...] = (),
        ciphers: str = "",
    ) -> ssl.SSLContext:
        """
        A client that trusts the authority.

        @param version: The only version of TLS that it speaks.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        if certificate is not None:
            context.load_cert_chain(certificate.chain, certificate.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if ciphers:
            context.set_ciphers(ciphers)
        if version:
            only = ssl.TLSVersion["TLSv" + version.replace(".", "_")]
            context.minimum_version = context.maximum_version = only
        return context


@frozen
class Shaken:
    """
    What became of a handshake.

    @ivar facts: What the server knows; L{None} if the handshake has failed.
    @ivar words: Why it has failed, as the log says it; empty if it has not.
    @ivar certificate: The names in the server's certificate, if the client took it.
    """

    facts: TLSFacts | None
    words: str
    client: ssl.SSLObject
    refused: str

    @property
    def names(self) -> list[str]:
        """The names in the server's certificate."""
        certificate = self.client.getpeercert() or {}
        return [str(each[1]) for each in certificate.get("subjectAltName", ())]


def shake(
    server: ServerTLS,
    context: ssl.SSLContext,
    name: str | None = "a.example",
    session: ssl.SSLSession | None = None,
) -> Shaken:
    """A handshake in memory of one of Python's clients with a server."""
    return shakeWith(server.connection(None), context, name, session)


def shakeWith(
    connection: ServerConnection,
    context: ssl.SSLContext,
    name: str | None,
    session: ssl.SSLSession | None = None,
) -> Shaken:
    """A handshake with a connection that a server has made."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    if name is None:
        context.check_hostname = False
    client = context.wrap_bio(incoming, outgoing, server_hostname=name, session=session)
    error: SSL.Error | None = None
    done = False
    for _ in range(5):
        with suppress(ssl.SSLError):
            client.do_handshake()
            client.read(1)  # Tickets, or an alert.
        if sent := outgoing.read():
            connection.bio_write(sent)
        if not done and error is None:
            done, error = _step(connection)
        for each in _written(connection):
            incoming.write(each)
    facts = tlsFacts(connection) if done else None
    words = "" if done else handshakeWords(error, connection)
    return Shaken(facts, words, client, refusal(connection))


def said(server: ServerTLS, first: bytes) -> str | None:
    """
    Why the handshake of a client fails that sends this first.

    @return: L{None} if more is waited for.
    """
    connection = server.connection(None)
    connection.bio_write(first)
    done, error = _step(connection)
    assert not done
    return None if error is None else handshakeWords(error, connection)


def _step(connection: ServerConnection) -> tuple[bool, SSL.Error | None]:
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return False, None
    except SSL.Error as error:
        return False, error
    return True, None


def _written(connection: ServerConnection) -> Iterator[bytes]:
    with suppress(SSL.WantReadError):
        while True:
            yield connection.bio_read(65536)
