"""A backend, and a member, which is a backend in one pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import cached_property
from typing import Any

from attrs import define, evolve, field, frozen

from .endpoints import ClientDescription, parseClient
from .options import REQUIRED, Unset, declared, option
from .tlsoptions import TLSOptions
from .values import addressOrEmpty, boolean, oneOf, plainName, wholeNumber

parseWeight = wholeNumber(1, 65535)
parseTier = wholeNumber(0, 65535)
parseState = oneOf("ready", "drain", "maintenance")
parseProxyProtocol = oneOf("off", "v1", "v2")


@frozen
class Backend:
    """
    One place to send connections to.

    @ivar connect: The Twisted client endpoint description, such as
        C{"tcp:127.0.0.1:9001"}; kept as text, so that backends can be compared.
    @ivar name: The name in logs; by default the description.
    @ivar weight: Its share of the connections, relative to the other members of its
        pool: 1 to 65535.
    @ivar maxConnections: The most connections at once, dials included; 0 for no limit.
    @ivar backup: Whether it is used only while no other member is available: it is of
        tier 1 at least.
    @ivar state: C{"ready"}; C{"drain"}, which keeps its connections and gets no more;
        or C{"maintenance"}, in which it is not checked either.
    @ivar bind: The local IP address to connect from; empty for any.
    @ivar proxyProtocol: The version of the PROXY header that its connections begin
        with: C{"v1"}, C{"v2"}, or C{"off"} for none.
    @ivar tls: How TLS is spoken to it; L{None} for not at all, except where C{connect}
        itself says so.
    @ivar hostName: The name of the host whose address C{connect} has, if it was looked
        up; else empty.
    @ivar origin: The backend that was listed with a host name, if this is it at one of
        the addresses of the host.
    @ivar tier: 0 to 65535, for discoveries and programs: the members of a tier are used
        only while no member of a lower one is available.
    """

    connect: str = field(
        metadata=declared(
            lambda given: parseClient(given).text,
            REQUIRED,
            "Where it is: a Twisted client endpoint description.",
        )
    )
    name: str = field(
        metadata=declared(plainName, Unset("its description"), "What logs call it.")
    )
    weight: int = option(
        parseWeight,
        1,
        "Its share of the connections, relative to the other backends: 1 to 65535.",
    )
    maxConnections: int = option(
        wholeNumber(0), 0, "Its connections at once, dials included; 0 for no limit."
    )
    backup: bool = option(
        boolean, False, "Whether it is used only while no other backend is available."
    )
    state: str = option(
        parseState,
        "ready",
        'Whether it is used: "ready"; "drain", which keeps its connections and gets '
        'no more; or "maintenance", in which it is not checked either.',
    )
    bind: str = option(
        addressOrEmpty("an IP address of this host"),
        "",
        "The local IP address to connect from; empty for the system's choice.",
    )
    proxyProtocol: str = option(
        parseProxyProtocol,
        "off",
        "Whether it is told each client's address by a PROXY header, and in which "
        'version: "off", "v1" or "v2".',
    )
    tls: TLSOptions | None = field(default=None, kw_only=True)
    hostName: str = field(default="", kw_only=True)
    origin: Backend | None = field(default=None, kw_only=True, repr=False)
    tier: int = field(default=0, kw_only=True)

    @name.default
    def _nameIsDescription(self) -> str:
        return self.connect

    def __attrs_post_init__(self) -> None:
        self._check("weight", parseWeight)
        self._check("tier", parseTier)
        self._check("proxyProtocol", parseProxyProtocol)
        if self.proxyProtocol != "off" and self.description.kind in ("ssl", "tls"):
            raise ValueError(
                f"{self.connect} has PROXY headers within TLS, where nobody looks for "
                "them; use a tcp: endpoint"
            )

    def _check(self, name: str, parse: Callable[[object], object]) -> None:
        value = getattr(self, name)
        try:
            parse(value)
        except ValueError as error:
            raise ValueError(f"{name} = {value}: {error}") from None

    @property
    def effectiveTier(self) -> int:
        """The tier that it is used in: C{tier}, or 1 for a backup where that is 0."""
        return max(self.tier, int(self.backup))

    @cached_property
    def description(self) -> ClientDescription:
        """
        C{connect}, parsed.

        @raise ValueError: With one line that says what is wrong with it.
        """
        return ClientDescription.parse(self.connect)

    @property
    def endpoint(self) -> ClientDescription:
        """
        The description to connect with: C{connect}, from C{bind} if that is set.

        @raise ValueError: As for L{description}.
        """
        if not self.bind:
            return self.description
        return self.description.withDefault("bindAddress", self.bind)

    @property
    def serverName(self) -> str:
        """
        The name or the IP address that its certificate must be for: the one that
        C{tls} has, or that of its host; empty if there is none.

        @raise ValueError: As for L{description}.
        """
        given = self.tls.serverName if self.tls is not None else ""
        return given or self.hostName or self.description.argument("host") or ""

    @property
    def speaksTLS(self) -> bool:
        """
        Whether its endpoint speaks TLS by itself, as Twisted's C{tls:} and C{ssl:} do.

        @raise ValueError: As for L{description}.
        """
        return self.description.kind in ("tls", "ssl")

    def at(self, address: str) -> Backend:
        """
        This backend at one of the addresses that its host name was looked up to.

        @raise ValueError: As for L{description}.
        """
        return evolve(
            self,
            connect=self.description.at(address).text,
            name=f"{self.name}@{address}",
            hostName=self.description.hostName or "",
            origin=self,
        )

    def atEach(self, addresses: Iterable[str]) -> list[Backend]:
        """
        This backend at each of some addresses.

        Those are left out that C{bind} cannot connect to, being of the other family.
        """
        return [
            self.at(each)
            for each in addresses
            if not self.bind or (":" in self.bind) is (":" in each)
        ]

    def __str__(self) -> str:
        return self.name


class Standing(StrEnum):
    """
    Whether a member may be picked, and if not, why.  Where several reasons hold, the
    first of these counts.
    """

    MAINTENANCE = "maintenance"
    DRAIN = "drain"
    DOWN = "down"
    EJECTED = "ejected"
    FULL = "full"
    AVAILABLE = "available"


@define(eq=False)
class Member:
    """
    One backend in one pool, with its live state.

    Only its pool writes to it, except for C{way}.

    @ivar backend: As it is configured.
    @ivar heldWeight: The weight that a program has set; L{None} for the configured one.
    @ivar heldState: The state that a program has set; L{None} for the configured one.
    @ivar ramp: How much of its weight counts, 0.1 to 1: less than 1 while it starts
        slowly.
    @ivar active: How many leases on it are held: connections being dialled or relayed.
    @ivar dials: How many of them are dialled; counted only where the pool limits that.
    @ivar isFull: Whether it has as many connections or dials as it may have.
    @ivar downSince: When its checks found it down, in the seconds of the pool's clock,
        or L{None} while they do not.
    @ivar failures: How many failures of it were counted so far.
    @ivar consecutiveFailures: How many dials have failed since the last successful one.
    @ivar ejections: How many times it was ejected since the last successful dial.  Each
        ejection doubles the next one.
    @ivar ejectedUntil: When it may be picked again, in the seconds of the pool's clock,
        or L{None} while it is not ejected.
    @ivar ejectedAt: When it was ejected last.
    @ivar way: The object that the dialer connects with, made on the first dial.
    """

    backend: Backend
    heldWeight: int | None = None
    heldState: str | None = None
    ramp: float = 1.0
    active: int = 0
    dials: int = 0
    isFull: bool = False
    downSince: float | None = None
    failures: int = 0
    consecutiveFailures: int = 0
    ejections: int = 0
    ejectedUntil: float | None = None
    ejectedAt: float = 0.0
    way: Any = None

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.backend.name

    @property
    def weight(self) -> int:
        """Its weight: the one that a program has set, or else the backend's."""
        held = self.heldWeight
        return self.backend.weight if held is None else held

    @property
    def effectiveWeight(self) -> float:
        """The weight, less what slow start still takes from it; above 0."""
        return self.weight * self.ramp

    @property
    def state(self) -> str:
        """The state that a program has set, or else the backend's."""
        held = self.heldState
        return self.backend.state if held is None else held

    @property
    def standing(self) -> Standing:
        """Whether it may be picked, and if not, why."""
        if self.state != "ready":
            return Standing(self.state)
        if self.downSince is not None:
            return Standing.DOWN
        if self.ejectedUntil is not None:
            return Standing.EJECTED
        return Standing.FULL if self.isFull else Standing.AVAILABLE
