"""From the options of the command line to configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from attrs import evolve, frozen

from .model import Configuration
from .place import Place
from .whole import configurationAt

_OPTIONS: Mapping[str, str] = {
    "listen": "--listen",
    "backends": "--backend",
    "picker": "--picker",
    "access": "--access-log",
}


@frozen
class OptionPlace(Place):
    """A place on the command line: of all the keys only the option is shown."""

    def key(self, name: str) -> Self:
        """The option that gives this key, or else the one that stands here."""
        return evolve(self, source=_OPTIONS.get(name, self.source))

    def item(self, index: int) -> Self:
        """The option itself, which was given several times."""
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
    @param backends: Twisted client endpoint descriptions.  Without any the
        pool is left without backends, which asks for the demo pool.
    @param picker: C{"NAME"} or C{"NAME:key=value"}; by default as in a file.
    @param accessLog: A path, C{"stdout"} or C{"none"}; by default as in a file.
    @raise ConfigurationError: Naming the option, if one cannot be used.
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
