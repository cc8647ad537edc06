"""The certificate of the contenders that terminate TLS, and what they have to speak."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import attrs
import trustme

from .processes import HOST, Broken

VERSION = "TLSv1.3"
"""The version of TLS that all of them speak."""

CIPHER = "TLS_AES_256_GCM_SHA384"
"""
The cipher that all of them speak: OpenSSL's first one, which wrk, ab and Python offer
first too.
"""


@attrs.frozen
class Certificate:
    """
    A certificate with a key for ECDSA on the curve P-256, signed by an authority of
    its own.

    @ivar chain: The file with the certificate.
    @ivar key: The file with its key.
    @ivar both: The file with both.
    """

    chain: Path
    key: Path
    both: Path

    @classmethod
    def made(cls, directory: Path) -> Certificate:
        """A new one, whose files are in the directory."""
        issued = trustme.CA().issue_cert(HOST, key_type=trustme.KeyType.ECDSA)
        made = cls(*(directory / each for each in ("chain.pem", "key.pem", "both.pem")))
        for pem in issued.cert_chain_pems:
            pem.write_to_path(made.chain, append=True)
        issued.private_key_pem.write_to_path(made.key)
        issued.private_key_and_cert_chain_pem.write_to_path(made.both)
        return made


def client() -> ssl.SSLContext:
    """What a client needs that trusts everybody, as wrk and ab do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check(name: str, port: int, patience: float = 10.0) -> None:
    """
    Look whether a contender speaks what all of them have to.

    @param name: What the error calls it.
    @param port: The contender's, on the loopback interface.
    @param patience: Seconds that it may take.
    @raise Broken: If it speaks another version or cipher, or no TLS.
    """
    try:
        with (
            socket.create_connection((HOST, port), patience) as plain,
            client().wrap_socket(plain) as secure,
        ):
            cipher = secure.cipher()
            spoken = (secure.version(), cipher[0] if cipher else None)
    except OSError as error:
        raise Broken(f"{name}: speaks no TLS: {error}") from None
    if spoken != (VERSION, CIPHER):
        expected = f"{VERSION} with {CIPHER}"
        raise Broken(f"{name}: speaks {spoken[0]} with {spoken[1]}, not {expected}")
