"""Makes a configuration from the options of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from attrs import evolve, frozen

from ..words.place import Place
from .model import Configuration
from .whole import configurationAt

_OPTIONS: Mapping[str, str] = {
    "listen": "--listen",
    "backends": "--backend",
    "picker": "--picker",
    "access": "--access-log",
}


@frozen
class OptionPlace(Place):
    """A place on the command line.  Errors show the option instead of a key."""

    def key(self, name: str) -> Self:
        """The option that sets this key; if there is none, the option of this place."""
        return evolve(self, source=_OPTIONS.get(name, self.source))

    def item(self, index: int) -> Self:
        """The same place: each item is given by the same option."""
        return self


def configurationFromEndpoints(
    listen: Sequence[str],
    backends: Sequence[str] = (),
    picker: str | None = None,
    accessLog: str | None = None,
) -> Configuration:
    """
    Make the configuration of one listener and one pool, both named C{default}.

    @param listen: Twisted server endpoint descriptions.
    @param backends: Twisted client endpoint descriptions.  If there are none, the pool
        has no backends, and the demo pool is used.
    @param picker: C{"NAME"} or C{"NAME:key=value"}; the default is that of a file.
    @param accessLog: A path, C{"stdout"} or C{"none"}; the default is that of a file.
    @raise ConfigurationError: If an option cannot be used; it names the option.
    """
    place = OptionPlace("command line")
    if not listen:
        raise place.key("listen").lack("say where to listen, such as --listen tcp:8080")
    pool: dict[str, object] = {"backends": list(backends)}
    document: dict[str, object] = {
        "listener": [{"name": "default", "listen": list(listen)}],
        "pool": {"default": pool},
    }
    if picker is not None:
        pool["picker"] = picker
    if accessLog is not None:
        document["log"] = {"access": accessLog}
    return configurationAt(document, place, demo=True)
