"""The bound on the loads of members, for pickers by hash."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from ..words.options import Option
from ..words.values import offOrFactor

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from fractions import Fraction

    from ..words.backend import Member
    from .nametree import Leaf, NameTree

BOUNDED_LOAD = Option(
    offOrFactor(10),
    0,
    "How many times the mean load of the candidates a member may have; 0 is off.",
)
"""The option of pickers by hash that bounds the load of members."""


class LoadBound:
    """
    The load that no member of one tree may exceed.

    It is that of Mirrokni, Thorup and Zadimoghaddam, 2016: "Consistent Hashing with
    Bounded Loads".  With one connection more, a member of weight C{w} has at most
    C{ceil(factor * connections * w / weights)}: the connections, this one included, and
    the weights of all members that may be picked.  As connections are whole, that is to
    say that it may be picked while C{active / w} is less than C{factor * connections /
    weights}, which is the same number for all members.  The tree knows the least
    C{active / w} below each of its nodes, so that what is too busy is passed over
    without a look at each.

    As the factor is above 1, there is always a member below the bound.
    """

    def __init__(self, tree: NameTree, factor: Fraction) -> None:
        """
        @param tree: The members; it is told their loads.
        @param factor: More than 1.
        """
        self._tree = tree
        self._top, self._bottom = factor.as_integer_ratio()
        # What is in the sums: the connections and the weight of each member.
        self._counted: dict[Member, tuple[int, int]] = {}
        self._connections = 0
        self._weights = 0

    def follow(self, member: Member, available: bool) -> None:
        """
        Count a member as it is now.

        @param available: Whether it may be picked, as far as its load allows.
        """
        tree = self._tree
        leaf = tree.leaves.get(member)
        connections, weight = self._counted.pop(member, (0, 0))
        self._connections -= connections
        self._weights -= weight
        if leaf is None:
            return
        if available:
            connections, weight = member.active, leaf.weight
            self._counted[member] = connections, weight
            self._connections += connections
            self._weights += weight
            tree.bear(leaf, connections / weight)
        else:
            tree.bear(leaf, inf)

    def within(self, candidates: Container[Member]) -> BoundedCandidates:
        """
        The candidates below the bound.  The tree, too, passes over others until
        L{lift} is called.
        """
        tree = self._tree
        # Whole numbers are divided, so that the result is the nearest float: then it
        # compares with the loads as the exact numbers do.
        over = self._top * (self._connections + 1)
        below = self._bottom * self._weights
        tree.bound = bound = over / below if below else inf
        return BoundedCandidates(candidates, tree, bound)

    def lift(self) -> None:
        """Let the tree find members whatever their load."""
        self._tree.bound = inf


class BoundedCandidates:
    """Those of some candidates that are in a tree, with a load below a bound."""

    __slots__ = ("_all", "_bound", "_leaves")

    def __init__(
        self, candidates: Container[Member], tree: NameTree, bound: float
    ) -> None:
        self._all = candidates
        self._leaves: Mapping[Any, Leaf] = tree.leaves
        self._bound = bound

    def __contains__(self, member: object) -> bool:
        leaf = self._leaves.get(member)
        return leaf is not None and leaf.least < self._bound and member in self._all
