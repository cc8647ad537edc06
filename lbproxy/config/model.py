"""
What configuration says, as frozen values, whichever way it was said.

Durations are seconds, and 0 is off where the reference allows it.  There are
no defaults here: they are in L{lbproxy.config.keys}.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from ..words.backend import Backend
from .place import Place

_NOWHERE = Place("configuration")


@frozen
class PickerChoice:
    """
    Which picker a pool asked for; made when the pool is.

    @ivar name: A plugin's name, or C{python:package.module.Attribute}.
    @ivar options: As they were written: strings from a description, any TOML
        value from a table.
    """

    name: str
    options: Mapping[str, object] = field(factory=dict)

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])


@frozen
class ProcessOptions:
    """
    What holds for the whole process.

    @ivar routeTimeout: Seconds that a router may take; more than 0.
    @ivar pickTimeout: Seconds that a picker may take; more than 0.
    @ivar closeTimeout: Seconds that a side which is being closed may go without
        accepting a byte; more than 0.
    @ivar maxConnections: At once; 0 for as many as descriptors allow.
    """

    routeTimeout: float
    pickTimeout: float
    closeTimeout: float
    maxConnections: int


@frozen
class ListenerConfiguration:
    """
    One listener.

    @ivar listen: Twisted server endpoint descriptions, at least one.
    @ivar mode: C{"tcp"}.
    @ivar pool: The name of a pool that exists.
    @ivar router: C{python:package.module.Attribute}, or L{None}.
    @ivar backlog: For the endpoints whose description names none.
    @ivar keepalive: Seconds; 0 is off.
    @ivar place: Where it was written, for the errors found later.
    """

    name: str
    listen: tuple[str, ...]
    mode: str
    pool: str
    idleTimeout: float
    maxLifetime: float
    halfClose: bool
    halfCloseTimeout: float
    stallTimeout: float
    backlog: int
    keepalive: float
    router: str | None = None
    place: Place = field(default=_NOWHERE, eq=False, repr=False)


@frozen
class PoolConfiguration:
    """
    One pool.

    @ivar backends: With distinct names; none only where the command line named
        none, which asks for the demo pool.
    @ivar connectTimeout: Seconds for one dial; more than 0.
    @ivar retries: How many further members are tried after the first.
    @ivar dialDeadline: Seconds for all dials of a connection; more than 0.
    @ivar place: Where it was written, for the errors found later.
    """

    name: str
    picker: PickerChoice
    backends: tuple[Backend, ...]
    connectTimeout: float
    retries: int
    dialDeadline: float
    place: Place = field(default=_NOWHERE, eq=False, repr=False)


@frozen
class Configuration:
    """
    All of it, consistent: names are unique and refer to what exists.

    @ivar accessLog: A path, C{"stdout"} or C{"none"}.
    @ivar listeners: At least one.
    """

    process: ProcessOptions
    accessLog: str
    listeners: tuple[ListenerConfiguration, ...]
    pools: tuple[PoolConfiguration, ...]
