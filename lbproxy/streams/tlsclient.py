"""
TLS to a backend: its connections, the verification of its certificate, its sessions.

A connection is OpenSSL's, on a socket or on memory BIOs.  What makes its handshake
need not know how it is verified: C{do_handshake} raises L{CertificateRefused}.
"""

from __future__ import annotations

import socket
from typing import Any

from OpenSSL.SSL import Connection, Context, Session, WantReadError, WantWriteError
from OpenSSL.SSL import Error as TLSError
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from ..words.endpoints import isAddress
from ..words.tlsoptions import TLSOptions
from .clientcontexts import ClientContexts
from .refusals import CertificateRefused, otherNames


class ClientConnection(Connection):
    """
    The TLS connection to a backend.

    @ivar established: Whether its handshake is complete, and its peer verified.
    @ivar certified: Whether the peer has shown a certificate.  It shows none where a
        session goes on.
    @ivar trouble: Why the chain of certificates was refused; empty while it was not.
    @ivar resumes: Whether it offers to go on with a session.
    """

    established = False
    certified = False
    trouble = ""
    resumes = False

    def __init__(
        self, tls: ClientTLS, context: Context, opened: socket.SocketType | None
    ) -> None:
        """
        @param opened: A socket that is connected; L{None} for memory BIOs.
        """
        super().__init__(context, opened)  # type: ignore[arg-type]
        self._tls = tls

    def do_handshake(self) -> None:
        """
        Make the handshake, or go on with it; at its end verify the certificate.

        @raise CertificateRefused: If it is refused.
        @raise OpenSSL.SSL.Error: As for any connection.
        """
        try:
            super().do_handshake()
        except (WantReadError, WantWriteError):
            raise
        except TLSError:
            if self.trouble:
                raise CertificateRefused(self.trouble) from None
            raise
        if not self.established:
            self._tls.verify(self)
            self.established = True
            self._tls.counted(self)

    def shutdown(self) -> bool:
        """End it with a close_notify; its session may go on with another one."""
        if self.established:
            self._tls.keep(self)
        return super().shutdown()


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS:
    """
    Makes the TLS connections to one backend.

    The last session is kept, and offered to the next connection with the same
    context, which saves the certificates.

    @ivar handshakes: How many handshakes were completed.
    @ivar reused: How many of them went on with a session.
    """

    def __init__(
        self,
        contexts: ClientContexts,
        options: TLSOptions,
        name: str,
        resumes: bool = True,
    ) -> None:
        """
        @param name: The name or the IP address of the backend, which its certificate
            must be for.  A name is sent to it as well, unless it is empty.
        @param resumes: Whether sessions are kept.  Without, each handshake verifies
            the certificate that the backend has by then.
        @raise ValueError: If the certificate is to be verified and there is no name, or
            the name cannot be that of a host.
        """
        host = name.partition("%")[0]
        self._isAddress = isAddress(host)
        if not self._isAddress:
            host = host.removesuffix(".")
            try:
                host = host.encode("idna").decode() if not host.isascii() else host
            except UnicodeError:
                raise ValueError(f'"{name}" cannot be the name of a host') from None
        if options.verify and not host:
            raise ValueError("it has no host whose name could be verified")
        if options.verify and not self._isAddress:
            try:
                DNS_ID(host)
            except ValueError:
                raise ValueError(f'"{name}" cannot be the name of a host') from None
        self.handshakes = self.reused = 0
        self._contexts = contexts
        self._options = options
        self._name = host
        self._alpn = [each.encode() for each in options.alpn]
        self._resumes = resumes
        self._age = -1
        self._context: Context | None = None
        self._session: Session | None = None

    def prepare(self) -> Context:
        """
        Have the context ready, before there is anything to speak TLS over.

        @raise UnusableFile: If it has to be made, and a file of the options cannot be
            used.
        """
        context = self._context
        if context is None or self._age != self._contexts.age:
            context = self._context = self._contexts.of(self._options)
            self._age = self._contexts.age
            self._session = None
        return context

    def connection(self, opened: socket.SocketType | None = None) -> ClientConnection:
        """
        Make a connection, which has not begun its handshake.

        @param opened: A socket that is connected; L{None} for memory BIOs.
        @raise UnusableFile: As for L{prepare}; not if that was called before.
        """
        context = self._context or self.prepare()
        connection = ClientConnection(self, context, opened)
        if self._name and not self._isAddress:
            connection.set_tlsext_host_name(self._name.encode())
        if self._alpn:
            connection.set_alpn_protos(self._alpn)
        if self._session is not None:
            connection.set_session(self._session)
            connection.resumes = True
        connection.set_connect_state()
        return connection

    def clientConnectionForTLS(self, tlsProtocol: object) -> ClientConnection:
        """Make a connection on memory BIOs, for a TLS protocol of Twisted's."""
        return self.connection()

    # Called by its connections, or by what uses one that has its own do_handshake.

    def verify(self, connection: Connection) -> None:
        """
        Verify, after the handshake, that the certificate is for the backend's name.
        OpenSSL has verified its chain within the handshake.

        A session that goes on was verified when it began.

        @raise CertificateRefused: If it is not.
        """
        if not self._options.verify or _goesOn(connection):
            return
        verifies = verify_ip_address if self._isAddress else verify_hostname
        try:
            verifies(connection, self._name)
        except (VerificationError, CertificateError):
            trouble = self._otherNames(connection)
        except Exception as error:
            # A certificate may hold anything, and a program in OpenSSL's place would
            # not expect other errors than OpenSSL's.
            trouble = f"its certificate cannot be read: {error}"
        else:
            return
        raise CertificateRefused(trouble)

    def counted(self, connection: Connection) -> None:
        """Count a handshake that is complete."""
        self.handshakes += 1
        if _goesOn(connection):
            self.reused += 1

    def keep(self, connection: Connection) -> None:
        """
        Keep the session of a connection that is established, for the next one.

        TLS 1.3 tells of it after the handshake: so this is done when the connection is
        closed, or the first data has come.
        """
        if self._resumes and connection.get_context() is self._context:
            self._session = connection.get_session()

    def _otherNames(self, connection: Connection) -> str:
        certificate: Any = connection.get_peer_certificate(as_cryptography=True)
        try:
            return otherNames(self._name, certificate)
        except Exception as error:
            return f"its certificate cannot be read: {error}"


def _goesOn(connection: Any) -> bool:
    """Whether a connection that is established goes on with a session."""
    return bool(connection.resumes and not connection.certified)
