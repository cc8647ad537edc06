"""Members, candidates and connections for the tests of pickers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from lbproxy.balance.candidates import LiveCandidates, NarrowedCandidates
from lbproxy.balance.informed import InformedPicker
from lbproxy.balance.maglev import SLICE, tableSize
from lbproxy.interfaces import IBackendPicker, ICandidates
from lbproxy.words.backend import Backend, Member
from lbproxy.words.connection import Address, Connection

CRITICAL = {
    1: 10.828,
    2: 13.816,
    3: 16.266,
    4: 18.467,
    5: 20.515,
    8: 26.125,
    9: 27.877,
    99: 148.230,
}
"""The chi-squared that chance exceeds once in a thousand, by degrees of freedom."""


def aConnection(*tried: Member) -> Connection:
    return Connection(
        id=1,
        listener="web",
        client=Address("192.0.2.1", 40000),
        local=Address("192.0.2.2", 80),
        opened=0.0,
        tried=[member.backend for member in tried],
    )


def clientAt(number: int, *tried: Member) -> Connection:
    """A connection of one of many clients."""
    connection = aConnection(*tried)
    host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    connection.client = Address(host, 40000)
    return connection


def membersOf(weights: Iterable[int]) -> list[Member]:
    """Members C{a}, C{b}, C{c}... with these weights."""
    return [
        Member(Backend(f"tcp:127.0.0.1:{9000 + at}", chr(ord("a") + at), weight))
        for at, weight in enumerate(weights)
    ]


def backends(
    number: int, weight: int = 1, backup: bool = False, tier: int = 0
) -> list[Member]:
    """
    Members that are known by number: C{m0}, C{b0} for backups, or C{m7-0} for those of
    tier 7.
    """
    letter = "b" if backup else f"m{tier}-" if tier else "m"
    return [
        Member(
            Backend(
                "tcp:127.0.0.1:1",
                f"{letter}{each}",
                weight,
                backup=backup,
                tier=tier,
            )
        )
        for each in range(number)
    ]


def viewOf(members: list[Member]) -> LiveCandidates:
    return LiveCandidates({member: at for at, member in enumerate(members)}, members)


def without(view: LiveCandidates, *tried: Member) -> NarrowedCandidates:
    return NarrowedCandidates(view, tried)


def names(picker: IBackendPicker, view: ICandidates, picks: int) -> str:
    """The names of so many picks in a row."""
    picked = [picker.pick(view, aConnection()) for _ in range(picks)]
    return "".join(member.name for member in picked if isinstance(member, Member))


def chiSquared(drawn: Mapping[str, int], members: Iterable[Member]) -> float:
    """How far the numbers of picks are from what the weights say."""
    members = list(members)
    picks = sum(drawn.values())
    total = sum(member.effectiveWeight for member in members)
    expected = {each.name: picks * each.effectiveWeight / total for each in members}
    assert set(drawn) <= set(expected)
    return sum((drawn.get(n, 0) - e) ** 2 / e for n, e in expected.items())


class Told:
    """
    A picker as a pool has it: told of all that it provides an interface for.

    @ivar view: The candidates of a first try.
    @ivar now: The time, in seconds, which the test moves.
    """

    def __init__(self, picker: Any, members: Iterable[Member]) -> None:
        self.picker = picker
        self.informed = InformedPicker(picker)
        self.members = list(members)
        self.view = viewOf(self.members)
        self.full: set[Member] = set()
        self.now = 0.0
        self.informed.configured(self.members)
        self.informed.added(self.members)

    def add(self, member: Member) -> None:
        self.view.add(member)
        self.informed.added([member])

    def remove(self, member: Member) -> None:
        if member in self.full:
            self.full.remove(member)
            member.isFull = False
        else:
            self.view.remove(member)
        self.informed.removed([member])

    def reconfigure(self, members: Iterable[Member]) -> None:
        """Have other members; those that are new are added, others removed."""
        before, self.members = self.members, list(members)
        for member in before:
            if member not in self.members and self.has(member):
                self.remove(member)
        self.informed.configured(self.members)
        positions = {member: at for at, member in enumerate(self.members)}
        self.view = LiveCandidates(
            positions, [each for each in self.members if each in self.view]
        )
        for member in self.members:
            if member not in before:
                self.add(member)

    def has(self, member: Member) -> bool:
        """Whether a member takes part, full or not."""
        return member in self.view or member in self.full

    def fill(self, member: Member) -> None:
        self.full.add(member)
        self.view.remove(member)
        member.isFull = True
        self.informed.capacityChanged(member)

    def free(self, member: Member) -> None:
        self.full.remove(member)
        self.view.add(member)
        member.isFull = False
        self.informed.capacityChanged(member)

    def ramp(self, member: Member, ramp: float) -> None:
        member.ramp = ramp
        self.informed.changed(member)

    def load(self, member: Member, change: int) -> None:
        """Lease a member, or release it."""
        member.active += change
        self.informed.loadChanged(member)

    def happen(self, event: str, member: Member) -> None:
        """Let something happen to a member, if it can."""
        present = self.has(member)
        if event == "add" and not present:
            self.add(member)
        elif event == "remove" and present:
            self.remove(member)
        elif event == "fill" and member in self.view:
            self.fill(member)
        elif event == "free" and member in self.full:
            self.free(member)
        elif event == "ramp":
            self.ramp(member, 0.1 if member.ramp == 1.0 else 1.0)
        elif event in ("answered", "failed", "waited"):
            self.now += 3.0
            getattr(self.informed, event)(member, self.now / 7 % 1, self.now)
        elif event == "lease" or (event == "release" and member.active):
            self.load(member, 1 if event == "lease" else -1)

    def pick(self, *tried: Member, client: int = 0) -> Member:
        """One pick, which is one of the candidates."""
        view = without(self.view, *tried) if tried else self.view
        self.informed.picking(self.now)
        chosen = self.picker.pick(view, clientAt(client, *tried))
        assert isinstance(chosen, Member)
        assert chosen in view
        return chosen

    def names(self, picks: int) -> str:
        return "".join(self.pick().name for _ in range(picks))

    def owners(self, clients: int) -> list[str]:
        """Which member each of many clients goes to."""
        return [self.pick(client=number).name for number in range(clients)]

    def drawn(self, picks: int, *tried: Member) -> Counter[str]:
        """How often each member is picked."""
        return Counter(self.pick(*tried).name for _ in range(picks))


def moved(before: list[str], after: list[str]) -> list[int]:
    """The clients that go elsewhere now."""
    return [each for each in range(len(before)) if before[each] != after[each]]


def rebuild(pool: Told) -> None:
    """As many picks as any table of so few members takes."""
    for _ in range(20 * tableSize(len(pool.members)) // SLICE):
        pool.pick()
