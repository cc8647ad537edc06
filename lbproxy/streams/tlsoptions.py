"""The options of a listener that clients speak TLS to."""

from __future__ import annotations

import re

from attrs import field, frozen

from ..words.options import option
from ..words.values import boolean, matching, oneOf, wholeNumber
from .certificates import CertificateFiles

_PROTOCOL = re.compile(r"[!-~]{1,255}")
_CIPHERS = re.compile(r"[!-~]*")
_PATH = re.compile(r"[^\0]*")


def protocols(written: object) -> tuple[str, ...]:
    """Read a list of protocols (ALPN), which may be empty."""
    named = matching(_PROTOCOL, "")
    try:
        if isinstance(written, list | tuple):
            return tuple(dict.fromkeys(map(named, written)))
    except ValueError:
        pass
    raise ValueError('expected a list of protocols, such as ["h2", "http/1.1"]')


@frozen(kw_only=True)
class ServerTLSOptions:
    """
    How the clients of a listener speak TLS to it.

    @ivar certificates: At least one.  Which is used depends on the name that the client
        asks for; the first is used for others.
    @ivar clientCa: The path of the authorities of client certificates; empty for none.
    @ivar clientCertificate: C{"none"}, C{"optional"} or C{"required"}.
    @ivar alpn: The protocols, the preferred one first.
    @ivar minimumVersion: C{"1.2"} or C{"1.3"}.
    @ivar rejectUnknownNames: Whether a client fails that asks for a name that no
        certificate is for, or for none.
    @ivar ciphers: OpenSSL's list for TLS 1.2; empty for the modern ones.
    @ivar clientCrl: The path of the revocation lists; empty for none.
    @ivar maxHandshakes: The most handshakes under way at once; 0 for no limit.
    """

    certificates: tuple[CertificateFiles, ...] = field()
    clientCa: str = option(
        matching(_PATH, "a path"),
        "",
        "A PEM file with the authorities whose client certificates are accepted.",
    )
    clientCertificate: str = option(
        oneOf("none", "optional", "required"),
        "none",
        'Whether clients show a certificate: "none", "optional" or "required"; one '
        "that is shown has to be valid.",
    )
    alpn: tuple[str, ...] = option(
        protocols,
        [],
        "The protocols that are agreed on (ALPN), the preferred one first; a client "
        "that offers none of them is served without.",
    )
    minimumVersion: str = option(
        oneOf("1.2", "1.3"), "1.2", 'The oldest version of TLS: "1.2" or "1.3".'
    )
    rejectUnknownNames: bool = option(
        boolean,
        False,
        "Whether to refuse a client that asks for a name that no certificate is for, "
        "or for none; otherwise it gets the first certificate.",
    )
    ciphers: str = option(
        matching(_CIPHERS, "a list of ciphers as OpenSSL has it"),
        "",
        "The ciphers of TLS 1.2, as OpenSSL's list; empty for ECDHE with AES-GCM or "
        "ChaCha20.",
    )
    clientCrl: str = option(
        matching(_PATH, "a path"),
        "",
        "A PEM file with the revocation lists of these authorities.",
    )
    maxHandshakes: int = option(
        wholeNumber(0),
        0,
        "TLS handshakes under way at once; further ones wait their turn, within "
        "handshake-timeout. 0 is no limit.",
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all files."""
        named = [path for each in self.certificates for path in (each.chain, each.key)]
        more = filter(None, (self.clientCa, self.clientCrl))
        return tuple(dict.fromkeys((*named, *more)))

    def requireTogether(self) -> None:
        """
        Check what depends on something else.

        @raise ValueError: With one line that names the keys.
        """
        if self.clientCertificate != "none" and not self.clientCa:
            raise ValueError(
                f'client-certificate = "{self.clientCertificate}" needs client-ca'
            )
        if self.clientCa and self.clientCertificate == "none":
            raise ValueError(
                'client-ca needs client-certificate = "optional" or "required"'
            )
        if self.clientCrl and not self.clientCa:
            raise ValueError("client-crl needs client-ca")
