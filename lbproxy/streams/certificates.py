"""
Loads certificates and keys from PEM files, and refuses them with one clear line.

A file is read once, and all that is said of it comes from what was read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeVar

from attrs import Factory, field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from ..words.options import REQUIRED, declared
from ..words.values import text

_Parsed = TypeVar("_Parsed")

WARN_WITHIN = 30
"""The days before a certificate expires in which that is worth a warning."""


class TLSRefused(Exception):
    """
    Something that TLS was to be configured with cannot be used.

    C{str} of it is one line that names the file or the value.

    @ivar keys: The keys of the configuration that lead to it, from C{tls} on.
    @ivar value: What was written there.
    @ivar reason: What is wrong with it.
    @ivar forbidden: Whether this user may not read the file.
    """

    def __init__(
        self,
        keys: tuple[str | int, ...],
        value: str,
        reason: str,
        forbidden: bool = False,
    ) -> None:
        super().__init__(f"{value}: {reason}")
        self.keys = keys
        self.value = value
        self.reason = reason
        self.forbidden = forbidden


@frozen
class CertificateFiles:
    """
    Where a certificate and its key are.

    @ivar chain: The path of a PEM file: the certificate, and then those that lead from
        it to a root.
    @ivar key: The path of a PEM file with its private key, not encrypted.
    """

    chain: str = field(
        metadata=declared(
            text("a path"),
            REQUIRED,
            "A PEM file with the certificate, and after it those of its issuers.",
        )
    )
    key: str = field(
        metadata=declared(
            text("a path"), REQUIRED, "A PEM file with its private key, not encrypted."
        )
    )


@frozen(eq=False)
class Certificate:
    """
    A certificate that was loaded, with its key.

    @ivar names: The names it is for, in lower case: exact ones, and C{*.example.com}.
    @ivar kind: The kind of its key: of two certificates for a name, one can be used for
        each kind.
    @ivar expires: When it expires.
    """

    files: CertificateFiles
    leaf: x509.Certificate
    key: Any
    names: tuple[str, ...]
    kind: str
    expires: datetime

    @property
    def fingerprint(self) -> bytes:
        """What no other certificate has."""
        return self.leaf.fingerprint(SHA256())

    def daysLeft(self, now: datetime) -> float:
        """In how many days it expires; less than 0 if it has expired."""
        return (self.expires - now) / timedelta(days=1)

    def expiry(self, now: datetime) -> str:
        """When it expires, or that it has, for a line that names it."""
        left, day = self.daysLeft(now), f"{self.expires:%Y-%m-%d}"
        if left < 0:
            return f"it has expired on {day}"
        days = "1 day" if 1 <= left < 2 else f"{int(left)} days"
        return f"it expires in {days}, on {day}"


@frozen
class Reading:
    """Reads files, each once."""

    contents: dict[str, bytes] = Factory(dict)

    def read(self, path: str, keys: tuple[str | int, ...]) -> bytes:
        """
        The content of a file.

        @param keys: The keys that the path was written at.
        @raise TLSRefused: If it cannot be read.
        """
        if path not in self.contents:
            try:
                if not S_ISREG(os.stat(path).st_mode):
                    # To open a FIFO waits until somebody writes to it.
                    raise TLSRefused(keys, path, "it is not a file")
                self.contents[path] = Path(path).read_bytes()
            except (OSError, ValueError) as error:
                # Python raises ValueError for a path that no file can have.
                forbidden = isinstance(error, PermissionError)
                reason = f"cannot be read: {getattr(error, 'strerror', error)}"
                raise TLSRefused(keys, path, reason, forbidden) from None
        return self.contents[path]

    def parse(
        self,
        path: str,
        keys: tuple[str | int, ...],
        parse: Callable[[bytes], _Parsed],
        what: str,
    ) -> _Parsed:
        """
        What is in a file.

        @param what: What is expected in it, for the error.
        @raise TLSRefused: If it cannot be read, or has none.
        """
        content = self.read(path, keys)
        try:
            return parse(content)
        except (ValueError, UnsupportedAlgorithm):
            raise TLSRefused(keys, path, _fault(content, what)) from None


def loadCertificate(
    files: CertificateFiles, keys: tuple[str | int, ...], reading: Reading
) -> Certificate:
    """
    Load a certificate and its key.

    @param keys: The keys of the configuration that lead to it.
    @raise TLSRefused: If one of them cannot be read, or they do not belong together.
    """
    atChain, atKey = (*keys, "chain"), (*keys, "key")
    chain, names = reading.parse(files.chain, atChain, _chainOf, "certificate")
    try:
        key = reading.parse(
            files.key,
            atKey,
            lambda content: load_pem_private_key(content, None),
            "private key",
        )
    except TypeError:
        raise TLSRefused(
            atKey,
            files.key,
            'the key is encrypted; "openssl pkey" writes it without a password',
        ) from None
    leaf, public = chain[0], _public(key.public_key())
    if _public(leaf.public_key()) != public:
        reason = f"the key does not belong to the certificate in {files.chain}"
        if any(_public(each.public_key()) == public for each in chain):
            reason = f"its certificate is not the first one in {files.chain}"
        raise TLSRefused(atKey, files.key, reason)
    kind = type(leaf.public_key()).__name__
    return Certificate(files, leaf, key, names, kind, leaf.not_valid_after_utc)


def _chainOf(content: bytes) -> tuple[list[x509.Certificate], tuple[str, ...]]:
    """The certificates in a file, and the names of the first."""
    chain = x509.load_pem_x509_certificates(content)
    for each in chain:
        each.public_key()  # It may be of a kind that is not supported.
    return chain, namesOf(chain[0])


def loadAuthorities(
    path: str, keys: tuple[str | int, ...], reading: Reading
) -> list[x509.Certificate]:
    """
    Load the certificates of authorities, at least one.

    @raise TLSRefused: If that is not possible.
    """
    return reading.parse(path, keys, x509.load_pem_x509_certificates, "certificate")


_CRL = b"-----BEGIN X509 CRL-----"


def loadRevocations(
    path: str, keys: tuple[str | int, ...], reading: Reading
) -> list[x509.CertificateRevocationList]:
    """
    Load certificate revocation lists, at least one.

    @raise TLSRefused: If that is not possible.
    """

    def parse(content: bytes) -> list[x509.CertificateRevocationList]:
        _, *lists = content.split(_CRL)
        if not lists:
            raise ValueError
        return [x509.load_pem_x509_crl(_CRL + each) for each in lists]

    return reading.parse(path, keys, parse, "certificate revocation list")


def namesOf(leaf: x509.Certificate) -> tuple[str, ...]:
    """
    The names that a certificate is for, in lower case.

    They are the DNS names of its subjectAltName.  Only if it has no subjectAltName, it
    is the common name of its subject.
    """
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        common = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = [str(each.value) for each in common]
    else:
        names = extension.value.get_values_for_type(x509.DNSName)
    return tuple(dict.fromkeys(each.lower().rstrip(".") for each in names))


def _public(key: Any) -> bytes:
    """A public key as bytes that are the same for the same key."""
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


_LABELS = {
    "certificate": b"CERTIFICATE-----",
    "private key": b"PRIVATE KEY-----",
    "certificate revocation list": b"X509 CRL-----",
}
"""How the line ends that begins each of them in a PEM file."""


def _fault(content: bytes, what: str) -> str:
    if not content.strip():
        return "the file is empty"
    if b"-----BEGIN " not in content:
        return f"it is not PEM; expected a {what}"
    if _LABELS[what] not in content:
        return f"there is no {what} in it"
    return f"the {what} in it cannot be read"
