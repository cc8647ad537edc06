"""What a client's TLS handshake has agreed on."""

from __future__ import annotations

from attrs import frozen


@frozen
class TLSFacts:
    """
    What is known of a client's TLS after the handshake.

    @ivar version: The version of TLS, such as C{"TLSv1.3"}.
    @ivar cipher: OpenSSL's name of the cipher suite.
    @ivar serverName: The name of the server that the client asked for, in lower case;
        empty if it asked for none.
    @ivar alpn: The protocol that was agreed on; empty if none was.
    @ivar resumed: Whether an earlier session was resumed.
    @ivar clientVerified: Whether the client has shown a certificate.  A certificate
        that C{client-ca} does not vouch for ends the handshake, so each that is shown
        is verified.
    @ivar clientSubject: The subject of the client's certificate as RFC 4514 text.
    @ivar clientNames: The DNS names, URIs and mail addresses in its certificate.
    """

    version: str
    cipher: str
    serverName: str = ""
    alpn: str = ""
    resumed: bool = False
    clientVerified: bool = False
    clientSubject: str = ""
    clientNames: tuple[str, ...] = ()
