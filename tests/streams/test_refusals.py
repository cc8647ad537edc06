"""Why certificates are refused is said in words, whatever the reason is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography import x509
from handshakes import issued
from OpenSSL.SSL import X509VerificationCodes as Codes
from service_identity import VerificationError
from service_identity.exceptions import DNSMismatch, IPAddressMismatch
from service_identity.hazmat import DNS_ID, IPAddress_ID
from twisted.python.failure import Failure

from lbproxy.proxy.reasons import brief
from lbproxy.streams.refusals import chainTrouble, otherNames

PAGE = Path(__file__).parents[2] / "docs" / "tls-backends.rst"


@pytest.mark.parametrize(
    ("number", "depth", "words"),
    [
        (Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT, 0, "self-signed certificate"),
        (Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN, 2, "unknown ca"),
        (Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0, "unknown ca"),
        (Codes.ERR_CERT_HAS_EXPIRED, 0, "certificate expired"),
        (Codes.ERR_CERT_HAS_EXPIRED, 1, "certificate expired, of its ca"),
        (Codes.ERR_CERT_CHAIN_TOO_LONG, 0, "cert chain too long"),
        (Codes.ERR_PERMITTED_VIOLATION, 1, "permitted violation, of its ca"),
        (98765, 0, "certificate error 98765"),
    ],
)
def test_chains(number: int, depth: int, words: str) -> None:
    """Common faults have words of ours, others nearly those of OpenSSL."""
    assert chainTrouble(number, depth) == words


def test_thePageTells() -> None:
    """The words of ours for common faults are on the page."""
    shown = re.findall(r"^   \* - ``(.*)``$", PAGE.read_text(), re.MULTILINE)
    assert otherNames("a.internal", certificateOf("b.internal")) in shown
    for number in (
        Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
        Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        Codes.ERR_CERT_HAS_EXPIRED,
        Codes.ERR_CERT_NOT_YET_VALID,
    ):
        assert chainTrouble(number, 0) in shown


def certificateOf(*names: str) -> x509.Certificate:
    """The certificate alone."""
    return x509.load_pem_x509_certificate(issued(*names).cert_chain_pems[0].bytes())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            VerificationError(errors=[DNSMismatch(mismatched_id=DNS_ID("a.internal"))]),
            "its certificate is not for a.internal",
        ),
        (
            VerificationError(
                errors=[IPAddressMismatch(mismatched_id=IPAddress_ID("10.0.0.1"))]
            ),
            "its certificate is not for 10.0.0.1",
        ),
        (VerificationError(errors=[]), "its certificate is for another name"),
    ],
)
def test_namesOfTwisted(error: VerificationError, words: str) -> None:
    """What Twisted raises for a name tells which one it is."""
    assert brief(Failure(error)) == words
