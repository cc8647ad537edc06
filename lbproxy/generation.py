"""
One running configuration: its ports, pools, logs and sessions.

A generation is started once and is gone once::

    new     --> running, gone
    running --> leaving
    leaving --> gone

If its start fails, nothing is left open or held.  A generation that is leaving accepts
no clients.  It is gone when its last connection is over.

What all generations share is in L{Process}.  Ports and pools are held by name.  A port
or pool that the next generation takes too stays open.  One that no generation holds any
more is closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from attrs import Factory, define, field, frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from .balance.pool import DirectPools, Pool
from .config.causes import cause
from .config.model import Configuration, ListenerConfiguration, PoolConfiguration
from .config.plugins import buildPicker, namedRouter
from .demo import ADVICE, Demo
from .holdings import Holdings
from .interfaces import (
    IBackendPicker,
    IConnectionObserver,
    IPoolObserver,
    IRouter,
)
from .observe.accesslog import AccessLog
from .observe.endslog import EndsLog
from .observe.observers import Observers, PoolObservers
from .observe.poolslog import PoolsLog
from .ports import CannotStart, Ports, ownSocket
from .proxy.capacity import Capacity
from .proxy.dialer import Dialer
from .proxy.listener import ListenerFactory, Sessions, toAddress
from .proxy.pluginerrors import PluginErrors, nameOf
from .proxy.policy import Destination, Policy
from .streams.alarm import alarmFor
from .streams.pace import Pace
from .streams.socketoptions import tune
from .streams.wheel import Wheel
from .words.backend import Backend
from .words.connection import Address, End


@define(eq=False)
class HeldPool:
    """A pool, together with the demo services if it is the demo pool."""

    pool: Pool
    demo: Demo | None = None

    def close(self) -> None:
        """
        Close the pool and the demo services, when no generation holds it any more.
        """
        self.pool.close()
        if self.demo is not None:
            self.demo.close()


@define(eq=False)
class Process:
    """
    What all generations of one balancer share.

    @ivar reactor: The reactor that it listens, connects and tells the time with.
    """

    reactor: Any
    wheel: Wheel = field(init=False)
    pace: Pace = field(init=False)
    errors: PluginErrors = field(init=False)
    poolsLog: PoolsLog = field(init=False)
    capacity: Capacity = field(init=False)
    dialer: Dialer = field(init=False)
    ports: Ports = field(init=False)
    pools: Holdings[HeldPool] = Factory(Holdings)

    def __attrs_post_init__(self) -> None:
        self.wheel = Wheel(alarmFor(self.reactor))
        self.pace = Pace(self.wheel)
        self.errors = PluginErrors(self.wheel)
        self.poolsLog = PoolsLog(self.wheel)
        self.capacity = Capacity(self.wheel, 1)
        self.dialer = Dialer(self.reactor, self.errors)
        self.ports = Ports(self.reactor, self.capacity)

    def rest(self) -> None:
        """
        Cancel all timers and write the pending counts, when no generation is left.
        """
        self.errors.close()
        self.poolsLog.close()
        self.capacity.close()
        self.wheel.close()


@frozen(eq=False)
class Plugins:
    """
    The objects that a program has passed to the balancer.

    @ivar pickers: Used instead of the configured ones, by the name of the pool.
    @ivar routers: Used instead of the configured ones, by the name of the listener.
    @ivar observers: Told of every connection, besides the logs; those that provide
        L{IPoolObserver} also of the members of pools.
    """

    pickers: Mapping[str, IBackendPicker]
    routers: Mapping[str, IRouter]
    observers: tuple[IConnectionObserver, ...]


class Generation:
    """
    One running configuration.

    @ivar addresses: The addresses it listens on, in the order of configuration.
    @ivar sessions: The sessions under way.
    """

    _log = Logger()

    def __init__(
        self, process: Process, configuration: Configuration, plugins: Plugins
    ) -> None:
        self.addresses: list[Address] = []
        self._process = process
        self._configuration = configuration
        self._plugins = plugins
        self._accessLog: AccessLog | None = None
        if configuration.accessLog != "none":
            self._accessLog = AccessLog(configuration.accessLog)
        self._endsLog = EndsLog(process.wheel)
        logs: Iterable[IConnectionObserver | None] = (self._endsLog, self._accessLog)
        self._observers = Observers(
            [*filter(None, logs), *plugins.observers], process.errors
        )
        watching: list[Any] = [process.poolsLog]
        watching += filter(IPoolObserver.providedBy, plugins.observers)
        self._poolObservers = PoolObservers(watching, process.errors)
        self.sessions = Sessions(process.capacity, self._observers)
        self._destinations: dict[str, Destination] = {}
        self._pools: list[str] = []
        self._listening: list[str] = []
        self._gone: list[Deferred[None]] = []
        self._isGone = False

    def start(self) -> None:
        """
        Open the access log, take the pools, and listen.

        @raise CannotStart: If that is not possible; then nothing is left open.
        @raise ConfigurationError: If something that is configured cannot be made.
        """
        try:
            self._openAccessLog()
            self._process.capacity.allow(self._configuration.process.maxConnections)
            for pool in self._configuration.pools:
                self._destinations[pool.name] = self._destination(pool)
            for listener in self._configuration.listeners:
                self._listen(listener)
        except BaseException:
            self.stopAccepting()
            self._letGo()
            raise

    def stopAccepting(self) -> Deferred[Any]:
        """
        Release the ports, so that no new clients are accepted.

        @return: Fires when the ports that no other generation holds are closed, and the
            last connection is gone.
        """
        listening, self._listening = self._listening, []
        self.addresses.clear()
        closed = DeferredList(
            [self._process.ports.release(each) for each in listening],
            consumeErrors=True,
        )
        return closed.addCallback(lambda _: self.sessions.whenIdle()).addCallback(
            lambda _: self._letGo()
        )

    def abort(self) -> int:
        """
        Abort all connections, after new ones are no longer accepted.

        @return: How many there were.
        """
        # First, since the next generation may use a picker that a program passed.
        self._releasePools()
        return self.sessions.abort(End.DRAINED)

    def whenGone(self) -> Deferred[None]:
        """Fires when the last connection is gone, and all is closed."""
        gone: Deferred[None] = Deferred()
        if self._isGone:
            gone.callback(None)
        else:
            self._gone.append(gone)
        return gone

    def reopenLogs(self) -> None:
        """Open a new access log file, if the old one was moved away."""
        if self._accessLog is not None:
            self._accessLog.reopen()

    # Starting.

    def _openAccessLog(self) -> None:
        if self._accessLog is not None:
            try:
                self._accessLog.open()
            except OSError as error:
                raise CannotStart(f"access log: {cause(error)}") from None

    def _destination(self, configured: PoolConfiguration) -> Destination:
        make = partial(self._pool, configured)
        held = self._process.pools.take(configured.name, make)
        self._pools.append(configured.name)
        return Destination(held.pool, configured.dial)

    def _pool(self, configured: PoolConfiguration) -> HeldPool:
        given = picker = self._plugins.pickers.get(configured.name)
        if picker is None:
            picker = buildPicker(configured.picker, configured.place.key("picker"))
        backends, demo = configured.backends, None
        if not backends:
            demo = Demo(self._process.reactor)
            backends = demo.start()
            self._log.info("No backends were named. {advice}", advice=ADVICE)
        self._log.info(
            "Pool {pool} picks by {picker} among {backends}",
            pool=configured.name,
            picker=str(configured.picker) if given is None else nameOf(given),
            backends=", ".join(map(_described, backends)),
        )
        pool = Pool(
            configured.name,
            backends,
            picker,
            configured.ejection,
            self._poolObservers,
        )
        return HeldPool(pool, demo)

    def _listen(self, listener: ListenerConfiguration) -> None:
        process = self._process
        policy = Policy(
            destinations=self._destinations,
            pool=listener.pool,
            router=self._router(listener),
            options=listener.session,
            dialer=process.dialer,
            wheel=process.wheel,
            pace=process.pace,
            seconds=process.reactor.seconds,
            observer=self._observers,
            errors=process.errors,
            exhausted=process.capacity.exhausted,
            direct=DirectPools(self._poolObservers),
        )
        place = listener.place.key("listen")
        for description in listener.listen:
            name = description
            while name in self._listening:
                name += " again"  # tcp:0 is another port each time.
            port = process.ports.take(
                description,
                listener.backlog,
                place,
                partial(ListenerFactory, listener.name, policy, self.sessions),
                name,
            )
            self._listening.append(name)
            port.factory.use(listener.name, policy, self.sessions)
            port.whenOpen(partial(self._portOpened, listener))

    def _portOpened(
        self, listener: ListenerConfiguration, port: IListeningPort
    ) -> None:
        ownSocket(port, listener.socketOwner, listener.socketGroup)
        # Accepted sockets inherit what is set here.
        tune(port, listener.session.keepalive)
        address = toAddress(port.getHost())
        self.addresses.append(address)
        self._log.info(
            "Listener {listener} listens on {address} for pool {pool}",
            listener=listener.name,
            address=str(address),
            pool=listener.pool,
        )

    def _router(self, listener: ListenerConfiguration) -> IRouter | None:
        given = self._plugins.routers.get(listener.name)
        if given is not None or listener.router is None:
            return given
        return namedRouter(listener.router, listener.place.key("router"))

    # The end.

    def _releasePools(self) -> None:
        pools, self._pools = self._pools, []
        for name in pools:
            held = self._process.pools.release(name)
            if held is None:
                continue
            try:
                held.close()
            except Exception:
                self._process.errors.tell(held.pool.picker, Failure(), "removed")

    def _letGo(self) -> None:
        """Close the logs and release the pools, when the last connection is gone."""
        if self._isGone:
            return
        self._releasePools()
        self._endsLog.close()
        if self._accessLog is not None:
            self._accessLog.close()
        self._isGone = True
        gone, self._gone = self._gone, []
        for each in gone:
            each.callback(None)


def _described(backend: Backend) -> str:
    name, connect = backend.name, backend.connect
    return connect if name == connect else f"{name} ({connect})"
