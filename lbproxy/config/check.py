"""What can be checked about a configuration only with a reactor and plugins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..interfaces import IBackendPickerFactory
from .endpoints import checkClientDescription, checkServerDescription
from .model import Configuration
from .plugins import buildPicker, namedRouter


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
