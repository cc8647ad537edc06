"""
What a client's stream begins with: a PROXY header, and a TLS ClientHello.

Both are looked at while the stream is held.  A header is taken from the stream,
exactly; a ClientHello stays in it for the backend.
"""

from __future__ import annotations

from typing import Self

from attrs import frozen

from ..streams.clienthello import (
    HELLO_LIMIT,
    BadHello,
    ClientHello,
    HelloReader,
    NotTLS,
)
from ..streams.proxyprotocol.parse import LONGEST_HEADER, parse
from ..streams.proxyprotocol.values import BadHeader, Header
from ..streams.stream import Stream
from ..words.connection import Connection, End
from ..words.networks import Networks
from ..words.units import formatDuration
from .states import HEADER, HELLO, State


@frozen(eq=False)
class Openings:
    """
    What the clients of a listener may begin with, and what is required.

    @ivar proxies: Who must send a PROXY header, which is believed.  It is empty if
        headers are not read.
    @ivar onlyProxies: Whether all other clients are refused.
    @ivar hello: Whether their ClientHellos are looked at.
    @ivar onlyTLS: Whether clients without one are refused.
    """

    proxies: Networks
    onlyProxies: bool = False
    hello: bool = False
    onlyTLS: bool = False


_ENDS = {HEADER: End.BAD_PROXY_HEADER, HELLO: End.BAD_CLIENT_HELLO}

UNWHOLE = {HEADER: "PROXY header", HELLO: "ClientHello"}
"""The states in which what a client begins with is not whole, and what that is."""


class Refused(Exception):
    """
    A client does not begin with what is required.

    @ivar end: The word for it.
    @ivar detail: What the client begins with instead, on one line.
    """

    def __init__(self, state: State, detail: str) -> None:
        """
        @param state: L{HEADER} or L{HELLO}.
        """
        super().__init__(detail)
        self.end = _ENDS[state]
        self.detail = detail

    @classmethod
    def late(cls, state: State, seconds: float) -> Self:
        """It was not whole after some seconds."""
        return cls(state, f"no whole {UNWHOLE[state]} within {formatDuration(seconds)}")


class Opening:
    """Reads what one client begins with, as it arrives."""

    # one for each connection of a listener that has openings
    __slots__ = ("_connection", "_hasHeader", "_hello", "_onlyTLS")

    def __init__(
        self, openings: Openings, connection: Connection, isSecured: bool
    ) -> None:
        """
        @param isSecured: Whether the client has completed a TLS handshake before.  Its
            ClientHello is over then.
        @raise Refused: If the client is no trusted proxy, and only those may come; or
            if its header would have had to come before TLS.
        """
        self._connection = connection
        self._hasHeader = connection.client in openings.proxies
        if openings.onlyProxies and not self._hasHeader:
            raise Refused(HEADER, f"{connection.client} is no trusted proxy")
        if isSecured and self._hasHeader:
            reason = "a PROXY header comes before TLS, which this endpoint ends"
            raise Refused(HEADER, reason)
        self._hello = HelloReader() if openings.hello and not isSecured else None
        self._onlyTLS = openings.onlyTLS

    def read(self, stream: Stream) -> State | None:
        """
        Read on, and put what was found into the connection.

        @return: The state in which more is waited for; L{None} when all was read.
        @raise Refused: If a header or a ClientHello is malformed, or lacking.
        """
        if self._hasHeader:
            try:
                header = parse(stream.peek(LONGEST_HEADER))
            except BadHeader as error:
                raise Refused(HEADER, str(error)) from None
            if header is None:
                return HEADER
            stream.take(header.length)
            self._hasHeader = False
            self._believe(header)
        if self._hello is not None:
            try:
                hello = self._hello.read(stream.peek(HELLO_LIMIT))
            except BadHello as error:
                raise Refused(HELLO, str(error)) from None
            if hello is None:
                return HELLO
            self._hello = None
            self._learn(hello)
        return None

    def _learn(self, hello: ClientHello | NotTLS) -> None:
        """Record what a client asks for."""
        if not isinstance(hello, NotTLS):
            self._connection.serverName = hello.serverName
            self._connection.offeredProtocols = hello.alpn
        elif self._onlyTLS:
            raise Refused(HELLO, f"not TLS: {hello.reason}")

    def _believe(self, header: Header) -> None:
        """Let the addresses of a header count, and what else it knows of the client."""
        connection, details = self._connection, header.details
        connection.serverName = details.authority.lower().removesuffix(".")
        connection.offeredProtocols = (details.alpn,) if details.alpn else ()
        if header.client is not None and header.local is not None:
            connection.proxy = connection.client
            connection.proxyLocal = connection.local
            connection.client = header.client
            connection.local = header.local
