"""
Why a TLS handshake over one of Twisted's transports was not completed.

The endpoints C{tls:} say of a certificate no more than that its verification failed.
But the alert that they send says why.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import SSL_CB_WRITE_ALERT, Connection
from OpenSSL.SSL import Error as TLSError
from twisted.internet.error import ConnectionClosed, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from .refusals import CertificateRefused
from .tlsclient import ClientConnection

_WORDS = {
    42: "bad certificate",
    43: "unsupported certificate",
    44: "certificate revoked",
    45: "certificate expired",
    46: "unacceptable certificate",
    48: "unknown ca",
}
"""The alerts that are about certificates (RFC 8446, section 6.2)."""


class LeftHandshake(ConnectionClosed):
    """The peer closed or reset the connection during the TLS handshake."""

    def __str__(self) -> str:
        return "it left during the TLS handshake"


class Witness:
    """
    Sees a TLS handshake, and says why it was not completed.

    It notes the alert that the connection sends, if that does not tell by itself.
    """

    def __init__(self) -> None:
        self._alert = 0

    def watch(self, transport: Any) -> None:
        """Begin with the handshake on a transport."""
        getHandle = getattr(transport, "getHandle", None)
        connection = None if getHandle is None else getHandle()
        if isinstance(connection, Connection) and not isinstance(
            connection, ClientConnection
        ):
            connection.set_info_callback(self._note)

    def explained(self, reason: Failure) -> Failure:
        """The reason why the connection was lost, in better words if there are any."""
        if reason.check(ConnectionDone, ConnectionLost):
            # Twisted makes one of the other here.
            return Failure(LeftHandshake())
        words = _WORDS.get(self._alert)
        if words is None or type(reason.value) is not TLSError:
            return reason
        return Failure(CertificateRefused(words))

    def _note(self, connection: Connection, where: int, code: int) -> None:
        if where == SSL_CB_WRITE_ALERT:
            self._alert = code & 0xFF
