"""What the sessions of one listener share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen

from ..balance.pool import DirectPools, Pool
from ..interfaces import IConnectionObserver, IRouter
from ..streams.limits import Limits, Row
from ..streams.pace import Pace
from ..streams.wheel import Wheel
from ..words.backend import Backend, Member
from ..words.options import option
from ..words.units import moreThanNone, offOrBetween
from ..words.values import boolean
from .dialer import Dialer, DialOptions
from .pluginerrors import PluginErrors
from .states import State, rows


@frozen
class SessionOptions:
    """
    What a session allows its plugins and its two sides.

    @ivar routeTimeout: Seconds for a router that does not answer at once.
    @ivar pickTimeout: Seconds for a picker that does not answer at once.
    @ivar handshakeTimeout: Seconds for a client's TLS handshake.
    @ivar keepalive: Seconds after which a silent peer counts as gone; 0 for
        never.
    @ivar halfClose: Whether one direction goes on when the other has ended.
    @ivar limits: Of its streams.
    """

    routeTimeout: float = option(
        moreThanNone, "10s", "How long a router may take that does not answer at once."
    )
    pickTimeout: float = option(
        moreThanNone, "10s", "How long a picker may take that does not answer at once."
    )
    handshakeTimeout: float = 10.0
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


@frozen(eq=False)
class Destination:
    """
    Where an exchange goes.

    @ivar dial: How the members of the pool are dialled.
    @ivar member: The one member that is meant, or L{None} if the pool's picker
        chooses.
    """

    pool: Pool
    dial: DialOptions = field(factory=DialOptions)
    member: Member | None = None


@frozen(eq=False)
class Policy:
    """
    What all sessions of one listener share.

    @ivar destinations: The pools, by name.
    @ivar pool: The name of the one that is used without a router.
    @ivar seconds: The time of day, in seconds of the epoch.
    @ivar exhausted: Called when a dial failed for want of something that the
        process lacks, such as a descriptor, with the system's words for it.
    @ivar errors: Where what plugins raise is logged.
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
    rows: Mapping[State, Row] = field(init=False)

    @rows.default
    def _rowsOfLimits(self) -> Mapping[State, Row]:
        return rows(self.options.limits)

    def destinationOf(self, backend: Backend) -> Destination:
        """
        Where a backend is that a router named: the member of a pool that has
        it, the default pool first; else a pool of its own.
        """
        named = self.destinations[self.pool]
        for each in (named, *self.destinations.values()):
            member = each.pool.member(backend)
            if member is not None:
                return Destination(each.pool, each.dial, member)
        return Destination(self.direct.pool(backend))
