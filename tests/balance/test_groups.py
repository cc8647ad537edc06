"""Groups: whom a pool picks from, by tier and by standing, and in which order."""

from __future__ import annotations

import pytest
from attrs import evolve
from pooled import backendsOf, names

from lbproxy.balance.groups import Group, Groups
from lbproxy.words.backend import Member

STANDINGS: dict[str, dict[str, object]] = {
    "": {"heldState": None, "downSince": None, "ejectedUntil": None, "isFull": False},
    "maintenance": {"heldState": "maintenance"},
    "drain": {"heldState": "drain"},
    "down": {"downSince": 0.0},
    "ejected": {"ejectedUntil": 9.0},
    "full": {"isFull": True},
}
"""What makes a member's standing that."""


RANKS = {0: "first", 1: "backup"}


class Sorted:
    """
    The groups of some members.

    @ivar positions: Their places in the configuration, which a test may change.
    """

    def __init__(self, written: str) -> None:
        """
        @param written: A letter for each member, in capitals for a backup, with the
            number of its tier if it has one, and its standing after a colon:
            C{"a b:down C d2:ejected"}.
        """
        given = [each.partition(":") for each in written.split()]
        members = [
            Member(backend)
            for name, _, _ in given
            for backend in backendsOf(name[0], tier=int(name[1:] or 0))
        ]
        self.positions = {member: at for at, member in enumerate(members)}
        self.groups = Groups(self.positions)
        for member, (_, _, standing) in zip(members, given, strict=True):
            self.become(member, standing)

    def become(self, member: Member, standing: str) -> None:
        """Give a member a standing, and tell its group as a pool does."""
        wasFull, before = member.isFull, self.groups.of(member)
        for name, value in (STANDINGS[""] | STANDINGS[standing]).items():
            setattr(member, name, value)
        self.groups.place(member)
        if before and before is self.groups.of(member) and wasFull != member.isFull:
            before.measured(member)

    def named(self, letter: str) -> Member:
        return next(each for each in self.positions if each.name == letter)

    def all(self) -> dict[str, str]:
        """All members by what they are, in order; those that are full in brackets."""
        return {
            f"{RANKS.get(tier.number, tier.number)} {where}": shown(group)
            for tier in self.groups.tiers
            for where, group in (("up", tier.up), ("out", tier.out))
            if group.members
        }


def shown(group: Group) -> str:
    """The members of a group, in order; those that are full in brackets."""
    assert names(group.open) == names([m for m in group.inOrder() if m in group.open])
    return "".join(
        each.name if each in group.open else f"({each.name})"
        for each in group.inOrder()
    )


@pytest.mark.parametrize(
    ("written", "up", "resort"),
    [
        ("a b C", "ab", ""),
        ("a:full b C", "(a)b", ""),
        # That all are full does not open the backups: a client waits.
        ("a:full b:full C", "(a)(b)", ""),
        ("a b:down c:ejected D:down", "a", "bc"),
        ("a:down b:ejected C d:drain E", "ce", ""),
        ("a:maintenance b:drain C D:down", "c", "d"),
        # The lower tier serves, in whatever order they are written.
        ("a3 b2:down c2 D:down E:down f:down", "c", "b"),
        ("a65535 b3:ejected c3:drain d:down", "a", ""),
        # A backup is of tier 1, unless it has a higher one.
        ("a1 B c2", "ab", ""),
        ("A2 b2 c3", "ab", ""),
    ],
)
@pytest.mark.parametrize("tryAll", [True, False])
def test_whoeverIsUpServes(written: str, up: str, resort: str, tryAll: bool) -> None:
    """
    The members that are up get the clients, before any backup; the last resort are the
    others of the same tier.
    """
    tier = Sorted(written).groups.tier(tryAll)
    assert (shown(tier.up), shown(tier.out)) == (up, resort)


@pytest.mark.parametrize(
    ("written", "resort"),
    [
        ("a:down b:ejected C:down", "ab"),
        ("a:drain b:maintenance C:down D:ejected", "cd"),
        ("a:drain B:maintenance", ""),
        ("a3:down b2:down c2:ejected d1:drain", "bc"),
        ("", ""),
    ],
)
def test_nobodyIsUp(written: str, resort: str) -> None:
    """
    With C{when-all-down = "try-all"} clients are sent to members that are out, and to
    backups only if there is no other; to those that were set aside never.
    """
    members = Sorted(written)
    assert shown(members.groups.tier(True).out) == resort
    refusing = members.groups.tier(False)
    assert (shown(refusing.up), shown(refusing.out)) == ("", "")


@pytest.mark.parametrize(
    ("standing", "primary", "backup"),
    [
        ("", {"first up": "abc"}, {"first up": "ac", "backup up": "b"}),
        ("full", {"first up": "a(b)c"}, {"first up": "ac", "backup up": "(b)"}),
        *(
            (
                standing,
                {"first up": "ac", "first out": "b"},
                {"first up": "ac", "backup out": "b"},
            )
            for standing in ("down", "ejected")
        ),
        *(
            (standing, {"first up": "ac"}, {"first up": "ac"})
            for standing in ("drain", "maintenance")
        ),
    ],
)
@pytest.mark.parametrize("before", STANDINGS)
def test_changes(
    before: str, standing: str, primary: dict[str, str], backup: dict[str, str]
) -> None:
    """Whatever a member was before, it is in one group at most, in its own place."""
    for letter, expected in (("b", primary), ("B", backup)):
        members = Sorted(f"a {letter}:{before} c")
        members.become(members.named("b"), standing)
        assert members.all() == expected


def test_nothingNew() -> None:
    """A check that finds what was known is no change to a picker that caches."""
    members = Sorted("a b:down")
    versions = [members.groups.tiers[0].up.open.version]
    for member in members.positions:
        members.groups.place(member)
        versions.append(members.groups.tiers[0].up.open.version)
    assert len(set(versions)) == 1


def test_aTierIsThereWhileItHasMembers() -> None:
    """
    A pool that has seen thousands of tiers, as of a service whose priorities change all
    the time, looks at those that it has.
    """
    members = Sorted("a b:drain")
    a, b = members.positions
    for number in range(2000):
        for member in (a, b):
            member.backend = evolve(member.backend, tier=number * 7 % 2000)
            members.groups.place(member)
    assert members.all() == {"1993 up": "a"}
    assert len(members.groups.tiers) == 1
    for standing in ("down", "", "drain"):
        before = members.groups.tiers[0]
        members.become(a, standing)
        # The same object, or the pool would believe that it picks from other members.
        assert members.groups.tiers == ([] if standing == "drain" else [before])
        assert members.groups.isServed(1993) == (standing == "")


def test_anotherTier() -> None:
    """A member that is of another tier now has left the one before."""
    members = Sorted("a b2:down c5 d")
    assert members.all() == {"first up": "ad", "2 out": "b", "5 up": "c"}
    for letter, tier in (("a", 2), ("b", 3), ("d", 4)):
        member = members.named(letter)
        member.backend = evolve(member.backend, tier=tier)
        members.groups.place(member)
    expected = {"2 up": "a", "3 out": "b", "4 up": "d", "5 up": "c"}
    assert list(members.all().items()) == list(expected.items())
    assert shown(members.groups.tier(True).up) == "a"
    assert [members.groups.isServed(tier) for tier in range(6)] == [
        *(False, False, True),
        *(False, True, True),
    ]


def test_fullWhileItIsOut() -> None:
    """A member that fills up as the last resort comes back full, until it has room."""
    members = Sorted("a b:down")
    b = members.named("b")
    b.isFull = True
    members.groups.tiers[0].out.measured(b)
    assert members.all() == {"first up": "a", "first out": "(b)"}
    b.downSince = None
    members.groups.place(b)
    assert members.all() == {"first up": "a(b)"}
    b.isFull = False
    members.groups.tiers[0].up.measured(b)
    assert members.all() == {"first up": "ab"}


def test_aReloadReorders() -> None:
    """A new order in the file is that of all groups, as a start would have it."""
    members = Sorted("a b c:down d:down E F G:down H:down i:full")
    highest = len(members.positions)
    for at, member in enumerate(list(members.positions), 1):
        members.positions[member] = highest - at
    members.groups.reorder()
    assert members.all() == {
        "first up": "(i)ba",
        "first out": "dc",
        "backup up": "fe",
        "backup out": "hg",
    }


def test_aReloadRemoves() -> None:
    """A removed member is in no group, full or not; to remove it again is nothing."""
    members = Sorted("a b:full c:drain")
    for letter in "abca":
        member = members.named(letter)
        members.groups.drop(member)
        assert members.groups.of(member) is None
    assert members.all() == {}
