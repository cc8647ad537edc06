"""Checks a configuration with a reactor, with plugins and against this machine."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ..discovery.options import KINDS, DiscoveryOptions
from ..endpoints.making import checkClientDescription, checkServerDescription
from ..interfaces import IBackendPickerFactory
from ..plugins.making import buildDiscovery, buildPicker, buildProbe, namedRouter
from ..streams.sockets import socketsOf
from ..words.place import Place
from .backendtls import contextsOf
from .certificates import checkCertificates
from .model import Configuration
from .names import namedHosts, withoutAddress
from .surroundings import checkSurroundings

PATIENCE = 5.0
"""Seconds for all name lookups together. glibc waits as long for one server."""


def checkConfiguration(
    reactor: Any,
    configuration: Configuration,
    factories: Iterable[IBackendPickerFactory] | None = None,
) -> None:
    """
    Check that a configuration could run.

    Every endpoint, picker, health probe and router that it names is made once and
    discarded, and files of TLS to backends are read.  Nothing listens or connects.
    L{checkCertificates} is for the files of listeners that speak TLS.

    @param reactor: The reactor that the endpoints are made for.
    @param factories: The factories to look pickers up in; by default the installed
        plugins.
    @raise ConfigurationError: If something cannot be made, naming the file or the
        option, the key and the value.
    """
    which = configuration.process.sockets
    try:
        socketsOf(reactor, which)
    except ValueError as error:
        place = Place(configuration.listeners[0].place.source)
        raise place.key("process").key("sockets").refuse(which, str(error)) from None
    for listener in configuration.listeners:
        for listen in listener.listen:
            checkServerDescription(reactor, listen, listener.place.key("listen"))
        if listener.router is not None:
            namedRouter(listener.router, listener.place.key("router"))
    for pool in configuration.pools:
        buildPicker(pool.picker, pool.place.key("picker"), factories)
        if pool.healthCheck is not None:
            buildProbe(pool.healthCheck, reactor, pool.place.key("health-check"))
        if pool.discovery is not None:
            checkDiscovery(pool.discovery, reactor, pool.place.key("discovery"))
        for at, backend in enumerate(pool.backends):
            place = pool.place.key("backends").item(at)
            checkClientDescription(reactor, backend.description, place)
    contextsOf(configuration)


def checkDiscovery(options: DiscoveryOptions, reactor: Any, place: Place) -> None:
    """
    Check that the discovery of a pool can be made.

    @param place: Where it was written.
    @raise ConfigurationError: If it cannot be made.
    """
    # What was written of the built-in kinds was checked when it was read.
    if options.kind not in KINDS:
        buildDiscovery(options, reactor, place)


def checkStart(reactor: Any, configuration: Configuration, log: Place) -> list[str]:
    """
    Check that a start on this machine would succeed.  Nothing listens or connects.

    @param reactor: The reactor that the endpoints are made for.
    @param log: The place that names the access log.
    @return: Warnings: what cannot be checked here, certificates that expire soon, and
        members whose host has no address now.
    @raise ConfigurationError: If a start would fail.
    """
    checkConfiguration(reactor, configuration)
    now = datetime.fromtimestamp(reactor.seconds(), UTC)
    warnings = checkCertificates(configuration, now, asAnother=True)
    warnings += checkSurroundings(configuration, log)
    return warnings + withoutAddress(namedHosts(configuration), PATIENCE)
