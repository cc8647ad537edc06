"""A tree of hashed names, in which each key has an order of all members."""

from __future__ import annotations

from hashlib import blake2b
from math import inf, log
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from ..words.backend import Member

FANOUT = 16
"""
How many groups the root has; a group below it has two halves.  With 32 a removal would
move a tenth fewer keys, and a pick cost 3 us more.
"""

_FIRST_BITS = 4  # FANOUT of them
_BLOCK = Struct(f"<{FANOUT}I")
_SCALE = 32 * log(2)


def nameHash(name: str, number: int = 0) -> bytes:
    """
    Hash a backend's name to 16 bytes.

    @param number: How many members before this one have the same name.
    """
    encoded = name.encode("utf-8", "surrogateescape")
    return blake2b(encoded, digest_size=16, salt=number.to_bytes(8, "little")).digest()


class Leaf:
    """
    A member in the tree.

    @ivar hashed: The L{nameHash} of its name.
    @ivar group: Which group of the root it is in.
    @ivar bits: The other bits of its hash, the highest one first.
    @ivar weight: Its configured weight when it was put in.
    @ivar available: 1 if the member may be picked, as far as it was told; else 0.
    @ivar least: Its load, where loads are bounded; see L{NameTree.bear}.
    """

    __slots__ = ("available", "bits", "group", "hashed", "least", "member", "weight")

    def __init__(self, member: Member, hashed: bytes) -> None:
        self.member = member
        self.hashed = hashed
        bits = f"{int.from_bytes(hashed):0128b}"
        self.group = int(bits[:_FIRST_BITS], 2)
        self.bits = bits[_FIRST_BITS:]
        self.weight = member.weight
        self.available = 0
        self.least = 0.0


class Node:
    """
    All members of a group whose hashes go on with the same bits: a virtual group.

    @ivar zero: The half that has a 0 next, or L{None}.
    @ivar one: The half that has a 1 next, or L{None}.
    @ivar weight: The sum of the weights below.
    @ivar share: The share of that which is in C{zero}, in units of C{2 ** -32}.
    @ivar available: How many leaves below are available.
    @ivar least: The least load of a leaf below.
    """

    __slots__ = ("available", "least", "one", "share", "weight", "zero")

    def __init__(self) -> None:
        self.zero: Node | Leaf | None = None
        self.one: Node | Leaf | None = None
        self.weight = self.share = self.available = 0
        self.least = 0.0

    def child(self, bit: str) -> Node | Leaf | None:
        """The half that has a bit."""
        return self.zero if bit == "0" else self.one

    def put(self, bit: str, child: Node | Leaf | None) -> None:
        """Set the half that has a bit."""
        if bit == "0":
            self.zero = child
        else:
            self.one = child

    def weigh(self) -> None:
        """Sum up the weights of the halves, and compare their loads."""
        zero = self.zero.weight if self.zero is not None else 0
        one = self.one.weight if self.one is not None else 0
        self.weight = zero + one
        self.share = (zero << 32) // self.weight if self.weight else 0
        self.compare()

    def compare(self) -> bool:
        """Find the least load, and return whether it was another one before."""
        before, zero, one = self.least, self.zero, self.one
        if zero is None or one is None:
            only = one if zero is None else zero
            self.least = inf if only is None else only.least
        else:
            self.least = min(zero.least, one.least)
        return self.least != before


class NameTree:
    """
    A tree in which each key has an order of all members, and finds the first one that
    may be picked in O(log n).

    It is hierarchical rendezvous hashing over virtual groups (Wang and Ravishankar,
    2009: "Hash-based virtual hierarchies for scalable location service in mobile
    ad-hoc networks"), with weights (Schindelhauer and Schomaker, 2005: "Weighted
    distributed hash tables").  A group has the members whose hashed names begin with
    the same bits.  At the root, a key goes to the group with the largest
    C{ln(u) / weight}, where C{u} is a hash of the key and the group, between 0 and 1.
    Below, it goes to the first half of its group if C{u}, a hash of the key and the
    depth, is less than that half's share of the weight; which is the same for two.

    The tree depends on the names and weights only.  If a member is removed its own keys
    move.  If it has shared its group, its groups have less weight too, and about as
    many keys as it had leave the first one, and half as many each half below.  So of
    C{n} equal members, one moves about C{1 / n} of all keys while C{n} is well below
    L{FANOUT}, and C{(2 + log2(n / 16) / 2) / n} above.

    A member that may not be picked keeps its place.  A key whose member that is takes
    a second way down, by other hashes, on which it goes past what may not be picked to
    the next group in its order.  So those keys are spread over all members, all others
    stay, and they return with their member.

    @ivar leaves: The leaf of each member.
    @ivar available: How many members are available.
    @ivar bound: Only members with a smaller load are found among those that are
        available; infinity for all.
    """

    def __init__(self) -> None:
        self.bound = inf
        self.leaves: dict[Member, Leaf] = {}
        self.available = 0
        self._groups: dict[int, Node] = {}
        # Always in order: the tree must not depend on its history.
        self._order: list[tuple[int, Node]] = []

    def add(self, member: Member, hashed: bytes) -> None:
        """
        Put in a member that is not in the tree.

        @param hashed: Its L{nameHash}; no other member here has the same.
        """
        leaf = self.leaves[member] = Leaf(member, hashed)
        if leaf.group not in self._groups:
            self._groups[leaf.group] = Node()
            self._order = sorted(self._groups.items(), key=lambda group: group[0])
        node = self._groups[leaf.group]
        for depth, bit in enumerate(leaf.bits):
            child = node.child(bit)
            if child is None:
                node.put(bit, leaf)
                break
            if isinstance(child, Leaf):
                child = self._split(node, child, depth)
            node = child
        for node, _ in reversed(list(self._way(leaf))):
            node.weigh()

    def _split(self, node: Node, leaf: Leaf, depth: int) -> Node:
        """Put a group in the place of a leaf, with the leaf in it."""
        group = Node()
        group.available = leaf.available
        group.put(leaf.bits[depth + 1], leaf)
        group.weigh()
        node.put(leaf.bits[depth], group)
        return group

    def _way(self, leaf: Leaf) -> Iterator[tuple[Node, str]]:
        """Yield each group that a leaf is in, from the top, and its bit there."""
        node = self._groups[leaf.group]
        for bit in leaf.bits:
            yield node, bit
            child = node.child(bit)
            if not isinstance(child, Node):
                return
            node = child

    def remove(self, member: Member) -> None:
        """Remove a member that is in the tree."""
        self.set(member, False)
        leaf = self.leaves.pop(member)
        empty = True
        for node, bit in reversed(list(self._way(leaf))):
            if empty:
                node.put(bit, None)
            node.weigh()
            empty = not node.weight
        if empty:
            del self._groups[leaf.group]
            self._order = sorted(self._groups.items(), key=lambda group: group[0])

    def set(self, member: Member, available: bool) -> None:
        """Set whether a member may be picked; a member that is not here is ignored."""
        leaf = self.leaves.get(member)
        if leaf is not None and leaf.available != available:
            change = 1 if available else -1
            leaf.available += change
            self.available += change
            for node, _ in self._way(leaf):
                node.available += change

    def bear(self, leaf: Leaf, load: float) -> None:
        """
        Set the load of a member, which is 0 until then.

        @param load: Infinity for a member that may not be picked, if any member has
            another load than 0.
        """
        if leaf.least == load:
            return
        leaf.least = load
        for node, _ in reversed(list(self._way(leaf))):
            if not node.compare():
                break  # and so it is above

    def pick(
        self, key: bytes, candidates: Container[Member], told: bool = True
    ) -> Member | None:
        """
        The first candidate in a key's order.

        @param key: The hash of a key.
        @param told: Whether members that are not available are no candidates: groups
            in which nobody is available are not looked at.  If not, this is O(n).
        @return: L{None} if there is none.
        """
        if not self._order or (told and not self.available):
            return None
        way = _Way(key, 0)
        scores = way.scores(self._order)
        node: Node | Leaf | None = self._order[scores.index(max(scores))][1]
        numbers = way.numbers(0)
        depth = 0
        while isinstance(node, Node):
            if depth == len(numbers):
                numbers = way.numbers(depth)
            node = node.zero if numbers[depth] < node.share else node.one
            depth += 1
        assert node is not None  # an empty half has no share
        if (node.available or not told) and node.member in candidates:
            return node.member
        return self.pickSecond(key, candidates, told)

    def pickSecond(
        self, key: bytes, candidates: Container[Member], told: bool = True
    ) -> Member | None:
        """
        The first candidate on a key's second way down; L{None} if there is none.

        @param told: As for L{pick}.
        """
        way = _Way(key, 1)
        groups = self._order
        bound = None
        if told:
            bound = self.bound
            groups = [
                each for each in groups if each[1].available and each[1].least < bound
            ]
        scores = way.scores(groups)
        for _ in groups:
            best = scores.index(max(scores))
            scores[best] = float("-inf")
            found = _first(groups[best][1], way, candidates, bound)
            if found is not None:
                return found
        return None


class _Way:
    """One way of a key down the tree: the numbers that decide it."""

    __slots__ = ("_numbers", "_seed")

    def __init__(self, key: bytes, number: int) -> None:
        self._seed = key + bytes([number])
        self._numbers: list[int] = []

    def _block(self, number: int) -> tuple[int, ...]:
        return _BLOCK.unpack(blake2b(self._seed + bytes([number])).digest())

    def scores(self, groups: list[tuple[int, Node]]) -> list[float]:
        """Score groups of the root; the largest one is first in the key's order."""
        numbers = self._block(0)
        # ln(u) / weight, where u is from 0 to 1, both ends excluded.
        return [
            (log(numbers[group] + 0.5) - _SCALE) / node.weight for group, node in groups
        ]

    def numbers(self, depth: int) -> list[int]:
        """The number for each depth below the root, up to C{depth} at least."""
        while depth >= len(self._numbers):
            self._numbers += self._block(1 + len(self._numbers) // FANOUT)
        return self._numbers


def _first(
    top: Node | Leaf, way: _Way, candidates: Container[Member], bound: float | None
) -> Member | None:
    """
    The first candidate below a node of the root on a key's second way down.

    @param bound: Halves are passed over in which nobody is available or all have as
        much load as this; with L{None} no half is.
    """
    numbers = way.numbers(0)
    # What comes after the present half, the last one first.
    later: list[tuple[Node | Leaf, int]] = [(top, 0)]
    while later:
        node, depth = later.pop()
        while isinstance(node, Node):
            if depth == len(numbers):
                numbers = way.numbers(depth)
            one, other = node.zero, node.one
            if numbers[depth] >= node.share:
                one, other = other, one
            depth += 1
            if other is not None and (
                bound is None or (other.available and other.least < bound)
            ):
                later.append((other, depth))
            if one is None or not (
                bound is None or (one.available and one.least < bound)
            ):
                break
            node = one
        else:
            if node.member in candidates:
                return node.member
    return None
