"""TLS towards clients: makes the connections that decrypt what they send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from .tlscontexts import Callbacks, Contexts, Rejecting, loadContexts
from .tlserrors import verifyWords
from .tlsoptions import ServerTLSOptions

if TYPE_CHECKING:
    from socket import SocketType


class ServerConnection(SSL.Connection):
    """
    The server's end of one TLS connection.

    @ivar contexts: What it chooses the certificate from.
    @ivar refused: Why lbproxy itself has refused the client, in a few words; empty
        otherwise.
    """

    refused = ""

    def __init__(self, contexts: Contexts, opened: SocketType | None) -> None:
        # OpenSSL does not keep alive what pyOpenSSL has given it to call.
        self.contexts = contexts
        # Only the descriptor is asked of the socket.
        super().__init__(contexts.default, opened)  # type: ignore[arg-type]


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """
    Makes the TLS connections of one listener.

    Connections that were made keep the certificates that were in use then.

    @ivar contexts: What new connections use.
    """

    _log = Logger()

    def __init__(self, options: ServerTLSOptions) -> None:
        """
        @raise TLSRefused: If a file cannot be read or used.
        """
        self.contexts = self.load(options)

    def load(self, options: ServerTLSOptions) -> Contexts:
        """
        Read all files of some options.  They are not used yet.

        @raise TLSRefused: If one of them cannot be read or used.
        """
        return loadContexts(options, Callbacks(self._named, self._verified))

    def connection(self, opened: SocketType | None) -> ServerConnection:
        """
        Make the connection of a client whose handshake is to begin.

        @param opened: The client's socket, which does not block; L{None} for a
            connection over memory.
        """
        made = ServerConnection(self.contexts, opened)
        made.set_accept_state()
        return made

    def serverConnectionForTLS(self, tlsProtocol: object) -> ServerConnection:
        """Make the connection for one of Twisted's TLS protocols."""
        return self.connection(None)

    def _named(self, connection: SSL.Connection) -> None:
        """Switch to the certificates for the name that the client asks for."""
        try:
            assert isinstance(connection, ServerConnection)
            name, contexts = nameOf(connection.get_servername()), connection.contexts
            context = contexts.contextOf(name) or contexts.rejecting
            if isinstance(context, Rejecting):
                connection.refused = f"unknown name {name}" if name else "no name"
            if context is not connection.get_context():
                connection.set_context(context)
        except Exception:
            # pyOpenSSL would print a traceback.
            self._log.failure("The certificate for a client could not be chosen")

    def _verified(
        self,
        connection: SSL.Connection,
        certificate: X509,
        error: int,
        depth: int,
        ok: int,
    ) -> bool:
        """Note why a client's certificate is refused."""
        if not ok and isinstance(connection, ServerConnection):
            connection.refused = f"the client's certificate: {verifyWords(error)}"
        return bool(ok)


def refusal(connection: SSL.Connection) -> str:
    """Why lbproxy has refused the client, in a few words; empty if it has not."""
    refused: str = getattr(connection, "refused", "")
    return refused


def nameOf(asked: bytes | None) -> str:
    """The name that a client asks for, in lower case; empty if it asks for none."""
    if not asked:
        return ""
    return asked.decode("ascii", "backslashreplace").lower().rstrip(".")
