"""
Let TLS listeners serve clients whatever protocols they offer (ALPN).

Nearly every TLS client offers some.  A listener of Twisted 26.10 that names no
protocols of its own refuses all these clients, and neither C{ssl:} nor C{tls:}
has an argument for protocols.  This module changes that through private
attributes of Twisted's endpoints.  Its tests fail when a later Twisted makes the
change wrong, or needless.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL.SSL import NO_OVERLAPPING_PROTOCOLS, Connection, Context
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer


def ignoreOffers(endpoint: Any) -> None:
    """
    Let a TLS listener serve its clients as if they had offered no protocols.  An
    endpoint that is not TLS, or has protocols of its own, is left as it is.

    @param endpoint: A server endpoint that does not listen yet.
    """
    options = getattr(endpoint, "_sslContextFactory", None)
    if isinstance(options, CertificateOptions) and not options._acceptableProtocols:
        # An "ssl:" endpoint has one context for all its connections.
        options.getContext().set_alpn_select_callback(_choose)
    creator = getattr(endpoint, "connectionCreator", None)
    if hasattr(type(creator), "defaultContext"):
        # A "tls:" endpoint has a context for each certificate.
        endpoint.connectionCreator = _Creator(creator)


def _choose(connection: Connection, offered: list[bytes]) -> Any:
    """Select none of the protocols: the handshake goes on without ALPN."""
    return NO_OVERLAPPING_PROTOCOLS


class _Connection(Connection):
    """A TLS connection that prepares each context before it switches to it."""

    def __init__(self, context: Context, prepare: Callable[[Context], None]) -> None:
        self._prepare = prepare
        prepare(context)
        super().__init__(context)

    def set_context(self, context: Context) -> None:
        """Use another context, now that the server's name is known."""
        self._prepare(context)
        super().set_context(context)


@implementer(IOpenSSLServerConnectionCreator)
class _Creator:
    """
    Makes the TLS connections of an endpoint that has a certificate for each
    name.

    @ivar _prepared: The prepared contexts.  A context can be prepared only before
        its first use.
    """

    def __init__(self, creator: Any) -> None:
        self._creator = creator
        self._prepared: set[Context] = set()

    def serverConnectionForTLS(self, protocol: object) -> Connection:
        """Make the connection for a client whose handshake is about to begin."""
        return _Connection(self._creator.defaultContext, self._prepare)

    def _prepare(self, context: Context) -> None:
        if context not in self._prepared:
            context.set_alpn_select_callback(_choose)
            self._prepared.add(context)
