"""
What configuration says, as frozen values, whichever way it was said.

Durations are seconds, and 0 is off where the reference allows it.  What a room
has options for is held as that room's own options class.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from ..balance.health import DEFAULT_EJECTION, EjectionOptions
from ..proxy.dialer import DialOptions
from ..proxy.policy import SessionOptions
from ..words.backend import Backend
from ..words.description import Description
from ..words.options import REQUIRED, Unset, declared, option
from ..words.units import formatDuration
from ..words.values import oneOf, plainName, text, wholeNumber
from .owners import groupId, userId
from .place import Place
from .schema import Placed, Table, keysOf, readAt
from .values import listOf, oneOrListOf

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


def _picker(written: object, place: Place) -> PickerChoice:
    """A picker: C{"NAME:key=value"}, or a table with its name and its options."""
    if isinstance(written, Mapping):
        if "name" not in written:
            raise place.refuse(written, 'expected the name of a picker as "name"')
        named = text("the name of a picker")
        chosen = readAt(named, written["name"], place.key("name"))
        options = {key: value for key, value in written.items() if key != "name"}
        return PickerChoice(chosen, options)
    return readAt(_describedPicker, written, place)  # type: ignore[no-any-return]


def _describedPicker(written: object) -> PickerChoice:
    described = text('the name of a picker, "NAME:key=value", or a table')
    parts = Description.parse(described(written))
    chosen, *rest = parts.positional or ("",)
    if chosen == "python" and rest:
        chosen = f"python:{rest.pop(0)}"
    if rest or not chosen:
        raise ValueError('expected "NAME" or "NAME:key=value:key=value"')
    return PickerChoice(chosen, parts.named)


BACKEND = Table(
    "[[pool.NAME.backends]]",
    "One place to send connections to.",
    keysOf(Backend),
    ("backup", "bind", "max-connections", "proxy-protocol", "state", "tls"),
)


def _backend(written: object, place: Place) -> Backend:
    """A backend: its description alone, or a table of L{BACKEND}."""
    if isinstance(written, str):
        # The short form is the long one with all but the description omitted.
        readAt(text("an endpoint description"), written, place)
        written = {"connect": written}
    return Backend(**BACKEND.read(written, place))


@frozen(kw_only=True)
class ProcessOptions:
    """
    What holds for the whole process.

    @ivar maxConnections: At once; 0 for as many as descriptors allow.
    """

    maxConnections: int = option(
        wholeNumber(0), 0, "Connections at once; 0 for as many as descriptors allow."
    )


@frozen(kw_only=True)
class ListenerConfiguration:
    """
    One listener.

    @ivar listen: Twisted server endpoint descriptions, at least one.
    @ivar mode: C{"tcp"}.
    @ivar pool: The name of a pool that exists.
    @ivar router: C{python:package.module.Attribute}, or L{None}.
    @ivar backlog: For the endpoints whose description names none.
    @ivar session: What its sessions allow.
    @ivar socketOwner: Of its UNIX sockets: a user's number, or L{None} to leave it.
    @ivar socketGroup: Likewise, a group's number.
    @ivar place: Where it was written, for the errors found later.
    """

    name: str = field(
        metadata=declared(
            plainName, Unset("its first description"), "What logs call it."
        )
    )
    listen: tuple[str, ...] = field(
        metadata=declared(
            oneOrListOf(
                text('a Twisted server endpoint description such as "tcp:8080"')
            ),
            REQUIRED,
            "Twisted server endpoint descriptions: one, or a list.",
        )
    )
    mode: str = option(oneOf("tcp"), "tcp", 'What is balanced; only "tcp" so far.')
    pool: str = field(
        metadata=declared(
            plainName,
            Unset("the pool, if there is just one"),
            "Where connections go that no router sends elsewhere.",
        )
    )
    router: str | None = field(
        default=None,
        metadata=declared(
            text('"python:package.module.Attribute"'),
            Unset("none"),
            'What chooses the pool: "python:package.module.Attribute".',
        ),
    )
    session: SessionOptions = field(factory=SessionOptions)
    backlog: int = option(
        wholeNumber(1, 65535),
        1024,
        "How many connections the kernel holds until they are accepted, where "
        "the description names no number.",
    )
    socketOwner: int | None = field(
        default=None,
        metadata=declared(
            userId,
            Unset("the user it is started as"),
            "Whom the socket of a unix: endpoint belongs to: a user's name or number.",
        ),
    )
    socketGroup: int | None = field(
        default=None,
        metadata=declared(
            groupId,
            Unset("the group it is started as"),
            "The group of that socket: a group's name or number.",
        ),
    )
    place: Place = field(default=_NOWHERE, eq=False, repr=False)


EJECTION = Table(
    "[pool.NAME.ejection]",
    "When a member whose dials fail is left alone, and for how long.",
    keysOf(EjectionOptions),
)


def _ejection(written: object, place: Place) -> EjectionOptions:
    """A table of L{EJECTION}."""
    values = EJECTION.read(written, place)
    if values["maxTime"] < values["baseTime"]:
        given = written.get("max-time") if isinstance(written, Mapping) else None
        shortest = formatDuration(values["baseTime"])
        reason = f"expected at least base-time, which is {shortest}"
        raise place.key("max-time").refuse(given, reason)
    return EjectionOptions(**values)


@frozen(kw_only=True)
class PoolConfiguration:
    """
    One pool.

    @ivar backends: With distinct names; none only where the command line named
        none, which asks for the demo pool.
    @ivar dial: How its members are dialled.
    @ivar ejection: When they are ejected.
    @ivar place: Where it was written, for the errors found later.
    """

    name: str
    picker: PickerChoice = field(
        metadata=declared(
            Placed(_picker),
            "round-robin",
            'What chooses among the backends: "NAME", "NAME:key=value", or a table '
            "with its name and its options.",
        )
    )
    backends: tuple[Backend, ...] = field(
        metadata=declared(
            listOf(Placed(_backend), mayBeEmpty=True),
            REQUIRED,
            "Where connections go: a list of client endpoint descriptions and tables.",
        )
    )
    dial: DialOptions = field(factory=DialOptions)
    ejection: EjectionOptions = field(
        default=DEFAULT_EJECTION,
        metadata=declared(
            Placed(_ejection), Unset("as that table has it"), EJECTION.doc
        ),
    )
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
