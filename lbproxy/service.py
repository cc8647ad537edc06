"""
From configuration to a running service: L{LoadBalancer}.

Three lines put it into an existing Twisted application::

    from lbproxy import LoadBalancer
    balancer = LoadBalancer.fromEndpoints(reactor, ["tcp:8080"], ["tcp:10.0.0.7:80"])
    balancer.setServiceParent(application)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from .balance.pool import Pool
from .config.causes import cause
from .config.check import checkConfiguration
from .config.commandline import configurationFromEndpoints
from .config.file import loadConfiguration
from .config.model import (
    Configuration,
    ListenerConfiguration,
    PoolConfiguration,
)
from .config.plugins import buildPicker, namedRouter
from .demo import ADVICE, Demo
from .interfaces import IBackendPicker, IConnectionObserver, IRouter
from .observe.accesslog import AccessLog
from .observe.endslog import EndsLog
from .observe.observers import Observers
from .ports import CannotStart, Ports
from .proxy.capacity import Capacity, affordable
from .proxy.dialer import Dialer, DialOptions
from .proxy.listener import ListenerFactory, toAddress
from .proxy.pluginerrors import PluginErrors
from .proxy.policy import Destination, Policy, SessionOptions
from .streams.alarm import alarmFor
from .streams.pace import Pace
from .streams.socketoptions import tune
from .streams.watch import Limits
from .streams.wheel import Wheel
from .words.backend import Backend
from .words.connection import Address, End


class LoadBalancer(Service):
    """
    A load balancer, as a service for any Twisted application.

    It listens when its parent starts privileged services, so that ports below
    1024 are bound before privileges are dropped; and when it is stopped, its
    deferred fires after the last connection is gone.

    @ivar configuration: What it was made from.
    @ivar addresses: Where it listens, in the order of configuration; this is
        how to learn which port C{tcp:0} has become.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        *,
        pickers: Mapping[str, IBackendPicker] | None = None,
        routers: Mapping[str, IRouter] | None = None,
        observers: Iterable[IConnectionObserver] = (),
    ) -> None:
        """
        @param reactor: Anything Twisted can listen, connect and keep time with.
        @param configuration: From L{loadConfiguration} or one of its sisters.
        @param pickers: Instead of those of the configuration, by pool.
        @param routers: Instead of those of the configuration, by listener.
        @param observers: Further ones, told of every connection.
        @raise ConfigurationError: If something that is configured cannot be made.
        """
        checkConfiguration(reactor, configuration)
        self.configuration = configuration
        self._reactor = reactor
        self._pickers = dict(pickers or {})
        self._routers = dict(routers or {})
        self._wheel = Wheel(alarmFor(reactor))
        self._pace = Pace(self._wheel)
        self._errors = PluginErrors(self._wheel)
        self._accessLog: AccessLog | None = None
        if configuration.accessLog != "none":
            self._accessLog = AccessLog(configuration.accessLog, reactor.seconds)
        self._endsLog = EndsLog(self._wheel)
        logs = [self._endsLog, self._accessLog]
        self._observers = Observers([*filter(None, logs), *observers], self._errors)
        self.addresses: list[Address] = []
        self._ports: Ports | None = None
        self._factories: list[ListenerFactory] = []

    @classmethod
    def fromFile(cls, reactor: Any, path: str, **arguments: Any) -> Self:
        """
        A balancer as a TOML file describes it.

        @param arguments: As for the class itself.
        @raise ConfigurationError: If the file cannot be used.
        """
        return cls(reactor, loadConfiguration(path), **arguments)

    @classmethod
    def fromEndpoints(
        cls,
        reactor: Any,
        listen: Sequence[str],
        backends: Sequence[str],
        picker: IBackendPicker | str | None = None,
        **arguments: Any,
    ) -> Self:
        """
        A balancer with one listener and one pool, both named C{default}.

        @param listen: Twisted server endpoint descriptions.
        @param backends: Twisted client endpoint descriptions.
        @param picker: A picker, or how one is named in configuration; round
            robin by default.
        @param arguments: As for the class itself.
        @raise ConfigurationError: If one of them cannot be used.
        """
        named = picker if picker is None or isinstance(picker, str) else None
        if named is None and picker is not None:
            arguments.setdefault("pickers", {"default": picker})
        configuration = configurationFromEndpoints(listen, backends, picker=named)
        return cls(reactor, configuration, **arguments)

    # IService.

    def privilegedStartService(self) -> None:
        """
        Listen.

        @raise CannotStart: If that is not possible; then nothing is listening.
        """
        if self._ports is not None:
            return
        self._ports = Ports(self._reactor)
        try:
            self._start(self._ports)
        except BaseException:
            self._close()
            raise

    def startService(self) -> None:
        """Listen, unless that was done with privileges already."""
        self.privilegedStartService()
        super().startService()

    def stopService(self) -> Deferred[Any]:
        """Stop listening, and cut all connections off; fires when all is gone."""
        super().stopService()
        closed = self._close()
        connections = sum(factory.abort(End.DRAINED) for factory in self._factories)
        if connections:
            self._log.info("Cut off {connections} connections", connections=connections)
        over: list[Deferred[Any]] = [each.whenIdle() for each in self._factories]
        return DeferredList([closed, *over]).addCallback(self._stopped)

    def reopenLogs(self) -> None:
        """
        Begin the access log anew if its file was moved away; otherwise that is
        found out by the next line.
        """
        if self._accessLog is not None:
            self._accessLog.reopen()

    def _close(self) -> Deferred[Any]:
        ports, self._ports = self._ports, None
        self.addresses.clear()
        return succeed(None) if ports is None else ports.close()

    def _stopped(self, result: object) -> None:
        self._factories.clear()
        self._endsLog.close()
        self._errors.close()
        self._wheel.close()
        if self._accessLog is not None:
            self._accessLog.close()

    # Starting.

    def _start(self, ports: Ports) -> None:
        self._openAccessLog()
        most = self.configuration.process.maxConnections or affordable()
        capacity = Capacity(self._wheel, min(most, affordable()))
        dialer = Dialer(self._reactor)
        destinations = {
            pool.name: self._destination(pool, ports)
            for pool in self.configuration.pools
        }
        for listener in self.configuration.listeners:
            policy = Policy(
                destinations=destinations,
                pool=listener.pool,
                router=self._router(listener),
                options=self._sessionOptions(listener),
                dialer=dialer,
                wheel=self._wheel,
                pace=self._pace,
                seconds=self._reactor.seconds,
                observer=self._observers,
                errors=self._errors,
                exhausted=capacity.exhausted,
            )
            factory = ListenerFactory(listener.name, policy, capacity)
            self._factories.append(factory)

            def opened(
                port: IListeningPort, listener: ListenerConfiguration = listener
            ) -> None:
                # Accepted sockets inherit what is set here.
                tune(port, listener.keepalive)
                capacity.watch(port)
                address = toAddress(port.getHost())
                self.addresses.append(address)
                self._log.info(
                    "Listener {listener} listens on {address} for pool {pool}",
                    listener=listener.name,
                    address=str(address),
                    pool=listener.pool,
                )

            place = listener.place.key("listen")
            for description in listener.listen:
                ports.listen(description, factory, listener.backlog, place, opened)

    def _openAccessLog(self) -> None:
        if self._accessLog is not None:
            try:
                self._accessLog.open()
            except OSError as error:
                raise CannotStart(f"access log: {cause(error)}") from None

    def _destination(self, configured: PoolConfiguration, ports: Ports) -> Destination:
        picker = self._pickers.get(configured.name)
        if picker is None:
            picker = buildPicker(configured.picker, configured.place.key("picker"))
        backends = configured.backends
        if not backends:
            demo = Demo(self._reactor)
            backends = demo.start()
            for port in demo.ports:
                ports.add(port)
            self._log.info("No backends were named. {advice}", advice=ADVICE)
        self._log.info(
            "Pool {pool} picks by {picker} among {backends}",
            pool=configured.name,
            picker=str(configured.picker),
            backends=", ".join(map(_described, backends)),
        )
        return Destination(
            Pool(configured.name, backends, picker),
            DialOptions(
                connectTimeout=configured.connectTimeout,
                retries=configured.retries,
                dialDeadline=configured.dialDeadline,
            ),
        )

    def _router(self, listener: ListenerConfiguration) -> IRouter | None:
        given = self._routers.get(listener.name)
        if given is not None or listener.router is None:
            return given
        return namedRouter(listener.router, listener.place.key("router"))

    def _sessionOptions(self, listener: ListenerConfiguration) -> SessionOptions:
        process = self.configuration.process
        return SessionOptions(
            routeTimeout=process.routeTimeout,
            pickTimeout=process.pickTimeout,
            keepalive=listener.keepalive,
            halfClose=listener.halfClose,
            limits=Limits(
                idleTimeout=listener.idleTimeout,
                maxLifetime=listener.maxLifetime,
                halfCloseTimeout=listener.halfCloseTimeout,
                stallTimeout=listener.stallTimeout,
                closeTimeout=process.closeTimeout,
            ),
        )


def _described(backend: Backend) -> str:
    name, connect = backend.name, backend.connect
    return connect if name == connect else f"{name} ({connect})"
