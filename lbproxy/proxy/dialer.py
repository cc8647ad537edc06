"""Connect to a backend: with a timeout, and with its TLS handshake if it has one."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable

from attrs import frozen
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from ..streams.backlog import lowest
from ..streams.deadlines import Deadlines
from ..streams.side import Side
from ..streams.socketoptions import tune
from ..words.backend import Backend
from .capacity import SHORTAGES

_OWN_TIMEOUT = re.compile(r"^(tcp|unix|ssl|tls):(?!.*(?<!\\):timeout=)")
"""Client endpoints that have a timeout of their own, when none is named."""


@frozen
class DialOptions:
    """
    How the members of a pool are dialled.

    @ivar connectTimeout: Seconds that one member may take to accept,
        including its TLS handshake.
    @ivar retries: How many further members are tried after the first.
    @ivar dialDeadline: Seconds for all tries together.
    """

    connectTimeout: float = 5.0
    retries: int = 3
    dialDeadline: float = 15.0


class DialTimeout(Exception):
    """A backend did not accept in time."""


class BacklogFull(Exception):
    """A backend's UNIX socket has no room for another connection."""


class BackendFactory(ClientFactory):
    """Builds the one protocol of one dial."""

    noisy = False

    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    def buildProtocol(self, addr: IAddress | None) -> Side | None:
        """The backend's side, or nothing if it is not wanted any more."""
        return self._dial.build()


class Dial:
    """
    One attempt to connect to one backend.

    Exactly one of C{connected} and C{failed} is called, unless it is cancelled
    first.
    """

    __slots__ = (
        "_connected",
        "_deadline",
        "_deferred",
        "_failed",
        "_keepalive",
        "_side",
    )

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        deadlines: Deadlines,
        timeout: float,
        keepalive: float,
        connected: Callable[[Side], object],
        failed: Callable[[Failure], object],
    ) -> None:
        self._connected: Callable[[Side], object] | None = connected
        self._failed = failed
        self._keepalive = keepalive
        self._side: Side | None = None
        self._deadline = deadlines.after(timeout, self._late)
        self._deferred = endpoint.connect(BackendFactory(self))
        self._deferred.addCallbacks(lambda side: None, self._fail)

    @property
    def active(self) -> bool:
        """Whether its outcome is still to come."""
        return self._connected is not None

    def build(self) -> Side | None:
        """The protocol for the transport that has just connected."""
        if self._connected is None:
            return None
        self._side = Side(self)
        return self._side

    def cancel(self) -> None:
        """Stop trying; whatever has come of it is cut off."""
        if self._connected is not None:
            self._connected = None
            self._giveUp()

    def expectOutcome(self) -> None:
        """A UNIX socket answers at once, unless its backlog is full."""
        self._fail(Failure(BacklogFull("its backlog is full")))

    def sideReady(self, side: Side) -> None:
        """The backend is there."""
        connected, self._connected = self._connected, None
        if connected is None:
            side.abort()
            return
        self._deadline.cancel()
        tune(lowest(side.transport), self._keepalive)
        connected(side)

    def sideEnded(self, side: Side) -> None:
        """Remembered by the side itself until someone takes it over."""

    def sideLost(self, side: Side, reason: Failure) -> None:
        """The backend left before it was ready, during its TLS handshake."""
        self._fail(reason)

    def _fail(self, reason: Failure) -> None:
        connected, self._connected = self._connected, None
        if connected is not None:
            self._giveUp()
            self._failed(reason)

    def _late(self) -> None:
        self._fail(Failure(DialTimeout("no answer in time")))

    def _giveUp(self) -> None:
        self._deadline.cancel()
        if self._side is not None:
            self._side.abort()
        else:
            self._deferred.cancel()


class Dialer:
    """
    Makes L{Dial}s, one endpoint for each description.

    @ivar _endpoints: Made on first use; a backend's description never changes.
    """

    def __init__(self, reactor: IReactorTime, deadlines: Deadlines) -> None:
        """
        @param reactor: One that can connect, too.
        """
        self._reactor = reactor
        self._deadlines = deadlines
        self._endpoints: dict[tuple[str, float], IStreamClientEndpoint] = {}

    def dial(
        self,
        backend: Backend,
        timeout: float,
        keepalive: float,
        connected: Callable[[Side], object],
        failed: Callable[[Failure], object],
    ) -> Dial | None:
        """
        Begin to connect.

        @param timeout: Seconds.
        @param keepalive: Seconds; see L{tune}.
        @param connected: Told of the side, ready to be read and written.
        @param failed: Told why there will be none.
        @return: What can be cancelled; L{None} when it has failed already.
        """
        try:
            endpoint = self._endpoint(backend.connect, timeout)
        except Exception:
            # Checked with the configuration; but a router may name anything.
            failed(Failure())
            return None
        dial = Dial(endpoint, self._deadlines, timeout, keepalive, connected, failed)
        if backend.connect.startswith("unix:"):
            # Twisted takes EAGAIN, which is how connect(2) says that a UNIX
            # socket's backlog is full, for "in progress". Depending on the
            # reactor it then tries without pause until its timeout, or fails
            # with "closed cleanly". It connects in the next turn of the
            # reactor, just before this is called.
            self._reactor.callLater(0, dial.expectOutcome)
        return dial

    def _endpoint(self, description: str, timeout: float) -> IStreamClientEndpoint:
        key = (description, timeout)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            if _OWN_TIMEOUT.match(description):
                # Twisted's own, of 30 seconds, would end a longer one of ours.
                description = f"{description}:timeout={math.ceil(timeout) + 1}"
            endpoint = clientFromString(self._reactor, description)
            self._endpoints[key] = endpoint
        return endpoint


def shortage(reason: Failure) -> str | None:
    """
    What this process lacked, in the system's words, if a dial failed of that.
    L{None} for any other failure: the backend, or how it is dialled, is at
    fault then.
    """
    error = reason.value
    number = getattr(error, "osError", None) or getattr(error, "errno", None)
    return os.strerror(number) if number in SHORTAGES else None
