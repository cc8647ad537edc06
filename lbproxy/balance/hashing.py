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
    that has the same configuration.  There is one tree for the backends and one for
    the backups.

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
        self._trees = (NameTree(), NameTree())
        self._bounds: tuple[LoadBound, ...] = ()
        if bounded_load:
            factor = Fraction(bounded_load)
            self._bounds = tuple(LoadBound(tree, factor) for tree in self._trees)
            alsoProvides(self, ILoadObserver)
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
        """
        Put into each tree the members of its tier, with the weights they have now.
        """
        self._members = members
        wanted: tuple[dict[Member, bytes], dict[Member, bytes]] = ({}, {})
        names: Counter[str] = Counter()
        for member in members:
            name = member.backend.name
            wanted[member.backend.backup][member] = nameHash(name, names[name])
            names[name] += 1
        for tier, tree in enumerate(self._trees):
            hashes = wanted[tier]
            wrong = [
                member
                for member, leaf in tree.leaves.items()
                if hashes.get(member) != leaf.hashed or leaf.weight != member.weight
            ]
            for member in wrong:
                tree.remove(member)
                self._tell(member)
            new = [member for member in hashes if member not in tree.leaves]
            for member in new:
                tree.add(member, hashes[member])
                self._tell(member)
            if wrong or new:
                self._placed(tier)

    def _placed(self, tier: int) -> None:
        """The members of a tier, or their weights, are others now."""

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
        """Set in the trees whether a member may be picked."""
        available = member in self._added and member not in self._full
        for tree in self._trees:
            tree.set(member, available)
        for bound in self._bounds:
            bound.follow(member, available)

    def pick(self, candidates: ICandidates, connection: Connection) -> Member | None:
        """Choose the first candidate in the order of the connection's key."""
        key = keyHash(self._key(connection))
        if not self._configured and (
            candidates is not self._view or candidates.version != self._version
        ):
            self._learn(candidates)
        for tier, tree in enumerate(self._trees):
            if tree.available:
                member = None
                if self._bounds:
                    member = self._chooseWithin(tier, key, candidates)
                if member is None:
                    member = self._choose(tier, key, candidates, told=True)
                if member is not None:
                    return member
        return self._chooseUntold(key, candidates)

    def _chooseWithin(
        self, tier: int, key: bytes, candidates: ICandidates
    ) -> Member | None:
        """
        Choose among the candidates of a tier that are below the bound.

        @return: L{None} if there is none, which is possible for a retry.
        """
        bound = self._bounds[tier]
        member = self._choose(tier, key, bound.within(candidates), told=True)
        bound.lift()
        return member

    def _choose(
        self, tier: int, key: bytes, candidates: Container[Member], told: bool
    ) -> Member | None:
        """Choose among the candidates of a tier; L{None} if there is none."""
        return self._trees[tier].pick(key, candidates, told)

    def _learn(self, candidates: ICandidates) -> None:
        """Place the candidates that were not configured too."""
        self._view, self._version = candidates, candidates.version
        strangers = [
            each
            for each in candidates
            if all(each not in tree.leaves for tree in self._trees)
        ]
        if strangers:
            self._place([*self._members, *strangers])

    def _chooseUntold(self, key: bytes, candidates: ICandidates) -> Member | None:
        """
        Choose among candidates none of which was both added and configured, as a
        picker without a pool has them.
        """
        self._learn(candidates)
        for tier in range(len(self._trees)):
            member = self._choose(tier, key, candidates, told=False)
            if member is not None:
                return member
        return None
