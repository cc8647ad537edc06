"""What can be checked about a configuration only with a reactor and plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any

from twisted.internet.interfaces import IReactorThreads

from ..interfaces import IBackendPickerFactory
from .endpoints import checkClientDescription, checkServerDescription
from .model import Configuration
from .names import namedHosts, withoutAddress
from .place import Place
from .plugins import buildPicker, namedRouter
from .surroundings import checkSurroundings

PATIENCE = 5.0
"""Seconds for all lookups of names together; glibc waits as long for one server."""


def checkConfiguration(
    reactor: Any,
    configuration: Configuration,
    factories: Iterable[IBackendPickerFactory] | None = None,
) -> None:
    """
    Find out whether a configuration could run, listening and connecting to
    nothing: every endpoint, picker and router that it names is made once and
    forgotten.

    @param reactor: What the endpoints are made for.
    @param factories: Where to look up pickers; the installed plugins by default.
    @raise ConfigurationError: If something cannot be made, naming the file or
        the option, the key and the value.
    """
    for listener in configuration.listeners:
        for listen in listener.listen:
            checkServerDescription(reactor, listen, listener.place.key("listen"))
        if listener.router is not None:
            namedRouter(listener.router, listener.place.key("router"))
    for pool in configuration.pools:
        buildPicker(pool.picker, pool.place.key("picker"), factories)
        for at, backend in enumerate(pool.backends):
            place = pool.place.key("backends").item(at)
            checkClientDescription(reactor, backend.connect, place)


def checkStart(reactor: Any, configuration: Configuration, log: Place) -> list[str]:
    """
    Find out whether a start on this machine would go well, listening and
    connecting to nothing.

    @param reactor: What the endpoints are made for.
    @param log: Where the access log was written.
    @return: Warnings: what cannot be checked here, and members whose host has no
        address now.
    @raise ConfigurationError: If it would fail.
    """
    checkConfiguration(reactor, configuration)
    unchecked = checkSurroundings(configuration, log)
    return unchecked + withoutAddress(namedHosts(configuration), PATIENCE)


def warnOfNames(
    reactor: Any, configuration: Configuration, warn: Callable[[str], object]
) -> None:
    """
    Tell of members whose host has no address, without waiting for that.

    @param reactor: In whose thread to tell; one without threads never does.
    @param warn: Called with each line.
    """
    hosts = namedHosts(configuration)
    if hosts and IReactorThreads.providedBy(reactor):

        def find() -> None:
            for line in withoutAddress(hosts, PATIENCE):
                reactor.callFromThread(warn, line)

        Thread(target=find, daemon=True).start()
