"""Pools as their tests have them, with a picker and an observer that remember."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from zope.interface import implementer

from lbproxy.balance.health import DEFAULT_EJECTION, EjectionOptions
from lbproxy.balance.lease import Lease
from lbproxy.balance.options import PoolOptions
from lbproxy.balance.pool import Pool
from lbproxy.interfaces import (
    IBackendPicker,
    ICandidates,
    ICapacityObserver,
    IConfigurationObserver,
    ILoadObserver,
    IMembershipObserver,
    IPoolObserver,
)
from lbproxy.words.backend import Backend, Member
from lbproxy.words.connection import Connection

ONE_STRIKE = EjectionOptions(
    consecutiveFailures=1, baseTime=10.0, maxTime=40.0, maxEjected=1.0
)


@implementer(
    IBackendPicker,
    IMembershipObserver,
    ICapacityObserver,
    ILoadObserver,
    IConfigurationObserver,
)
class Told:
    """
    Picks whoever is first, remembers all that it is told, and takes nothing that
    makes no sense.

    @ivar weights: The effective weight of each member that may be picked.
    @ivar full: Which of them are full.
    @ivar loads: The load of each member that was ever leased.
    @ivar all: All members.
    @ivar words: What it was told, in order.
    """

    def __init__(self) -> None:
        self.weights: dict[Member, float] = {}
        self.full: set[Member] = set()
        self.loads: dict[Member, int] = {}
        self.all: list[Member] = []
        self.words: list[str] = []

    def added(self, member: Member) -> None:
        assert member not in self.weights
        self.weights[member] = member.effectiveWeight
        self.words.append(f"added {member.name}")

    def removed(self, member: Member) -> None:
        del self.weights[member]
        self.full.discard(member)
        self.words.append(f"removed {member.name}")

    def changed(self, member: Member) -> None:
        assert member in self.weights
        self.weights[member] = member.effectiveWeight
        self.words.append(f"changed {member.name}")

    def filled(self, member: Member) -> None:
        assert member in self.weights
        assert member not in self.full
        self.full.add(member)
        self.words.append(f"filled {member.name}")

    def freed(self, member: Member) -> None:
        self.full.remove(member)
        self.words.append(f"freed {member.name}")

    def loadChanged(self, member: Member) -> None:
        assert abs(member.active - self.loads.get(member, 0)) == 1
        self.loads[member] = member.active

    def configured(self, members: Sequence[Member]) -> None:
        self.all = list(members)
        self.words.append("configured " + " ".join(each.name for each in members))

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        return candidates[0]


@implementer(IPoolObserver)
class Heard:
    """
    Remembers what happened to the members of a pool.

    @ivar words: One entry for each event: its name, the member's, and the rest.
    """

    def __init__(self) -> None:
        self.words: list[tuple[object, ...]] = []

    def ejected(
        self, pool: str, member: Member, seconds: float, failures: int, reason: str
    ) -> None:
        self.words.append(("ejected", member.name, seconds, failures, reason))

    def notEjected(self, pool: str, member: Member, share: float) -> None:
        self.words.append(("notEjected", member.name, share))

    def returned(self, pool: str, member: Member, seconds: float) -> None:
        self.words.append(("returned", member.name, seconds))

    def wentDown(self, pool: str, member: Member, reason: str) -> None:
        self.words.append(("wentDown", member.name, reason))

    def wentUp(self, pool: str, member: Member, seconds: float) -> None:
        self.words.append(("wentUp", member.name, seconds))

    def stateSet(self, pool: str, member: Member, before: str) -> None:
        self.words.append(("stateSet", member.name, before, member.state))

    def nobodyLeft(self, pool: str, ejected: int, down: int, tryingAll: bool) -> None:
        self.words.append(("nobodyLeft", ejected, down, tryingAll))

    def tierChanged(self, pool: str, backups: int) -> None:
        self.words.append(("tierChanged", backups))

    def dialFailed(self, pool: str, member: Member, reason: str) -> None:
        self.words.append(("dialFailed", member.name, reason))

    def endedEmpty(self, pool: str, member: Member) -> None:
        self.words.append(("endedEmpty", member.name))

    def since(self) -> list[tuple[object, ...]]:
        """What was told since the last call of this."""
        words, self.words = self.words, []
        return words


def backendsOf(names: str, **attributes: Any) -> list[Backend]:
    """A backend for each letter; those in capitals are backups."""
    return [
        Backend(f"tcp:{name}:80", name.lower(), backup=name.isupper(), **attributes)
        for name in names
    ]


def poolOf(
    names: str,
    *,
    picker: Any = None,
    ejection: EjectionOptions = DEFAULT_EJECTION,
    observer: Heard | None = None,
    limit: int = 0,
    **options: Any,
) -> Pool:
    """
    A pool with a member for each letter; those in capitals are backups.

    @param limit: The C{max-connections} of each.
    @param options: Those of the pool.
    """
    return Pool(
        "web",
        backendsOf(names, maxConnections=limit),
        Told() if picker is None else picker,
        ejection,
        observer,
        PoolOptions(**options),
    )


def toldBy(pool: Pool) -> Told:
    """The picker of a pool that was made with the default one."""
    assert isinstance(pool.picker, Told)
    return pool.picker


def leased(pool: Pool, member: Member) -> Lease:
    lease = pool.lease(member)
    assert lease is not None
    return lease


def fail(pool: Pool, member: Member, now: float) -> None:
    """Let a connection to a member fail."""
    lease = leased(pool, member)
    lease.failed(now, "refused")
    lease.release()


def names(members: Collection[Member] | ICandidates) -> str:
    """The names of members, in their order."""
    return "".join(each.name for each in members)


def may(pool: Pool, now: float = 0.0, tried: Collection[Member] = ()) -> str:
    """The names of the members that may be picked."""
    return names(pool.candidates(now, tried))
