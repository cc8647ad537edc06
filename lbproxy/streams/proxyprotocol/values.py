"""What a PROXY header says, as plain values."""

from __future__ import annotations

from enum import IntFlag

from attrs import field, frozen

from ...words.connection import Address


class BadHeader(ValueError):
    """
    The bytes are no PROXY header, or a malformed one.  The text is one line, in which
    what the peer sent is escaped.
    """


class ClientFlags(IntFlag):
    """
    What the proxy knows of the client's TLS (section 2.2.6).

    @cvar TLS: The client connected over TLS.
    @cvar CERTIFICATE: It sent a certificate over this connection.
    @cvar SESSION_CERTIFICATE: It sent one at least once in the TLS session that this
        connection belongs to.
    """

    TLS = 0x01
    CERTIFICATE = 0x02
    SESSION_CERTIFICATE = 0x04


_ANY_CERTIFICATE = ClientFlags.CERTIFICATE | ClientFlags.SESSION_CERTIFICATE


@frozen
class ClientTLS:
    """
    The TLS between the client and the proxy: the TLV PP2_TYPE_SSL (section 2.2.6).

    Texts are empty if they are not known.

    @ivar flags: What of it there was; bits without a name are kept.
    @ivar verify: 0 if nothing was wrong with the client's certificate, else a number of
        the proxy's own, often OpenSSL's code for what was: 0 to 2**32 - 1.  HAProxy 2.8
        says 0 also if there was none; L{verified} takes that into account.
    @ivar version: The version of TLS, such as C{TLSv1.3}; ASCII.
    @ivar commonName: The common name of the client's certificate.
    @ivar cipher: The name of the cipher, such as C{TLS_AES_256_GCM_SHA384}; ASCII.
    @ivar signature: How the proxy's own certificate is signed, such as C{RSA-SHA256};
        ASCII.
    @ivar key: The kind of that certificate's key, such as C{RSA2048}; ASCII.
    @ivar others: Each further sub-TLV: its type, 0 to 255, and its value.
    """

    flags: ClientFlags = field(default=ClientFlags(0), converter=ClientFlags)
    verify: int = 1
    version: str = ""
    commonName: str = ""
    cipher: str = ""
    signature: str = ""
    key: str = ""
    others: tuple[tuple[int, bytes], ...] = ()

    @property
    def verified(self) -> bool:
        """Whether the client has sent a certificate, and it was verified."""
        return bool(self.flags & _ANY_CERTIFICATE) and not self.verify


@frozen
class Details:
    """
    What a header of version 2 says besides the addresses: its TLVs (section 2.2).

    What is empty is not there.

    @ivar alpn: The protocol that the client and the proxy agreed upon, or what the
        client offered; opaque (section 2.2.1).
    @ivar authority: The name of the server that the client asked for (section 2.2.2).
    @ivar uniqueId: An identifier of the connection, of the proxy's own making: at most
        128 bytes (section 2.2.5).
    @ivar tls: The client's TLS; L{None} if nothing is said about it.
    @ivar namespace: The network namespace that the client connected in; ASCII (section
        2.2.7).
    @ivar others: Each further TLV, of a type that is not known here or reserved for
        applications (section 2.2.8): its type, 0 to 255, and its value.
    """

    alpn: bytes = b""
    authority: str = ""
    uniqueId: bytes = b""
    tls: ClientTLS | None = None
    namespace: str = ""
    others: tuple[tuple[int, bytes], ...] = ()


@frozen
class Header:
    """
    A PROXY header.

    @ivar version: 1 or 2.
    @ivar length: How many bytes it has; what the client sent begins after them.
    @ivar client: The client's address.  It is L{None} if the addresses of the
        connection count that the header came on: the proxy itself is the client, or it
        does not know the addresses, or names them in a way that is not known here.
    @ivar local: The address that the client connected to; L{None} if C{client} is.
    @ivar relayed: False if the proxy itself is the client, as for a health check: the
        command LOCAL of version 2.
    @ivar datagram: Whether the client sent datagrams to the proxy.
    @ivar details: What else it says.
    """

    version: int
    length: int
    client: Address | None = None
    local: Address | None = None
    relayed: bool = True
    datagram: bool = False
    details: Details = Details()
