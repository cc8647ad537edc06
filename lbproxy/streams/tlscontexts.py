"""
OpenSSL's contexts of a listener: one for each set of certificates.

A set is what one name is served with: a certificate for each kind of key.  All contexts
are alike in everything but the certificates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from attrs import frozen
from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from .certificates import (
    Certificate,
    Reading,
    TLSRefused,
    loadAuthorities,
    loadCertificate,
    loadRevocations,
)
from .tlsoptions import ServerTLSOptions

MODERN = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""
The ciphers of TLS 1.2 with forward secrecy and authenticated encryption: the
"intermediate" ones of Mozilla's Server Side TLS 5.7, without finite-field DHE.
"""

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

_SESSION = b"lbproxy"
"""
Names the sessions of this server.  OpenSSL resumes none with a client certificate
without such a name.
"""


class Rejecting(SSL.Context):
    """A context without a certificate: a handshake that switches to it fails."""


@frozen(eq=False)
class Trust:
    """The authorities of client certificates, and what they have revoked."""

    authorities: tuple[x509.Certificate, ...] = ()
    revocations: tuple[x509.CertificateRevocationList, ...] = ()

    def overdue(self, now: datetime) -> datetime | None:
        """
        When a newer revocation list should have come, if that time is past.

        OpenSSL accepts no certificate of its authority then.
        """
        due = [each.next_update_utc for each in self.revocations]
        return min(
            (each for each in due if each is not None and each < now), default=None
        )


def overdueWords(due: datetime) -> str:
    """What it means that a newer revocation list has not come, for a line."""
    return (
        f"a newer one was due on {due:%Y-%m-%d}; until it comes no certificate of its "
        "authority is accepted"
    )


@frozen(eq=False)
class Contexts:
    """
    The contexts that were made from files.

    @ivar named: The context of each name; C{*.example.com} for a wildcard.
    @ivar default: That of the first certificate.
    @ivar rejecting: That of unknown names; the default one unless they are rejected.
    @ivar certificates: What was loaded, in the order of the configuration.
    @ivar trust: The authorities of clients.
    @ivar content: A digest of all that was read.
    """

    named: Mapping[str, SSL.Context]
    default: SSL.Context
    rejecting: SSL.Context
    certificates: tuple[Certificate, ...]
    trust: Trust
    content: bytes

    def contextOf(self, name: str) -> SSL.Context | None:
        """The context for a name in lower case; L{None} if no certificate is for it."""
        found = self.named.get(name)
        if found is None:
            _, dot, parent = name.partition(".")
            found = self.named.get(f"*.{parent}") if dot else None
        return found


@frozen(eq=False)
class Callbacks:
    """
    What OpenSSL calls during a handshake.

    @ivar named: Called when the client's hello was read.
    @ivar verified: Called for each certificate of the client; see
        C{set_verify} of pyOpenSSL.
    """

    named: Callable[[SSL.Connection], None]
    verified: Callable[[SSL.Connection, X509, int, int, int], bool]


def loadContexts(options: ServerTLSOptions, callbacks: Callbacks) -> Contexts:
    """
    Read all files, and make the contexts.

    @raise TLSRefused: If one of them cannot be used.
    """
    reading = Reading()
    certificates = tuple(
        loadCertificate(files, ("certificates", at), reading)
        for at, files in enumerate(options.certificates)
    )
    trust = _trust(options, reading)
    made: dict[tuple[Certificate, ...], SSL.Context] = {}

    def contextOf(those: tuple[Certificate, ...]) -> SSL.Context:
        if those not in made:
            made[those] = _context(SSL.Context, options, trust, callbacks, those)
        return made[those]

    sets = _setsOf(certificates)
    first = certificates[0]
    default = contextOf(
        next((those for those in sets.values() if first in those), (first,))
    )
    rejecting = default
    if options.rejectUnknownNames:
        rejecting = _context(Rejecting, options, trust, callbacks, ())
    content = sha256()
    for path, read in reading.contents.items():
        content.update(f"{path}\0{len(read)}\0".encode("utf-8", "surrogateescape"))
        content.update(read)
    return Contexts(
        {name: contextOf(those) for name, those in sets.items()},
        default,
        rejecting,
        certificates,
        trust,
        content.digest(),
    )


def _setsOf(certificates: Iterable[Certificate]) -> dict[str, tuple[Certificate, ...]]:
    """For each name, the first certificate of each kind of key."""
    sets: dict[str, dict[str, Certificate]] = {}
    for each in certificates:
        for name in each.names:
            sets.setdefault(name, {}).setdefault(each.kind, each)
    return {name: tuple(kinds.values()) for name, kinds in sets.items()}


def _trust(options: ServerTLSOptions, reading: Reading) -> Trust:
    if not options.clientCa:
        return Trust()
    authorities = loadAuthorities(options.clientCa, ("client-ca",), reading)
    if not options.clientCrl:
        return Trust(tuple(authorities))
    revoked = loadRevocations(options.clientCrl, ("client-crl",), reading)
    return Trust(tuple(authorities), tuple(revoked))


def _context(
    make: type[SSL.Context],
    options: ServerTLSOptions,
    trust: Trust,
    callbacks: Callbacks,
    certificates: Iterable[Certificate],
) -> SSL.Context:
    context = make(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_VERSIONS[options.minimumVersion])
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    context.set_session_id(_SESSION)
    if options.ciphers:
        # Who names ciphers wants that order; otherwise clients know what they do well.
        context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
    try:
        context.set_cipher_list((options.ciphers or MODERN).encode())
    except SSL.Error:
        raise TLSRefused(
            ("ciphers",), options.ciphers, "OpenSSL knows no such cipher of TLS 1.2"
        ) from None
    for each in certificates:
        at = options.certificates.index(each.files)
        _useCertificate(context, each, ("certificates", at, "chain"))
    _askForCertificate(context, options, trust, callbacks)
    if options.alpn:
        context.set_alpn_select_callback(_chooser(options.alpn))
    context.set_tlsext_servername_callback(callbacks.named)
    return context


def _useCertificate(
    context: SSL.Context, certificate: Certificate, keys: tuple[str | int, ...]
) -> None:
    files = certificate.files
    try:
        # Each certificate has a chain of its own; for that the file is read again.
        context.use_certificate_chain_file(files.chain)
        context.use_privatekey(certificate.key)
        context.check_privatekey()
    except SSL.Error as error:
        said = error.args[0][-1][-1] if error.args and error.args[0] else "it changes"
        reason = f"OpenSSL does not take the certificate: {said}"
        raise TLSRefused(keys, files.chain, reason) from None


def _askForCertificate(
    context: SSL.Context,
    options: ServerTLSOptions,
    trust: Trust,
    callbacks: Callbacks,
) -> None:
    """Ask the client for a certificate, if one is wanted."""
    if options.clientCertificate == "none":
        return
    store = context.get_cert_store()
    assert store is not None
    # An authority that is not a root is trusted, too.
    flags = X509StoreFlags.PARTIAL_CHAIN
    for authority in trust.authorities:
        store.add_cert(X509.from_cryptography(authority))
        context.add_client_ca(authority)
    for revocations in trust.revocations:
        store.add_crl(revocations)
        flags |= X509StoreFlags.CRL_CHECK | X509StoreFlags.CRL_CHECK_ALL
    store.set_flags(flags)
    mode = SSL.VERIFY_PEER
    if options.clientCertificate == "required":
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    context.set_verify(mode, callbacks.verified)


def _chooser(
    protocols: Iterable[str],
) -> Callable[[SSL.Connection, list[bytes]], Any]:
    preferred = [each.encode() for each in protocols]

    def choose(connection: SSL.Connection, offered: list[bytes]) -> Any:
        for each in preferred:
            if each in offered:
                return each
        return SSL.NO_OVERLAPPING_PROTOCOLS

    return choose
