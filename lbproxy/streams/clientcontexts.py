"""
The TLS contexts for backends: trusted authorities, a certificate, versions and ciphers.

A context is made from its files once, for all backends with the same options.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from ..causes import cause
from ..words.place import shown
from ..words.tlsoptions import TLSOptions
from .refusals import chainTrouble

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!aDSS"
"""
For TLS 1.2: forward secrecy and authenticated encryption only, as in the
"intermediate" configuration of Mozilla, https://wiki.mozilla.org/Security/Server_Side_TLS.
"""

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

_RECENT = 16
"""How many contexts live on: to read the 140 authorities of a system takes 6 ms."""

_Found = TypeVar("_Found")


class UnusableFile(Exception):
    """
    A file of the TLS options cannot be used.

    @ivar key: The key that names the file.
    @ivar path: Its path.
    @ivar reason: Why it cannot be used, in a few words.
    """

    def __init__(self, key: str, path: str, reason: str) -> None:
        super().__init__(f"tls.{key} = {shown(path)}: {reason}")
        self.key = key
        self.path = path
        self.reason = reason


class ClientContexts:
    """
    The contexts of one process, which its backends and their checks share.

    A context lives as long as a backend has it.  Those that were used first most
    recently live on: a router may name a backend now and then.

    @ivar age: How often all contexts have been replaced.
    """

    def __init__(self) -> None:
        self.age = 0
        self._recent: deque[SSL.Context] = deque(maxlen=_RECENT)
        self._made: WeakValueDictionary[TLSOptions, SSL.Context] = WeakValueDictionary()
        self._kept: tuple[SSL.Context, ...] = ()

    def of(self, options: TLSOptions) -> SSL.Context:
        """
        The context for some options.

        @raise UnusableFile: If it has to be made, and cannot be.
        """
        options = options.files
        context = self._made.get(options)
        if context is None:
            context = self._made[options] = clientContext(options)
            self._recent.append(context)
        return context

    def replace(self, made: Mapping[TLSOptions, SSL.Context]) -> None:
        """
        Use other contexts from now on, and make those anew that are not among them.

        @param made: By the L{files<TLSOptions.files>} of their options.  They are kept
            until the next time.
        """
        self.age += 1
        self._made.clear()
        self._recent.clear()
        self._made.update(made)
        self._kept = tuple(made.values())


def clientContext(options: TLSOptions) -> SSL.Context:
    """
    Make a context, for connections of L{lbproxy.streams.tlsclient.ClientTLS}.

    @raise UnusableFile: If a file cannot be used.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(_VERSIONS[options.minimumVersion])
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    # An idle connection holds 24 KiB less. That a write may be partial, and repeated
    # from another buffer, is what pyOpenSSL sets itself.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(CIPHERS)
    if options.chain:
        _useCertificate(context, options)
    if options.ca:
        _trust(context, options.ca)
    elif options.verify:
        context.set_default_verify_paths()
    if options.verify:
        context.set_verify(SSL.VERIFY_PEER, _judge)
    else:
        context.set_verify(SSL.VERIFY_NONE, _accept)
    return context


def _accept(
    connection: Any, certificate: X509, number: int, depth: int, ok: int
) -> bool:
    """Take any certificate, and note that there was one.  Never raises."""
    connection.certified = True
    return True


def _judge(
    connection: Any, certificate: X509, number: int, depth: int, ok: int
) -> bool:
    """Agree with OpenSSL, and note why it refuses a certificate.  Never raises."""
    connection.certified = True
    if not ok and not connection.trouble:
        connection.trouble = chainTrouble(number, depth)
    return bool(ok)


def _trust(context: SSL.Context, path: str) -> None:
    store = context.get_cert_store()
    assert store is not None
    for each in _certificates("ca", path):
        store.add_cert(X509.from_cryptography(each))
    # What is listed is trusted, whether it has signed itself or not.
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)


def _useCertificate(context: SSL.Context, options: TLSOptions) -> None:
    chain = options.chain
    own, *others = _certificates("chain", chain)
    at, path = ("key", options.key) if options.key else ("chain", chain)
    key = _read(at, path, lambda content: load_pem_private_key(content, None))
    try:
        if key.public_key() != own.public_key():
            reason = f'the key is not that of the certificate in "{chain}"'
            raise UnusableFile(at, path, reason)
        context.use_certificate(own)
        for each in others:
            context.add_extra_chain_cert(each)
        context.use_privatekey(key)  # type: ignore[arg-type]
        context.check_privatekey()
    except (SSL.Error, ValueError, TypeError, UnsupportedAlgorithm) as error:
        # Certificates may have keys of kinds that TLS cannot use, or too weak ones.
        raise UnusableFile("chain", chain, cause(error)) from None


def _certificates(key: str, path: str) -> list[x509.Certificate]:
    return _read(key, path, x509.load_pem_x509_certificates)


def _read(key: str, path: str, parse: Callable[[bytes], _Found]) -> _Found:
    """Read a file, and find in it what is looked for."""
    what = "certificate" if parse is x509.load_pem_x509_certificates else "private key"
    try:
        with open(path, "rb") as file:
            return parse(file.read())
    except OSError as error:
        raise UnusableFile(key, path, error.strerror or str(error)) from None
    except TypeError:
        reason = "the key is encrypted; lbproxy can ask nobody for its passphrase"
        raise UnusableFile(key, path, reason) from None
    except Exception:
        raise UnusableFile(key, path, f"it has no {what} in PEM") from None
