"""The PROXY header that a connection to a backend begins with."""

from __future__ import annotations

from cryptography.x509 import Name
from cryptography.x509.oid import NameOID

from ..streams.proxyprotocol.build import LOCAL_V2, headerV1, headerV2
from ..streams.proxyprotocol.values import ClientFlags, ClientTLS, Details
from ..words.connection import Address, Connection
from ..words.tls import TLSFacts


def headerOf(connection: Connection, version: str) -> bytes:
    """
    Write the header that passes a client's addresses on.

    In version 2 it also says what the client's TLS handshake with lbproxy has agreed
    on, if there was one.

    @param version: C{"v1"} or C{"v2"}.
    """
    if version == "v1":
        return headerV1(connection.client, connection.local)
    tls = connection.tls
    if tls is None:
        return headerV2(connection.client, connection.local)
    details = Details(
        alpn=tls.alpn.encode(),
        authority=tls.serverName,
        uniqueId=str(connection.id).encode(),
        tls=_clientTLS(tls),
    )
    return headerV2(connection.client, connection.local, details)


def _clientTLS(tls: TLSFacts) -> ClientTLS:
    flags = ClientFlags.TLS
    if tls.clientVerified:
        flags |= ClientFlags.SESSION_CERTIFICATE
        if not tls.resumed:
            flags |= ClientFlags.CERTIFICATE
    return ClientTLS(
        flags,
        verify=0 if tls.clientVerified else 1,
        version=tls.version,
        commonName=_commonName(tls.clientSubject),
        cipher=tls.cipher,
    )


def _commonName(subject: str) -> str:
    """
    The common name in the subject of a certificate; empty if it has none.

    @param subject: RFC 4514 text.
    """
    try:
        names = Name.from_rfc4514_string(subject).get_attributes_for_oid(
            NameOID.COMMON_NAME
        )
    except ValueError:
        return ""
    return str(names[0].value) if names else ""


def headerOfOwn(local: Address, remote: Address, version: str) -> bytes:
    """
    Write the header of a connection that has no client, such as a health check.

    @param local: The connection's own address.
    @param remote: The address that it has connected to.
    @param version: C{"v1"} or C{"v2"}.
    """
    # In version 1 only the two addresses say so, since some receivers refuse UNKNOWN.
    return headerV1(local, remote) if version == "v1" else LOCAL_V2
