"""What is known about one client's connection, and how it ended."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from attrs import define, field

from .backend import Backend
from .tls import TLSFacts


class End(StrEnum):
    """Why a connection ended; the values are the words of logs and metrics."""

    CLIENT_CLOSED = "client-closed"
    BACKEND_CLOSED = "backend-closed"
    CLIENT_RESET = "client-reset"
    BACKEND_RESET = "backend-reset"
    IDLE_TIMEOUT = "idle-timeout"
    STALL_TIMEOUT = "stall-timeout"
    HALF_CLOSE_TIMEOUT = "half-close-timeout"
    MAX_LIFETIME = "max-lifetime"
    CONNECT_FAILED = "connect-failed"
    DIAL_DEADLINE = "dial-deadline"
    NO_BACKEND = "no-backend"
    QUEUE_FULL = "queue-full"
    QUEUE_TIMEOUT = "queue-timeout"
    REFUSED_BY_ROUTER = "refused-by-router"
    ROUTE_FAILED = "route-failed"
    REFUSED_BY_PICKER = "refused-by-picker"
    PICK_FAILED = "pick-failed"
    BAD_PROXY_HEADER = "bad-proxy-header"
    BAD_CLIENT_HELLO = "bad-client-hello"
    TLS_FAILED = "tls-failed"
    DRAINED = "drained"
    MEMBER_DOWN = "member-down"
    INTERNAL_ERROR = "internal-error"

    @property
    def normal(self) -> bool:
        """Whether the client or the backend closed the connection without an error."""
        return self in NORMAL_ENDS


NORMAL_ENDS = frozenset({End.CLIENT_CLOSED, End.BACKEND_CLOSED})
"""The ends in which the client or the backend closed without an error."""


class Address(NamedTuple):
    """
    The address of one end of a connection.

    A tuple, as C{accept(2)} gives it: so it costs nothing to make one.

    @ivar host: An IP address as text, or the path of a UNIX socket, which is empty for
        a client that bound none.
    @ivar port: 0 to 65535, or L{None} for a UNIX socket.
    """

    host: str
    port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return f"unix:{self.host}"
        if ":" in self.host:
            return f"[{self.host}]:{self.port}"
        return f"{self.host}:{self.port}"


@define(eq=False)
class Connection:
    """
    What is known about one client's connection, from accept to the end of its record.

    All times are seconds of the reactor's clock (of the epoch, in production).

    @ivar id: A number that no other connection of this process has; every log event
        about the connection carries it.
    @ivar listener: The name of the listener that accepted it.
    @ivar client: The client's address: where the connection came from, or what the
        PROXY header of a trusted proxy says.
    @ivar local: The address that the client connected to, likewise.
    @ivar opened: When it was accepted.
    @ivar pool: The pool it was routed to, or L{None} before that.
    @ivar tried: The backends whose dials failed, in order.
    @ivar backend: The backend it was joined to, or L{None}.
    @ivar connected: When it was joined, or L{None}.
    @ivar bytesFromClient: How many bytes were read from the client.
    @ivar bytesFromBackend: How many bytes were read from the backend.
    @ivar closed: When both sides were gone, or L{None}.
    @ivar end: Why it ended, or L{None} before the end.
    @ivar detail: Details of the end in a few words; often empty.
    @ivar serverName: The name of the server that the client asked for in its TLS
        handshake, or what a PROXY header says of that; empty if it is not known.
    @ivar offeredProtocols: The protocols that the client offered in its TLS handshake
        (ALPN), the best first; empty if they are not known.
    @ivar proxy: The address of the trusted proxy whose PROXY header named C{client} and
        C{local}; L{None} if these are the connection's own.
    @ivar proxyLocal: The address that the proxy connected to, or L{None}.
    @ivar tls: What its TLS handshake with lbproxy has agreed on; L{None} before the
        handshake is complete, and without TLS.
    """

    id: int
    listener: str
    client: Address
    local: Address
    opened: float
    pool: str | None = None
    tried: list[Backend] = field(factory=list)
    backend: Backend | None = None
    connected: float | None = None
    bytesFromClient: int = 0
    bytesFromBackend: int = 0
    closed: float | None = None
    end: End | None = None
    detail: str = ""
    serverName: str = ""
    offeredProtocols: tuple[bytes, ...] = ()
    proxy: Address | None = None
    proxyLocal: Address | None = None
    tls: TLSFacts | None = None
