"""
The tables of the configuration file.

Their keys are declared as options by the packages that use them; see
L{lbproxy.words.options}.
"""

from __future__ import annotations

from ..proxy.policy import SessionOptions
from ..words.values import text
from .backends import BACKEND, BACKEND_TLS, MEMBER
from .discovery import DISCOVERY
from .healthcheck import HEALTH_CHECK
from .listenertls import CERTIFICATE, LISTENER_TLS, SHAKING
from .model import (
    EJECTION,
    ListenerConfiguration,
    PoolConfiguration,
    ProcessOptions,
)
from .routes import ROUTE
from .schema import Key, Placed, Table, keysOf
from .values import tables, tablesByName

_ONCE = ("routeTimeout", "pickTimeout", "closeTimeout")
"""Session options that are the same for all listeners."""

PROCESS = Table(
    "[process]",
    "What holds for the whole process.",
    (*keysOf(SessionOptions, only=_ONCE), *keysOf(ProcessOptions)),
    ("workers",),
)

LOG = Table(
    "[log]",
    "What is written about each connection.",
    (
        Key(
            "access",
            text('a path, "stdout" or "none"'),
            "none",
            'Where the access log goes: a path, "stdout" or "none".',
        ),
    ),
    ("format",),
)

LISTENER = Table(
    "[[listener]]",
    "Where clients come in: one or more endpoints with one policy.",
    keysOf(ListenerConfiguration, but=(*_ONCE, *SHAKING)),
    (
        *("allow", "bandwidth-per-connection", "connection-rate-per-client"),
        *("deny", "max-connections", "max-connections-per-client"),
    ),
)

POOL = Table(
    "[pool.NAME]",
    "A named set of backends with one picker and one policy.",
    keysOf(PoolConfiguration),
)

DOCUMENT = Table(
    "the whole file",
    "The tables of the file.",
    (
        Key("process", Placed(PROCESS.read), {}, PROCESS.doc),
        Key("log", Placed(LOG.read), {}, LOG.doc),
        Key("listener", tables(LISTENER), (), LISTENER.doc),
        Key("pool", tablesByName(POOL), {}, POOL.doc),
    ),
    ("admin",),
)
"""The file as a whole: each of its keys is one of the tables above."""

TABLES = (
    *(PROCESS, LOG, LISTENER, POOL, ROUTE, LISTENER_TLS, CERTIFICATE),
    *(BACKEND, BACKEND_TLS, EJECTION),
    *(HEALTH_CHECK.table, DISCOVERY.table, MEMBER),
)
"""The tables, in the order of the reference."""
