"""What pickers by hash have in common: keys, tiers, and what they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from hashlib import blake2b
from typing import TYPE_CHECKING

from zope.interface import alsoProvides, implementer

from ..interfaces import (
    IBackendPicker,
    ICandidates,
    ICapacityObserver,
    IConfigurationObserver,
    IFailureReporter,
    ILoadObserver,
    IMembershipObserver,
)
from ..words.options import Option
from ..words.values import oneOf
from .bounds import LoadBound
from .nametree import NameTree, nameHash

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from ..words.backend import Member
    from ..words.connection import Connection


def _address(connection: Connection) -> str:
    return connection.client.host


def _addressAndPort(connection: Connection) -> str:
    # A NUL cannot be in an address or a path, so no two clients have one key.
    return f"{connection.client.host}\0{connection.client.port}"


def _serverName(connection: Connection) -> str:
    return connection.serverName.lower()


KeyFunction = Callable[["Connection"], str | bytes]
"""A function that returns what is hashed for a connection."""

_KEYS: Mapping[str, KeyFunction] = {
    "client-address": _address,
    "client-address-port": _addressAndPort,
    "server-name": _serverName,
}

KEY = Option(
    oneOf(*_KEYS),
    "client-address",
    'What is hashed: "client-address", "client-address-port" or "server-name".',
)
"""The option of pickers by hash."""


def keyHash(key: str | bytes) -> bytes:
    """Hash a key to 16 bytes, the same in every process; text as UTF-8."""
    if isinstance(key, str):
        key = key.encode("utf-8", "surrogateescape")
    return blake2b(key, digest_size=16).digest()


class _ForeignKey:
    """
    A key function from elsewhere.  If it raises, or returns no key, the key is the
    client's address.

    @ivar failed: Called within the handling of what it raised; L{None} raises it.
    """

    def __init__(self, function: KeyFunction) -> None:
        self._function = function
        self.failed: Callable[[object, str], object] | None = None

    def __call__(self, connection: Connection) -> bytes | str:
        try:
            key = self._function(connection)
            if isinstance(key, str):
                return key.encode("utf-8", "surrogateescape")
            if isinstance(key, bytes):
                return key
            raise TypeError(f"expected str or bytes, not {type(key).__name__}")
        except BaseException:
            if self.failed is None:
                raise
            self.failed(self._function, "key")
        return _address(connection)


class HashTier:
    """
    The members of one tier, as a picker by hash has them.

    @ivar number: The number of the tier.
    @ivar tree: The members by their hashed names.
    @ivar bound: The bound on their load; L{None} if there is none.
    """

    def __init__(self, number: int, factor: Fraction) -> None:
        """
        @param factor: That of L{LoadBound}; 0 bounds no load.
        """
        self.number = number
        self.tree = NameTree()
        self.bound = LoadBound(self.tree, factor) if factor else None

    def outdated(self, hashes: Mapping[Member, bytes]) -> list[Member]:
        """
        The members that are not as they should be: gone, or with another weight.

        @param hashes: The members there should be, with their hashed names.
        """
        return [
            member
            for member, leaf in self.tree.leaves.items()
            if hashes.get(member) != leaf.hashed or leaf.weight != member.weight
        ]

    def remove(self, member: Member) -> None:
        """Remove a member of the tier."""
        self.tree.remove(member)
        if self.bound is not None:
            self.bound.follow(member, False)

    def follow(self, member: Member, available: bool) -> None:
        """Set whether a member may be picked, and count its load."""
        self.tree.set(member, available)
        if self.bound is not None:
            self.bound.follow(member, available)

    def placed(self) -> None:
        """The members, or their weights, are others now."""

    def choose(
        self, key: bytes, candidates: Container[Member], told: bool
    ) -> Member | None:
        """
        Choose among the candidates of the tier; L{None} if there is none.

        @param told: As for L{NameTree.pick}.
        """
        return self.tree.pick(key, candidates, told)

    def chooseWithin(
        self, bound: LoadBound, key: bytes, candidates: Container[Member]
    ) -> Member | None:
        """
        Choose among the candidates of the tier that are below its bound.

        @return: L{None} if there is none, which is possible for a retry.
        """
        member = self.choose(key, bound.within(candidates), told=True)
        bound.lift()
        return member


@implementer(
    IBackendPicker,
    IMembershipObserver,
    ICapacityObserver,
    IConfigurationObserver,
    IFailureReporter,
)
class Rendezvous:
    """
    Pick by a hash of the key and of the members' names: rendezvous hashing on a
    L{NameTree}.

    A key goes to the same member as long as that is a candidate, in every process
    that has the same configuration.  There is one tree for each tier.

    Where the load is bounded, it provides L{ILoadObserver} too.
    """

    def __init__(
        self,
        key: str | KeyFunction = "client-address",
        bounded_load: Fraction | float = 0,
    ) -> None:
        """
        @param key: What is hashed: C{"client-address"}, C{"client-address-port"} or
            C{"server-name"}; or a function that returns it.
        @param bounded_load: The factor of L{LoadBound}; 0 bounds no load.
        """
        self._key = _KEYS[key] if isinstance(key, str) else _ForeignKey(key)
        self._factor = Fraction(bounded_load)
        if bounded_load:
            alsoProvides(self, ILoadObserver)
        self._tiers: Sequence[HashTier] = ()
        self._tierOf: dict[Member, HashTier] = {}
        self._members: list[Member] = []
        self._added: set[Member] = set()
        self._full: set[Member] = set()
        self._configured = False
        self._view: ICandidates | None = None
        self._version = 0

    def reportTo(self, failed: Callable[[object, str], object]) -> None:
        """Report what a key function from elsewhere raises."""
        if isinstance(self._key, _ForeignKey):
            self._key.failed = failed

    def configured(self, members: Sequence[Member]) -> None:
        """Place C{members}, and none besides."""
        self._configured = True
        self._place(list(members))

    def _place(self, members: list[Member]) -> None:
        """Put each member into its tier, with the weight it has now."""
        self._members = members
        wanted: dict[int, dict[Member, bytes]] = {}
        names: Counter[str] = Counter()
        for member in members:
            name, number = member.backend.name, member.backend.effectiveTier
            wanted.setdefault(number, {})[member] = nameHash(name, names[name])
            names[name] += 1
        tiers = {each.number: each for each in self._tiers}
        changed = set()
        for number, tier in tiers.items():
            for member in tier.outdated(wanted.get(number, {})):
                tier.remove(member)
                del self._tierOf[member]
                changed.add(number)
        tiers = {number: tiers[number] for number in tiers.keys() & wanted.keys()}
        for number in sorted(wanted.keys()):
            hashes = wanted[number]
            if number not in tiers:
                tiers[number] = self._newTier(number, len(tiers))
            for member in [each for each in hashes if each not in self._tierOf]:
                changed.add(number)
                self._tierOf[member] = tiers[number]
                tiers[number].tree.add(member, hashes[member])
                self._tell(member)
        self._tiers = tuple(tiers[number] for number in sorted(wanted))
        for tier in self._tiers:
            if tier.number in changed:
                tier.placed()

    def _newTier(self, number: int, others: int) -> HashTier:
        """Make a tier; there are so many others."""
        return HashTier(number, self._factor)

    def added(self, member: Member) -> None:
        """C{member} may be picked from now on."""
        self._added.add(member)
        self._tell(member)

    def removed(self, member: Member) -> None:
        """C{member} may not be picked; its place is kept."""
        self._added.discard(member)
        self._full.discard(member)
        self._tell(member)

    def changed(self, member: Member) -> None:
        """Slow start does not change which keys a member has."""

    def filled(self, member: Member) -> None:
        """C{member} may not be picked until it is freed; its place is kept."""
        if member in self._added:
            self._full.add(member)
            self._tell(member)

    def freed(self, member: Member) -> None:
        """C{member} may be picked again."""
        self._full.discard(member)
        self._tell(member)

    def loadChanged(self, member: Member) -> None:
        """C{member} has one connection more or less."""
        self._tell(member)

    def _tell(self, member: Member) -> None:
        """Set in its tier whether a member may be picked."""
        tier = self._tierOf.get(member)
        if tier is not None:
            tier.follow(member, member in self._added and member not in self._full)

    def pick(self, candidates: ICandidates, connection: Connection) -> Member | None:
        """Choose the first candidate in the order of the connection's key."""
        key = keyHash(self._key(connection))
        if not self._configured and (
            candidates is not self._view or candidates.version != self._version
        ):
            self._learn(candidates)
        for tier in self._tiers:
            if tier.tree.available:
                member = None
                if tier.bound is not None:
                    member = tier.chooseWithin(tier.bound, key, candidates)
                if member is None:
                    member = tier.choose(key, candidates, told=True)
                if member is not None:
                    return member
        return self._chooseUntold(key, candidates)

    def _learn(self, candidates: ICandidates) -> None:
        """Place the candidates that were not configured too."""
        self._view, self._version = candidates, candidates.version
        strangers = [each for each in candidates if each not in self._tierOf]
        if strangers:
            self._place([*self._members, *strangers])

    def _chooseUntold(self, key: bytes, candidates: ICandidates) -> Member | None:
        """
        Choose among candidates none of which was both added and configured, as a
        picker without a pool has them.
        """
        self._learn(candidates)
        for tier in self._tiers:
            member = tier.choose(key, candidates, told=False)
            if member is not None:
                return member
        return None
