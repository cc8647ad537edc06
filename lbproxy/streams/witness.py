"""
Why a TLS connection of Twisted's refuses the certificate of its peer.

The endpoints C{tls:} say no more than that its verification failed.  But the alert
that they send says why.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import SSL_CB_WRITE_ALERT, Connection
from OpenSSL.SSL import Error as TLSError
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


class Witness:
    """Notes the alert that a TLS connection sends."""

    def __init__(self) -> None:
        self._alert = 0

    def watch(self, transport: Any) -> None:
        """Begin with the handshake on a transport; do nothing if it tells by itself."""
        getHandle = getattr(transport, "getHandle", None)
        connection = None if getHandle is None else getHandle()
        if isinstance(connection, Connection) and not isinstance(
            connection, ClientConnection
        ):
            connection.set_info_callback(self._note)

    def explained(self, reason: Failure) -> Failure:
        """The reason why the connection was lost, in better words if there are any."""
        words = _WORDS.get(self._alert)
        if words is None or type(reason.value) is not TLSError:
            return reason
        return Failure(CertificateRefused(words))

    def _note(self, connection: Connection, where: int, code: int) -> None:
        if where == SSL_CB_WRITE_ALERT:
            self._alert = code & 0xFF
