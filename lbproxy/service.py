"""
L{LoadBalancer}: a load balancer as a Twisted service.

Three lines put it into an existing Twisted application::

    from lbproxy import LoadBalancer
    balancer = LoadBalancer.fromEndpoints(reactor, ["tcp:8080"], ["tcp:10.0.0.7:80"])
    balancer.setServiceParent(application)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from .config.check import checkConfiguration, warnOfNames
from .config.commandline import configurationFromEndpoints
from .config.file import loadConfiguration
from .config.given import givenObservers, givenPickers, givenRouters
from .config.model import Configuration
from .config.place import ConfigurationError
from .generation import Generation, Plugins, Process
from .interfaces import IBackendPicker, IConnectionObserver, IRouter
from .words.connection import Address, Connection


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
        self.configuration = configuration
        self._plugins = Plugins(
            givenPickers(pickers or {}, [each.name for each in configuration.pools]),
            givenRouters(
                routers or {}, [each.name for each in configuration.listeners]
            ),
            givenObservers(observers),
        )
        self._process = Process(reactor)
        self._generation: Generation | None = None
        self._leaving: list[Generation] = []

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
        warnOfNames(
            self._process.reactor,
            self.configuration,
            lambda line: self._log.warn("{line}", line=line),
        )

    def stopService(self) -> Deferred[Any]:
        """
        Stop listening, and abort all connections.

        @return: Fires when all connections are gone: within C{close-timeout} and a
            second, whatever the transports do.
        """
        super().stopService()
        self._leave()
        connections = sum(generation.abort() for generation in list(self._leaving))
        if connections:
            self._log.info("Cut off {connections} connections", connections=connections)
        return self._whenGone()

    def drain(self, timeout: float) -> Deferred[Any]:
        """
        Stop listening, and let the connections under way finish.

        Connections that are left after C{timeout} are aborted.  C{startService} may be
        called again at any time.  So may C{stopService}, which aborts them at once.

        @param timeout: Seconds; 0 aborts them at once.
        @return: Fires when all connections are gone.
        """
        self._leave()
        leaving = list(self._leaving)
        end = self._process.wheel.call(
            timeout, lambda: [generation.abort() for generation in leaving]
        )

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

    def _leave(self) -> None:
        """Stop the present generation, if there is one, from accepting clients."""
        generation, self._generation = self._generation, None
        if generation is not None:
            self._leaving.append(generation)
            generation.whenGone().addCallback(lambda _: self._left(generation))
            generation.stopAccepting()

    def _left(self, generation: Generation) -> None:
        self._leaving.remove(generation)
        self._rest()

    def _rest(self) -> None:
        if self._generation is None and not self._leaving:
            self._process.rest()

    def _whenGone(self) -> Deferred[Any]:
        return DeferredList([each.whenGone() for each in self._leaving])
