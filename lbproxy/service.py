"""
L{LoadBalancer}: a load balancer as a Twisted service.

Three lines put it into an existing Twisted application::

    from lbproxy import LoadBalancer
    balancer = LoadBalancer.fromEndpoints(reactor, ["tcp:8080"], ["tcp:10.0.0.7:80"])
    balancer.setServiceParent(application)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from .config.certificates import checkCertificates
from .config.check import checkConfiguration
from .config.commandline import configurationFromEndpoints
from .config.file import loadConfiguration
from .config.model import Configuration
from .generation import Generation, Plugins, Process
from .interfaces import IBackendPicker, IConnectionObserver, IRouter
from .plugins.given import givenObservers, givenPickers, givenRouters
from .privileges import Privileges
from .runningpool import RunningPool
from .streams.sockets import socketsOf
from .streams.wheel import Timer
from .words.connection import Address, Connection
from .words.place import ConfigurationError
from .words.units import formatDuration


@frozen
class _Given:
    """What a program has passed to the balancer, as it was passed."""

    pickers: Mapping[str, IBackendPicker]
    routers: Mapping[str, IRouter | Callable[[Connection], Any]]
    observers: Iterable[IConnectionObserver]

    def plugins(self, configuration: Configuration) -> Plugins:
        """
        Check all of it against a configuration.

        @raise ConfigurationError: If something of it cannot be used.
        """
        return Plugins(
            givenPickers(self.pickers, [each.name for each in configuration.pools]),
            givenRouters(self.routers, [each.name for each in configuration.listeners]),
            givenObservers(self.observers),
        )


class LoadBalancer(Service):
    """
    A load balancer, as a service for any Twisted application.

    It listens when its parent starts privileged services, so that ports below 1024 are
    bound before privileges are dropped.  When it is stopped, its deferred fires after
    the last connection is gone.

    @ivar configuration: The configuration it was made from.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        *,
        pickers: Mapping[str, IBackendPicker] | None = None,
        routers: Mapping[str, IRouter | Callable[[Connection], Any]] | None = None,
        observers: Iterable[IConnectionObserver] = (),
    ) -> None:
        """
        @param reactor: Any reactor that can listen, connect and schedule calls.
        @param configuration: Such as L{loadConfiguration} returns.
        @param pickers: Used instead of the configured ones, by the name of the pool.
        @param routers: Used instead of the configured ones, by the name of the
            listener.  A router may be a function, C{async} or not, that takes the
            connection.
        @param observers: Told of every connection, besides the logs.
        @raise ConfigurationError: If something that is configured cannot be made, or
            something that was passed cannot be used.
        """
        checkConfiguration(reactor, configuration)
        checkCertificates(configuration, datetime.now(UTC))
        self.configuration = configuration
        self._given = _Given(pickers or {}, routers or {}, observers)
        self._plugins = self._given.plugins(configuration)
        self._path: str | None = None
        self._privileges = Privileges()
        self._process = Process(socketsOf(reactor, configuration.process.sockets))
        self._generation: Generation | None = None
        self._leaving: list[Generation] = []
        self._delays: list[tuple[Timer, float, Deferred[Any]]] = []

    def pool(self, name: str) -> RunningPool:
        """
        One of its pools, while it runs, to look at its members and to change them.

        @raise LookupError: If it does not run, or has no such pool.
        """
        if all(each.name != name for each in self.configuration.pools):
            known = ", ".join(each.name for each in self.configuration.pools)
            raise LookupError(f"there is no pool {name}; there are {known}")
        if self._generation is None:
            raise LookupError("the balancer does not run")
        return self._process.pools.held(name)

    def reload(self, configuration: Configuration | None = None) -> None:
        """
        Go by another configuration from now on, or by the file it was made from.

        Connections under way go on as they began.  Ports, pools and members that both
        configurations have are kept, with all that is known of them.  If the new
        configuration cannot be used, nothing is changed.

        @param configuration: L{None} to read the file again.
        @raise ConfigurationError: If it cannot be used, or there is no file.
        @raise CannotStart: If a port or the access log cannot be opened.
        """
        with self._privileges.explaining():
            self._reload(configuration)

    def _reload(self, configuration: Configuration | None) -> None:
        if configuration is None:
            if self._path is None:
                raise ConfigurationError("there is no file to load again")
            configuration = loadConfiguration(self._path)
        checkConfiguration(self._process.reactor, configuration)
        plugins = self._given.plugins(configuration)
        if self._delays:
            raise ConfigurationError("it is stopping, so it is not configured anew")
        if configuration.process.sockets != self.configuration.process.sockets:
            self._log.warn("process.sockets is changed by a restart only")
        before = self._generation
        if before is not None:
            generation = Generation(self._process, configuration, plugins)
            generation.start(before)
            self._leave(generation)
        self.configuration, self._plugins = configuration, plugins

    @property
    def addresses(self) -> list[Address]:
        """
        The addresses it listens on, in the order of configuration.

        For C{tcp:0} they tell which port the system has chosen.
        """
        return [] if self._generation is None else self._generation.addresses

    @classmethod
    def fromFile(cls, reactor: Any, path: str, **arguments: Any) -> Self:
        """
        Make a balancer from a TOML file.

        @param arguments: As for the class itself.
        @raise ConfigurationError: If the file cannot be used.
        """
        made = cls(reactor, loadConfiguration(path), **arguments)
        made._path = path
        return made

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
        Make a balancer with one listener and one pool, both named C{default}.

        @param listen: Twisted server endpoint descriptions.
        @param backends: Twisted client endpoint descriptions.
        @param picker: A picker, or the text that names one in a configuration; round
            robin by default.
        @param arguments: As for the class itself.
        @raise ConfigurationError: If one of them cannot be used.
        """
        named = picker if picker is None or isinstance(picker, str) else None
        if named is None and picker is not None:
            if arguments.get("pickers"):
                raise ConfigurationError("picker excludes pickers")
            arguments["pickers"] = {"default": picker}
        configuration = configurationFromEndpoints(listen, backends, picker=named)
        return cls(reactor, configuration, **arguments)

    # IService.

    def privilegedStartService(self) -> None:
        """
        Listen.

        @raise CannotStart: If that is not possible; then nothing is listening.
        """
        if self._delays:
            self._leave()
        if self._generation is None:
            generation = Generation(self._process, self.configuration, self._plugins)
            try:
                generation.start()
            except BaseException:
                self._rest()
                raise
            self._generation = generation

    def startService(self) -> None:
        """Listen, unless C{privilegedStartService} did so already."""
        self.privilegedStartService()
        super().startService()
        # Privileges are dropped by now, so this makes an access log that the user owns.
        self.reopenLogs()

    def stopService(self) -> Deferred[Any]:
        """
        Stop listening, and abort all connections.

        @return: Fires when all connections are gone: within C{close-timeout} and a
            second, whatever the transports do.
        """
        super().stopService()
        self._leave()
        self._cutOff(list(self._leaving))
        return self._whenGone()

    def drain(
        self, timeout: float | None = None, delay: float | None = None
    ) -> Deferred[Any]:
        """
        Stop listening after a delay, and let the connections under way finish.

        Connections that are left after C{timeout} are aborted.  C{startService} may be
        called again at any time.  So may C{stopService}, which aborts them at once.
        Both end the delay.

        @param timeout: Seconds, from the end of the delay; 0 aborts them at once.  By
            default C{drain-timeout} of the configuration.
        @param delay: Seconds for which new clients are still accepted.  By default
            C{shutdown-delay} of the configuration.
        @return: Fires when all connections are gone.
        """
        options = self.configuration.process
        timeout = options.drainTimeout if timeout is None else timeout
        delay = options.shutdownDelay if delay is None else delay
        if self._generation is None or not delay:
            return self._drain(timeout)
        self._log.info(
            "Clients are accepted for another {delay}, before connections are drained",
            delay=formatDuration(delay),
        )
        begins, gone = self._process.wheel.call(delay, self._leave), Deferred[Any]()
        self._delays.append((begins, timeout, gone))
        return gone

    def _drain(self, timeout: float) -> Deferred[Any]:
        self._leave()
        leaving = list(self._leaving)
        connections = sum(len(tuple(each.sessions)) for each in leaving)
        if connections and timeout:
            self._log.info(
                "Draining: {connections} connections may take {timeout} to finish",
                connections=connections,
                timeout=formatDuration(timeout),
            )
        end = self._process.wheel.call(timeout, lambda: self._cutOff(leaving))

        def gone(result: Any) -> Any:
            end.cancel()
            return result

        return self._whenGone().addCallback(gone)

    def reopenLogs(self) -> None:
        """
        Open a new access log file, if the old one was moved away.

        Without this call, the next line does so.
        """
        for generation in (*self._leaving, *filter(None, [self._generation])):
            generation.reopenLogs()

    def _cutOff(self, leaving: Iterable[Generation]) -> None:
        """Abort the connections of generations, and log how many there were."""
        connections = sum(generation.abort() for generation in leaving)
        if connections:
            self._log.info("Cut off {connections} connections", connections=connections)

    def _leave(self, following: Generation | None = None) -> None:
        """
        Stop the present generation, if there is one, from accepting clients.

        @param following: The generation that takes over from it.

        What waits for a delay of L{drain} begins.
        """
        generation, self._generation = self._generation, following
        if generation is not None:
            self._leaving.append(generation)
            generation.whenGone().addCallback(lambda _: self._left(generation))
            generation.stopAccepting()
        delays, self._delays = self._delays, []
        for begins, timeout, gone in delays:
            begins.cancel()
            self._drain(timeout).chainDeferred(gone)

    def _left(self, generation: Generation) -> None:
        self._leaving.remove(generation)
        self._rest()

    def _rest(self) -> None:
        if self._generation is None and not self._leaving:
            self._process.rest()

    def _whenGone(self) -> Deferred[Any]:
        return DeferredList([each.whenGone() for each in self._leaving])
