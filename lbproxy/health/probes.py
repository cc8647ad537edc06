"""The built-in kinds of health checks: C{tcp}, C{tls}, C{http} and C{exchange}."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import h11
from attrs import evolve
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..interfaces import IHealthProbe
from ..proxy.attempts import SecureWay, Way
from ..proxy.dialer import wayTo
from ..streams.clientcontexts import ClientContexts
from ..streams.tlsclient import ClientTLS
from ..words.backend import Backend
from ..words.tlsoptions import TLSOptions
from .contact import CancelTroubles, CheckFailed, Contact, Dialogue, Silence
from .options import ExchangeOptions, HttpOptions, Statuses, placeOf, statusText

_PATIENCE = 86400
"""
Seconds that connecting may take, so that no timeout of an endpoint ends a check before
the timeout of the check does.
"""

_TROUBLES = CancelTroubles()


ANY_CERTIFICATE = TLSOptions(verify=False)
"""How TLS is spoken to a backend of which nothing is known."""


def tlsOf(backend: Backend) -> TLSOptions | None:
    """How TLS is spoken to a backend, if it is."""
    return backend.tls


@implementer(IHealthProbe)
class ContactProbe:
    """
    A probe that makes one connection for each check.

    The way to a backend is found once, and forgotten with the backend.  Each check
    verifies the certificate that the backend has then: no session goes on.

    @ivar contexts: The contexts for TLS; a pool's probe shares them with its dials.
    """

    def __init__(
        self,
        reactor: Any,
        dialogue: Callable[[Backend], Dialogue],
        tls: Callable[[Backend], TLSOptions | None] = tlsOf,
    ) -> None:
        """
        @param reactor: A reactor that can connect.
        @param dialogue: Makes what is said on one connection.
        @param tls: How TLS is spoken to a backend.
        """
        self.contexts = ClientContexts()
        self._reactor = reactor
        self._dialogue = dialogue
        self._tls = tls
        self._ways: WeakKeyDictionary[Backend, Way] = WeakKeyDictionary()

    def probe(self, backend: Backend) -> Deferred[None]:
        """Check a backend; cancelling the Deferred cuts the connection off."""
        contact = Contact(self._reactor, self._dialogue(backend), backend.proxyProtocol)
        return contact.begin(self._wayTo(backend))

    def _wayTo(self, backend: Backend) -> Way:
        way = self._ways.get(backend)
        if way is None:
            way = self._ways[backend] = self._way(backend)
        return way

    def _way(self, backend: Backend) -> Way:
        way = wayTo(self._reactor, backend.endpoint, _PATIENCE, _TROUBLES)
        options = self._tls(backend)
        if options is None:
            return way
        tls = ClientTLS(self.contexts, options, backend.serverName, resumes=False)
        return SecureWay(self._reactor, way, tls)


def tcpProbe(reactor: Any) -> ContactProbe:
    """Make the probe of C{tcp}: it passes once the backend is connected."""
    return ContactProbe(reactor, lambda backend: Silence(), lambda backend: None)


def tlsProbe(reactor: Any) -> ContactProbe:
    """
    Make the probe of C{tls}: it passes once the TLS handshake is complete.

    A backend that TLS is spoken to is checked as it is connected to, its certificate
    included.  Any other backend is connected to, and then the handshake is made
    whatever the certificate.
    """

    def tls(backend: Backend) -> TLSOptions | None:
        return None if backend.speaksTLS else backend.tls or ANY_CERTIFICATE

    return ContactProbe(reactor, lambda backend: Silence(), tls)


def httpProbe(reactor: Any, **options: Any) -> ContactProbe:
    """
    Make the probe of C{http}: one request, and the status of its answer.

    @param options: Those of L{HttpOptions}, with C{_}.
    """
    chosen = HttpOptions(
        path=options["path"],
        host=options["host"],
        expectStatus=options["expect_status"],
    )
    return ContactProbe(
        reactor,
        lambda backend: _Request(
            chosen.path, chosen.host or _authority(backend), chosen.expectStatus
        ),
        _httpOver,
    )


def _httpOver(backend: Backend) -> TLSOptions | None:
    """How TLS is spoken for HTTP/1.1: a backend may offer other protocols as well."""
    tls = backend.tls
    return tls and evolve(tls, alpn=tls.alpn and ("http/1.1",))


def _authority(backend: Backend) -> str:
    """The host and port of a backend as a C{Host} header has them."""
    host, port = backend.serverName, placeOf(backend)[1]
    if not host:
        return "localhost"
    host = f"[{host}]" if ":" in host else host
    usual = "443" if backend.tls is not None or backend.speaksTLS else "80"
    return host if port in ("", usual) else f"{host}:{port}"


class _Request:
    """
    The dialogue of C{http}.

    h11 reads the answer: interim answers, folded and odd headers are its trade.
    """

    listens = True

    def __init__(self, path: str, host: str, expected: Statuses) -> None:
        self._expected = expected
        self._http = h11.Connection(h11.CLIENT)
        headers = [("Host", host), ("User-Agent", "lbproxy"), ("Connection", "close")]
        request = h11.Request(method="GET", target=path, headers=headers)
        self.opening = self._http.send(request) or b""

    def hear(self, data: bytes) -> bool:
        """Look for the head of the answer."""
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise CheckFailed(f"the answer is not HTTP: {error}") from None
        if not isinstance(event, h11.Response):
            return False
        status = event.status_code
        if not any(low <= status <= high for low, high in self._expected):
            expected = statusText(self._expected)
            raise CheckFailed(f"status {status}, expected {expected}")
        return True

    def lacking(self) -> str:
        """Say that the head of the answer is not complete."""
        return "the head of the answer was not complete"


def exchangeProbe(reactor: Any, **options: Any) -> ContactProbe:
    """
    Make the probe of C{exchange}: some bytes are sent, others are expected.

    @param options: Those of L{ExchangeOptions}, with C{_}.
    @raise ValueError: If the options do not go together.
    """
    chosen = ExchangeOptions(
        send=options["send"],
        expect=options["expect"],
        expectRegex=options["expect_regex"],
    )
    return ContactProbe(reactor, lambda backend: _Expectation(chosen))


class _Expectation:
    """The dialogue of C{exchange}."""

    listens = True

    def __init__(self, options: ExchangeOptions) -> None:
        self.opening = options.send.encode()
        self._wanted = options.expect.encode()
        self._pattern = options.expectRegex or re.compile(re.escape(self._wanted))
        self._answer = bytearray()

    def hear(self, data: bytes) -> bool:
        """Look for what is expected, which may have begun in an earlier piece."""
        # Text is looked for where it can have become complete; an expression may have
        # anchors and looks at everything.
        begin = max(0, len(self._answer) - len(self._wanted)) if self._wanted else 0
        self._answer += data
        return self._pattern.search(self._answer, begin) is not None

    def lacking(self) -> str:
        """Say what the answer does not contain."""
        if self._wanted:
            shown = _quoted(self._wanted)
            return f"the answer did not contain {shown}"
        return f"the answer did not match {_quoted(self._pattern.pattern)}"


def _quoted(data: bytes) -> str:
    """Bytes for the log: printable, on one line, and not too long."""
    shown = data[:60].decode(errors="backslashreplace").encode("unicode_escape")
    return f'"{shown.decode()}{"..." if len(data) > 60 else ""}"'
