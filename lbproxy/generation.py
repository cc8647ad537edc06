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
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Any

from attrs import Factory, define, field, frozen
from OpenSSL.SSL import Context
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from .balance.direct import DirectPools
from .balance.routing import Routes
from .causes import cause
from .config.backendtls import contextsOf
from .config.model import Configuration, ListenerConfiguration, PoolConfiguration
from .directdiscovery import lookUpDirect
from .discovery.names import Names
from .discovery.resolvers import resolverFor
from .health.monitor import Monitor
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
from .plugins.making import namedRouter
from .ports import CannotStart, OpenPort, Ports, portName
from .portsettings import PortSettings
from .proxy.capacity import Capacity
from .proxy.dialer import Dialer
from .proxy.listener import ListenerFactory, Sessions, toAddress
from .proxy.opening import Openings
from .proxy.pluginerrors import PluginErrors
from .proxy.policy import Destination, Policy
from .runningpool import RunningPool
from .runningtls import HeldTLS, RunningTLS
from .streams.alarm import alarmFor
from .streams.clientcontexts import ClientContexts
from .streams.pace import Pace
from .streams.socketoptions import tune
from .streams.wheel import Wheel
from .words.backend import Member
from .words.connection import Address, End
from .words.endpoints import ServerDescription
from .words.networks import Networks
from .words.tlsoptions import TLSOptions


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
    contexts: ClientContexts = Factory(ClientContexts)
    dialer: Dialer = field(init=False)
    ports: Ports = field(init=False)
    monitor: Monitor = field(init=False)
    names: Names = field(init=False)
    pools: Holdings[RunningPool] = Factory(Holdings)
    tls: Holdings[RunningTLS] = Factory(Holdings)
    sessions: set[Sessions] = Factory(set)

    def __attrs_post_init__(self) -> None:
        self.wheel = Wheel(alarmFor(self.reactor))
        self.pace = Pace(self.wheel)
        self.errors = PluginErrors(self.wheel)
        self.monitor = Monitor(self.wheel, Random(), self.errors)
        self.names = Names(self.wheel, partial(resolverFor, self.reactor, self.wheel))
        self.poolsLog = PoolsLog(self.wheel)
        self.capacity = Capacity(self.wheel, 1)
        self.dialer = Dialer(self.reactor, self.errors, self.contexts)
        self.ports = Ports(self.reactor, self.capacity)

    def abortOn(self, member: Member, end: End) -> int:
        """
        Cut off the connections of one member, whichever generation they belong to.

        @return: How many there were.
        """
        return sum(each.abortOn(member, end) for each in tuple(self.sessions))

    def rest(self) -> None:
        """
        Cancel all timers and write the pending counts, when no generation is left.
        """
        self.errors.close()
        self.poolsLog.close()
        self.capacity.close()
        self.names.close()
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
        process.sessions.add(self.sessions)
        self._contexts: Mapping[TLSOptions, Context] = {}
        self._destinations: dict[str, Destination] = {}
        self._pools: list[str] = []
        self._listening: list[str] = []
        self._tls = HeldTLS(process.tls, process.wheel, process.reactor)
        self._ports: list[
            tuple[OpenPort, ServerDescription, ListenerConfiguration, Policy]
        ] = []
        self._gone: list[Deferred[None]] = []
        self._isGone = False

    def start(self, before: Generation | None = None) -> None:
        """
        Open the access log, take the pools, listen, and serve new clients.

        @param before: The generation that this one takes over from.  It serves on if
            this one cannot start.
        @raise CannotStart: If that is not possible; then nothing is left open.
        @raise ConfigurationError: If something that is configured cannot be made.
        """
        undo = ExitStack()
        try:
            self._openAccessLog()
            # Before privileges are dropped: keys may be for root only.
            self._contexts = contextsOf(self._configuration)
            for pool in self._configuration.pools:
                self._destinations[pool.name] = self._destination(pool)
            for listener in self._configuration.listeners:
                self._listen(listener)
            self._setPorts(undo)
        except BaseException:
            undo.close()
            self.stopAccepting()
            self._letGo()
            raise
        self._serve(before)

    def stopAccepting(self) -> Deferred[Any]:
        """
        Release the ports, so that no new clients are accepted.

        @return: Fires when the ports that no other generation holds are closed, and the
            last connection is gone.
        """
        self._tls.release()
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

    def _serve(self, before: Generation | None) -> None:
        """Let what is shared go by this configuration; nothing here fails."""
        process, configuration = self._process, self._configuration
        process.capacity.allow(configuration.process.maxConnections)
        process.contexts.replace(self._contexts)
        for pool in configuration.pools:
            for line in process.pools.held(pool.name).apply(pool):
                self._log.info("{line}, and stays so", line=line)
        if before is not None:
            before.retire(pool.name for pool in configuration.pools)
        self._tls.use()
        for port, _, listener, policy in self._ports:
            port.factory.use(listener.name, policy, self.sessions)
            port.whenOpen(partial(self._portOpened, listener))
        self._ports.clear()

    def retire(self, kept: Iterable[str]) -> None:
        """
        Take the members of its pools away, but for those of some pools.

        @param kept: The names of the pools that the next generation has, too.
        """
        for name in set(self._pools) - set(kept):
            self._process.pools.held(name).retire()

    def _destination(self, configured: PoolConfiguration) -> Destination:
        given = self._plugins.pickers.get(configured.name)
        make = partial(
            RunningPool, self._process, configured, given, self._poolObservers
        )
        running = self._process.pools.take(configured.name, make)
        self._pools.append(configured.name)
        return Destination(running.pool, configured.dial)

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
            direct=DirectPools(
                self._poolObservers, partial(lookUpDirect, process.names)
            ),
            routes=Routes(listener.routes) if listener.routes else None,
            openings=_openings(listener),
            tls=self._tls.take(listener),
        )
        place = listener.place.key("listen")
        for description in listener.listen:
            name = portName(description)
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
            self._ports.append((port, description, listener, policy))

    def _setPorts(self, undo: ExitStack) -> None:
        """Set the sockets to what is configured; those that are kept, too."""
        for port, description, listener, _ in self._ports:
            settings = PortSettings.of(description, listener.backlog)
            owned = settings.ownedBy(listener.socketOwner, listener.socketGroup)
            port.use(description, owned, undo)

    def _portOpened(
        self, listener: ListenerConfiguration, port: IListeningPort
    ) -> None:
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
            running = self._process.pools.release(name)
            if running is not None:
                running.close()

    def _letGo(self) -> None:
        """Close the logs and release the pools, when the last connection is gone."""
        if self._isGone:
            return
        self._releasePools()
        self._process.sessions.discard(self.sessions)
        self._endsLog.close()
        if self._accessLog is not None:
            self._accessLog.close()
        self._isGone = True
        gone, self._gone = self._gone, []
        for each in gone:
            each.callback(None)


def _openings(listener: ListenerConfiguration) -> Openings | None:
    """What the clients of a listener may begin with, if that is looked at."""
    readsHeaders = listener.proxyProtocol != "off"
    if not readsHeaders and not listener.asksHello:
        return None
    return Openings(
        proxies=Networks(listener.trustedProxies if readsHeaders else ()),
        onlyProxies=listener.proxyProtocol == "required",
        hello=listener.asksHello,
        onlyTLS=listener.requireTls,
    )
