"""What the sessions of one listener share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen

from ..balance.direct import DirectPools
from ..balance.pool import Pool
from ..balance.routing import Routes
from ..interfaces import IConnectionObserver, IRouter
from ..streams.limits import Limits, Row
from ..streams.pace import Pace
from ..streams.wheel import Wheel
from ..words.backend import Backend
from ..words.options import option
from ..words.units import moreThanNone, offOrBetween
from ..words.values import boolean
from .dialer import Dialer, DialOptions
from .opening import Openings
from .pluginerrors import PluginErrors
from .states import HEADER, State, rows
from .termination import Termination


@frozen
class SessionOptions:
    """
    The timeouts of a session, and how it treats its client and its backend.

    @ivar routeTimeout: Seconds that a router may take that does not answer at
        once.
    @ivar pickTimeout: Seconds that a picker may take that does not answer at
        once.
    @ivar proxyHeaderTimeout: Seconds that a client's PROXY header may take.
    @ivar clientHelloTimeout: Seconds that its ClientHello may take.
    @ivar handshakeTimeout: Seconds that a client's TLS handshake may take.
    @ivar keepalive: Seconds after which a silent peer counts as gone; 0 for
        never.
    @ivar halfClose: Whether one direction goes on when the other has ended.
    @ivar limits: The time limits of its streams.
    """

    routeTimeout: float = option(
        moreThanNone, "10s", "How long a router may take that does not answer at once."
    )
    pickTimeout: float = option(
        moreThanNone, "10s", "How long a picker may take that does not answer at once."
    )
    proxyHeaderTimeout: float = option(
        moreThanNone, "5s", "How long the PROXY header of a trusted proxy may take."
    )
    clientHelloTimeout: float = option(
        moreThanNone,
        "5s",
        "How long a client's ClientHello may take, where connections are routed by it.",
    )
    handshakeTimeout: float = option(
        moreThanNone, "10s", "How long a client's TLS handshake may take."
    )
    keepalive: float = option(
        # The kernel counts whole seconds up to 32767, MAX_TCP_KEEPIDLE.
        offOrBetween(1, 32400),
        "60s",
        "After how long a silent peer, on either side, counts as gone: TCP "
        "keep-alive, 1s to 9h; 0 is off.",
    )
    halfClose: bool = option(
        boolean, True, "Whether one direction goes on after the other has ended."
    )
    limits: Limits = field(factory=Limits)

    def patience(self, state: State) -> float:
        """The seconds that what a client begins with may take, in one of its states."""
        return self.proxyHeaderTimeout if state is HEADER else self.clientHelloTimeout


@frozen(eq=False)
class Destination:
    """
    The pool that an exchange uses, and how it dials the members.

    @ivar dial: How the members of the pool are dialled.
    @ivar backend: The only backend of the pool that may be used, or L{None} if the
        pool's picker chooses.
    """

    pool: Pool
    dial: DialOptions = field(factory=DialOptions)
    backend: Backend | None = None


@frozen(eq=False)
class Policy:
    """
    What all sessions of one listener share.

    @ivar destinations: The pools, by name.
    @ivar pool: The name of the pool that is used without a route and a router.
    @ivar openings: What clients may begin with, if that is looked at, or L{None}.
    @ivar tls: How clients speak TLS to the listener, or L{None} if they do not.
    @ivar routes: The routes, which are asked before the router, or L{None}.
    @ivar seconds: Returns the time of day, in seconds since the epoch.
    @ivar exhausted: Called when a dial failed because the process lacked
        something, such as a descriptor.  Its argument is the system's words for
        that.
    @ivar errors: Logs what plugins raise.
    @ivar rows: The limits of each state.
    """

    destinations: Mapping[str, Destination]
    pool: str
    router: IRouter | None
    options: SessionOptions
    dialer: Dialer
    wheel: Wheel
    pace: Pace
    seconds: Callable[[], float]
    observer: IConnectionObserver
    errors: PluginErrors
    exhausted: Callable[[str], object]
    direct: DirectPools = field(factory=DirectPools)
    routes: Routes | None = None
    openings: Openings | None = None
    tls: Termination | None = None
    rows: Mapping[State, Row] = field(init=False)

    @rows.default
    def _rowsOfLimits(self) -> Mapping[State, Row]:
        return rows(self.options.limits)

    def destinationOf(self, backend: Backend) -> Destination:
        """
        The destination for a backend that a router named.  It is the member of a
        pool that has the backend, the default pool first, or else a pool of its
        own.
        """
        named = self.destinations[self.pool]
        for each in (named, *self.destinations.values()):
            if each.pool.has(backend):
                return Destination(each.pool, each.dial, backend)
        return Destination(self.direct.pool(backend))
