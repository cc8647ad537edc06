"""Reads from a TLS connection what its handshake has agreed on."""

from __future__ import annotations

from cryptography import x509
from OpenSSL import SSL

from ..words.tls import TLSFacts
from .tlsserver import nameOf


def tlsFacts(connection: SSL.Connection) -> TLSFacts:
    """
    What is known of the client's TLS.

    @param connection: A server's, whose handshake is complete.
    """
    certificate = connection.get_peer_certificate(as_cryptography=True)
    return TLSFacts(
        version=connection.get_protocol_version_name(),
        cipher=connection.get_cipher_name() or "",
        serverName=nameOf(connection.get_servername()),
        alpn=connection.get_alpn_proto_negotiated().decode("ascii", "replace"),
        # pyOpenSSL has no method for it.
        resumed=bool(SSL._lib.SSL_session_reused(connection._ssl)),  # type: ignore[attr-defined]
        clientVerified=certificate is not None,
        clientSubject="" if certificate is None else _subject(certificate),
        clientNames=() if certificate is None else _names(certificate),
    )


def _subject(certificate: x509.Certificate) -> str:
    try:
        return certificate.subject.rfc4514_string()
    except ValueError:
        # OpenSSL reads names that cryptography does not.
        return ""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    kinds = (x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name)
    return tuple(
        str(each) for kind in kinds for each in names.get_values_for_type(kind)
    )
