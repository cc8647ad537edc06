"""Why a certificate is refused, in a few words for the log and the record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cryptography import x509
from OpenSSL.SSL import Error as TLSError
from OpenSSL.SSL import X509VerificationCodes as Codes
from service_identity import VerificationError

_SHOWN = 3
"""Of how many names of a certificate is told."""

_TROUBLES = {
    Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "self-signed certificate",
    Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN: "unknown ca",
    Codes.ERR_UNABLE_TO_GET_ISSUER_CERT: "unknown ca",
    Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "unknown ca",
    Codes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: "unknown ca",
    Codes.ERR_CERT_UNTRUSTED: "unknown ca",
    Codes.ERR_CERT_HAS_EXPIRED: "certificate expired",
    Codes.ERR_CERT_NOT_YET_VALID: "certificate not yet valid",
    Codes.ERR_CERT_REVOKED: "certificate revoked",
    Codes.ERR_INVALID_PURPOSE: "its certificate is not one of a server",
    Codes.ERR_INVALID_CA: "its certificate was issued by one that is not of a ca",
}

_NAMES = {
    number: name.removeprefix("ERR_").lower().replace("_", " ")
    for name, number in vars(Codes).items()
    if name.startswith("ERR_")
}


class CertificateRefused(TLSError):
    """
    The certificate of a TLS peer was refused.  Its text says why, in a few words.

    It is an error of TLS, so that whatever makes a handshake ends with it; and has a
    queue of one error, as those of OpenSSL have, whose reason Twisted looks at.
    """

    def __init__(self, reason: str) -> None:
        super().__init__([("lbproxy", "", reason)])
        self._reason = reason

    def __str__(self) -> str:
        return self._reason


def chainTrouble(number: int, depth: int) -> str:
    """
    Why OpenSSL does not accept a chain of certificates.

    @param number: The code of the error, such as C{X509VerificationCodes} has.
    @param depth: Which certificate it is about: 0 is that of the peer itself.
    """
    trouble = _TROUBLES.get(number)
    if trouble is None:
        trouble = _NAMES.get(number, f"certificate error {number}")
    return f"{trouble}, of its ca" if depth and "ca" not in trouble.split() else trouble


def nameTrouble(error: VerificationError) -> str:
    """Which name a certificate does not have, as Twisted's C{tls:} endpoints tell."""
    for each in error.errors:
        wanted = each.mismatched_id
        name = getattr(wanted, "hostname", None) or getattr(wanted, "ip", None)
        if isinstance(name, bytes):
            name = name.decode("ascii", "backslashreplace")
        return f"its certificate is not for {name}"
    return "its certificate is for another name"


def otherNames(wanted: str, certificate: x509.Certificate) -> str:
    """The trouble with a certificate that is not for a wanted name or address."""
    try:
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return f"its certificate is not for {wanted}; it has no subjectAltName"
    kinds: tuple[Any, ...] = (x509.DNSName, x509.IPAddress)
    names = [str(name) for k in kinds for name in found.value.get_values_for_type(k)]
    return f"its certificate is not for {wanted}{_but(names)}"


def _but(names: Iterable[str]) -> str:
    names = list(names)
    if not names:
        return ""
    more = len(names) - _SHOWN
    return f" but for {', '.join(names[:_SHOWN])}" + (
        f" and {more} more" if more > 0 else ""
    )
