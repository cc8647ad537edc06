"""Says in a few words why a TLS handshake failed."""

from __future__ import annotations

from OpenSSL import SSL

CLOSED = "closed during the handshake"

_REASONS = {
    "http request": "not TLS: looks like HTTP",
    "https proxy request": "not TLS: looks like HTTP for a proxy",
    "wrong version number": "not TLS",
    "packet length too long": "not TLS",
    "record layer failure": "not TLS",
    "unknown protocol": "not TLS",
    "unsupported protocol": "unsupported protocol",
    "version too low": "unsupported protocol",
    "no shared cipher": "no shared cipher",
    "no suitable signature algorithm": "no shared signature algorithm",
    "no suitable key share": "no shared group",
    "no shared groups": "no shared group",
    "peer did not return a certificate": "no certificate from the client",
    "certificate verify failed": "the client's certificate: not valid",
    "unexpected eof while reading": CLOSED,
}
"""OpenSSL's reasons, in the words of the log."""

_ALERTS = {
    "unknown ca": "unknown ca",
    "bad certificate": "bad certificate",
    "certificate unknown": "certificate not accepted",
    "certificate expired": "certificate expired",
    "certificate revoked": "certificate revoked",
    "handshake failure": "handshake failure",
    "protocol version": "unsupported protocol",
    "no renegotiation": "no renegotiation",
    "user canceled": CLOSED,
}
"""What an alert of the client says, by what OpenSSL calls it."""

_VERIFY = {
    2: "unknown ca",
    3: "no revocation list of its issuer",
    9: "not valid yet",
    10: "certificate expired",
    12: "the revocation list has expired",
    18: "self-signed",
    19: "unknown ca",
    20: "unknown ca",
    21: "unknown ca",
    23: "certificate revoked",
    26: "not for clients",
    79: "not an authority's",
}
"""X509_V_ERR_* of OpenSSL's x509_vfy.h, in the words of the log."""


def verifyWords(error: int) -> str:
    """
    Why a certificate is not valid.

    @param error: One of OpenSSL's X509_V_ERR_*.
    """
    return _VERIFY.get(error, f"not valid (OpenSSL's error {error})")


def handshakeWords(
    error: BaseException | None, connection: SSL.Connection | None
) -> str:
    """
    Why the handshake with a client failed.

    @param error: What ended the connection.
    @param connection: The TLS connection, if it is known.
    """
    refused: str = getattr(connection, "refused", "")
    if refused:
        return refused
    if isinstance(error, SSL.Error) and not isinstance(
        error, SSL.SysCallError | SSL.ZeroReturnError
    ):
        return errorWords(error)
    return CLOSED


def errorWords(error: SSL.Error) -> str:
    """What OpenSSL says of an error, in a few words."""
    queue = error.args[0] if error.args else None
    if not isinstance(queue, list) or not queue:
        return CLOSED
    reasons = [str(each[-1]) for each in queue]
    for reason in reasons:
        if reason in _REASONS:
            return _REASONS[reason]
    for reason in reasons:
        _, found, said = reason.partition(" alert ")
        if found:
            return f"the client says: {_ALERTS.get(said, said)}"
    return f"TLS: {reasons[-1]}"
