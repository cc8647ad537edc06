"""
The configuration as frozen values, whether from a file or from the command line.

Durations are seconds, and 0 is off where the reference allows it.  The options that a
package declares are held in that package's own options class.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from ..balance.health import DEFAULT_EJECTION, EjectionOptions
from ..balance.options import PoolOptions
from ..balance.routing import Route
from ..discovery.options import DiscoveryOptions
from ..health.options import HealthCheckOptions
from ..plugins.choice import PickerChoice
from ..proxy.dialer import DialOptions
from ..proxy.policy import SessionOptions
from ..streams.tlsoptions import ServerTLSOptions
from ..words.backend import Backend
from ..words.description import Description
from ..words.endpoints import ServerDescription, parseServer
from ..words.networks import Network, parseNetwork
from ..words.options import REQUIRED, Unset, declared, option
from ..words.place import Place
from ..words.units import formatDuration, parseDuration
from ..words.values import boolean, oneOf, plainName, text, wholeNumber
from .backends import BACKENDS
from .discovery import DISCOVERY
from .healthcheck import HEALTH_CHECK
from .listenertls import LISTENER_TLS, readListenerTLS
from .owners import groupId, userId
from .routes import ROUTES
from .schema import Placed, Table, keysOf, readAt
from .values import listOf, oneOrListOf

_NOWHERE = Place("configuration")


def _picker(written: object, place: Place) -> PickerChoice:
    """Read a picker: C{"NAME:key=value"}, or a table with its name and its options."""
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


@frozen(kw_only=True)
class ProcessOptions:
    """
    The options of the whole process.

    @ivar maxConnections: The most connections at once; 0 for as many as descriptors
        allow.
    @ivar drainTimeout: Seconds that connections may take to finish when it is stopped;
        0 to abort them at once.
    @ivar shutdownDelay: Seconds for which clients are still accepted when it is
        stopped.
    @ivar sockets: C{"epoll"}, C{"reactor"} or C{"auto"}; see L{socketsOf}.
    """

    maxConnections: int = option(
        wholeNumber(0), 0, "Connections at once; 0 for as many as descriptors allow."
    )
    drainTimeout: float = option(
        parseDuration,
        "30s",
        "How long connections may take to finish after SIGTERM or SIGINT, until they "
        "are cut off; 0 cuts them off at once.",
    )
    shutdownDelay: float = option(
        parseDuration,
        0,
        "For how long clients are still accepted after SIGTERM or SIGINT, before "
        "drain-timeout begins.",
    )
    sockets: str = option(
        oneOf("auto", "epoll", "reactor"),
        "auto",
        'Which sockets carry TCP and UNIX connections: "epoll" for lbproxy\'s own, on '
        'Linux; "reactor" for the reactor\'s; or "auto". It takes a restart to change.',
    )


@frozen(kw_only=True)
class ListenerConfiguration:
    """
    The configuration of one listener.

    @ivar listen: Twisted server endpoint descriptions, at least one.
    @ivar mode: C{"tcp"}.
    @ivar pool: The name of a pool that exists.
    @ivar routes: In the order in which they are asked, before the router.
    @ivar router: C{python:package.module.Attribute}, or L{None}.
    @ivar tls: How clients speak TLS to it, or L{None} if they do not.
    @ivar backlog: The backlog of each endpoint whose description gives none.
    @ivar proxyProtocol: C{"off"}, C{"optional"} or C{"required"}.
    @ivar trustedProxies: Whose PROXY headers are believed.
    @ivar requireTls: Whether clients are refused that do not begin with TLS.
    @ivar session: The options of its sessions.
    @ivar socketOwner: The number of the user who owns its UNIX sockets; L{None} to
        leave the owner.
    @ivar socketGroup: The number of the group of its UNIX sockets; L{None} to leave the
        group.
    @ivar place: Where it was written, for errors that are found later.
    """

    name: str = field(
        metadata=declared(
            plainName, Unset("its first description"), "What logs call it."
        )
    )
    listen: tuple[ServerDescription, ...] = field(
        metadata=declared(
            oneOrListOf(parseServer),
            REQUIRED,
            "Twisted server endpoint descriptions: one, or a list.",
        )
    )
    mode: str = option(oneOf("tcp"), "tcp", 'What is balanced; only "tcp" so far.')
    pool: str = field(
        metadata=declared(
            plainName,
            Unset("the pool, if there is just one"),
            "Where connections go that no route and no router sends elsewhere.",
        )
    )
    routes: tuple[Route, ...] = field(
        default=(),
        metadata=declared(
            ROUTES,
            Unset("none"),
            "Which connections go to another pool, by where they come from and to; "
            "asked before the router.",
        ),
    )
    router: str | None = field(
        default=None,
        metadata=declared(
            text('"python:package.module.Attribute"'),
            Unset("none"),
            'What chooses the pool: "python:package.module.Attribute".',
        ),
    )
    proxyProtocol: str = option(
        oneOf("off", "optional", "required"),
        "off",
        "Whether connections begin with a PROXY header: "
        '"optional" for those of the trusted proxies, which must send one; '
        '"required" to refuse all others.',
    )
    trustedProxies: tuple[Network, ...] = field(
        default=(),
        metadata=declared(
            listOf(parseNetwork, mayBeEmpty=True),
            (),
            'Whose PROXY headers are believed: networks, addresses, or "unix:".',
        ),
    )
    requireTls: bool = option(
        boolean,
        False,
        "Whether clients are refused that do not begin with TLS; it is looked at, and "
        "left to the backend.",
    )
    tls: ServerTLSOptions | None = field(
        default=None,
        metadata=declared(Placed(readListenerTLS), Unset("none"), LISTENER_TLS.doc),
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

    @property
    def asksHello(self) -> bool:
        """Whether the TLS handshakes of its clients are looked at, and left to pass."""
        asks = self.requireTls or any(each.asksHello for each in self.routes)
        return asks and self.tls is None


EJECTION = Table(
    "[pool.NAME.ejection]",
    "When a member whose dials fail is left alone, and for how long.",
    keysOf(EjectionOptions),
)


def _ejection(written: object, place: Place) -> EjectionOptions:
    """Read a table of L{EJECTION}."""
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
    The configuration of one pool.

    @ivar backends: The backends, with distinct names.  It is empty only if there is a
        discovery, or if the command line names none; then the demo pool is used.
    @ivar dial: How its members are dialled.
    @ivar options: How its members are used.
    @ivar ejection: When its members are ejected, and for how long.
    @ivar healthCheck: How its members are checked, or L{None}.
    @ivar discovery: Where further backends come from, or L{None}.
    @ivar place: Where it was written, for errors that are found later.
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
        default=(),
        metadata=declared(
            BACKENDS,
            Unset("those that discovery finds"),
            "Where connections go: a list of client endpoint descriptions and tables.",
        ),
    )
    dial: DialOptions = field(factory=DialOptions)
    options: PoolOptions = field(factory=PoolOptions)
    ejection: EjectionOptions = field(
        default=DEFAULT_EJECTION,
        metadata=declared(
            Placed(_ejection), Unset("as that table has it"), EJECTION.doc
        ),
    )
    healthCheck: HealthCheckOptions | None = field(
        default=None,
        metadata=declared(HEALTH_CHECK.placed, Unset("none"), HEALTH_CHECK.table.doc),
    )
    discovery: DiscoveryOptions | None = field(
        default=None,
        metadata=declared(DISCOVERY.placed, Unset("none"), DISCOVERY.table.doc),
    )
    place: Place = field(default=_NOWHERE, eq=False, repr=False)


@frozen
class Configuration:
    """
    A whole configuration.

    It is consistent: names are unique, and every name that is referred to exists.

    @ivar accessLog: A path, C{"stdout"} or C{"none"}.
    @ivar listeners: At least one.
    """

    process: ProcessOptions
    accessLog: str
    listeners: tuple[ListenerConfiguration, ...]
    pools: tuple[PoolConfiguration, ...]
