"""
Every key of the configuration file: one declarative table for each TOML table.

A default that a room of the house knows already is taken from that room's
options class, so that each is written once.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import fields_dict

from ..proxy.dialer import DialOptions
from ..proxy.policy import SessionOptions
from ..streams.watch import Limits
from ..words.backend import Backend
from ..words.description import Description
from ..words.units import formatDuration
from .model import PickerChoice
from .place import Place
from .schema import REQUIRED, Key, Table, Unset
from .values import (
    boolean,
    duration,
    listOf,
    moreThanNone,
    name,
    offOrBetween,
    oneOf,
    oneOrListOf,
    tables,
    tablesByName,
    text,
    wholeNumber,
)


def _default(owner: type, attribute: str) -> object:
    """What a room's options class has by default, as a file writes it."""
    value = fields_dict(owner)[attribute].default
    if isinstance(value, float):
        return formatDuration(value) if value else 0
    return value


def _picker(written: object, place: Place) -> PickerChoice:
    """A picker: C{"NAME:key=value"}, or a table with its name and its options."""
    if isinstance(written, Mapping):
        if "name" not in written:
            raise place.refuse(written, 'expected the name of a picker as "name"')
        chosen = text("the name of a picker")(written["name"], place.key("name"))
        options = {key: value for key, value in written.items() if key != "name"}
        return PickerChoice(chosen, options)
    described = text('the name of a picker, "NAME:key=value", or a table')
    try:
        parts = Description.parse(described(written, place))
    except ValueError as error:
        raise place.refuse(written, str(error)) from None
    chosen, *rest = parts.positional or ("",)
    if chosen == "python" and rest:
        chosen = f"python:{rest.pop(0)}"
    if rest or not chosen:
        raise place.refuse(written, 'expected "NAME" or "NAME:key=value:key=value"')
    return PickerChoice(chosen, parts.named)


def _backend(written: object, place: Place) -> Backend:
    """A backend: its description alone, or a table of L{BACKEND}."""
    if isinstance(written, str):
        # The short form is the long one with all but the description omitted.
        text("an endpoint description")(written, place)
        written = {"connect": written}
    return Backend(**BACKEND.read(written, place))


BACKEND = Table(
    "[[pool.NAME.backends]]",
    "One place to send connections to.",
    (
        Key(
            "connect",
            text('a Twisted client endpoint description such as "tcp:127.0.0.1:9001"'),
            REQUIRED,
            "Where it is: a Twisted client endpoint description.",
        ),
        Key("name", name, Unset("its description"), "What logs call it."),
        Key(
            "weight",
            wholeNumber(1, 65535),
            _default(Backend, "weight"),
            "Its share of the connections, relative to the other backends: 1 to 65535.",
        ),
    ),
)

PROCESS = Table(
    "[process]",
    "What holds for the whole process.",
    (
        Key(
            "route-timeout",
            moreThanNone,
            _default(SessionOptions, "routeTimeout"),
            "How long a router may take that does not answer at once.",
        ),
        Key(
            "pick-timeout",
            moreThanNone,
            _default(SessionOptions, "pickTimeout"),
            "How long a picker may take that does not answer at once.",
        ),
        Key(
            "close-timeout",
            moreThanNone,
            _default(Limits, "closeTimeout"),
            "How long what is left to deliver may wait; starts again with each byte "
            "that is delivered.",
        ),
        Key(
            "max-connections",
            wholeNumber(0),
            0,
            "Connections at once; 0 for as many as descriptors allow.",
        ),
    ),
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
)

LISTENER = Table(
    "[[listener]]",
    "Where clients come in: one or more endpoints with one policy.",
    (
        Key("name", name, Unset("its first description"), "What logs call it."),
        Key(
            "listen",
            oneOrListOf(
                text('a Twisted server endpoint description such as "tcp:8080"')
            ),
            REQUIRED,
            "Twisted server endpoint descriptions: one, or a list.",
        ),
        Key("mode", oneOf("tcp"), "tcp", 'What is balanced; only "tcp" so far.'),
        Key(
            "pool",
            name,
            Unset("the pool, if there is just one"),
            "Where connections go that no router sends elsewhere.",
        ),
        Key(
            "router",
            text('"python:package.module.Attribute"'),
            Unset("none"),
            'What chooses the pool: "python:package.module.Attribute".',
        ),
        Key(
            "idle-timeout",
            duration,
            _default(Limits, "idleTimeout"),
            "How long a connection may go without a byte either way; 0 is off.",
        ),
        Key(
            "max-lifetime",
            duration,
            _default(Limits, "maxLifetime"),
            "How long a connection may last, from accept to the last byte of its "
            "close; 0 is off.",
        ),
        Key(
            "half-close",
            boolean,
            _default(SessionOptions, "halfClose"),
            "Whether one direction goes on after the other has ended.",
        ),
        Key(
            "half-close-timeout",
            duration,
            _default(Limits, "halfCloseTimeout"),
            "How long there may be no progress after one side has ended; 0 is off.",
        ),
        Key(
            "stall-timeout",
            duration,
            _default(Limits, "stallTimeout"),
            "How long a side may take nothing although there is something for it; "
            "0 is off.",
        ),
        Key(
            "backlog",
            wholeNumber(1, 65535),
            1024,
            "How many connections the kernel holds until they are accepted, where "
            "the description names no number.",
        ),
        Key(
            "keepalive",
            # The kernel counts whole seconds up to 32767, MAX_TCP_KEEPIDLE.
            offOrBetween(1, 32400),
            _default(SessionOptions, "keepalive"),
            "After how long a silent peer, on either side, counts as gone: TCP "
            "keep-alive, 1s to 9h; 0 is off.",
        ),
    ),
)

POOL = Table(
    "[pool.NAME]",
    "A named set of backends with one picker and one policy.",
    (
        Key(
            "picker",
            _picker,
            "round-robin",
            'What chooses among the backends: "NAME", "NAME:key=value", or a table '
            "with its name and its options.",
        ),
        Key(
            "backends",
            listOf(_backend),
            REQUIRED,
            "Where connections go: a list of client endpoint descriptions and tables.",
        ),
        Key(
            "connect-timeout",
            moreThanNone,
            _default(DialOptions, "connectTimeout"),
            "How long one backend may take to accept, TLS handshake included.",
        ),
        Key(
            "retries",
            wholeNumber(0),
            _default(DialOptions, "retries"),
            "How many further members are tried after the first.",
        ),
        Key(
            "dial-deadline",
            moreThanNone,
            _default(DialOptions, "dialDeadline"),
            "How long all dials of one connection may take together.",
        ),
    ),
)

DOCUMENT = Table(
    "the whole file",
    "The tables of the file.",
    (
        Key("process", PROCESS.read, {}, PROCESS.doc),
        Key("log", LOG.read, {}, LOG.doc),
        Key("listener", tables(LISTENER), (), LISTENER.doc),
        Key("pool", tablesByName(POOL), {}, POOL.doc),
    ),
)
"""The file as a whole: each of its keys is one of the tables above."""

TABLES = (PROCESS, LOG, LISTENER, POOL, BACKEND)
"""The tables as the reference documents them."""
