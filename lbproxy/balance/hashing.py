"""What pickers by hash have in common: keys, tiers, and what they are told."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING

from zope.interface import implementer

from ..interfaces import (
    IBackendPicker,
    ICandidates,
    ICapacityObserver,
    IConfigurationObserver,
    IMembershipObserver,
)
from ..words.options import Option
from ..words.values import oneOf
from .nametree import NameTree, nameHash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..words.backend import Member
    from ..words.connection import Connection


def _address(connection: Connection) -> str:
    return connection.client.host


def _addressAndPort(connection: Connection) -> str:
    # A NUL cannot be in an address or a path, so no two clients have one key.
    return f"{connection.client.host}\0{connection.client.port}"


def _serverName(connection: Connection) -> str:
    return connection.serverName.lower()


_KEYS: Mapping[str, Callable[[Connection], str]] = {
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


def keyHash(key: str) -> bytes:
    """Hash a key to 16 bytes, the same in every process."""
    return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).digest()


@implementer(
    IBackendPicker, IMembershipObserver, ICapacityObserver, IConfigurationObserver
)
class Rendezvous:
    """
    Pick by a hash of the key and of the members' names: rendezvous hashing on a
    L{NameTree}.

    A key goes to the same member as long as that is a candidate, in every process
    that has the same configuration.  There is one tree for the backends and one for
    the backups.
    """

    def __init__(self, key: str = "client-address") -> None:
        """
        @param key: What is hashed: C{"client-address"}, C{"client-address-port"} or
            C{"server-name"}.
        """
        self._key = _KEYS[key]
        self._trees = (NameTree(), NameTree())
        self._members: list[Member] = []
        self._added: set[Member] = set()
        self._full: set[Member] = set()
        self._configured = False
        self._view: ICandidates | None = None
        self._version = 0

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

    def _tell(self, member: Member) -> None:
        """Set in the trees whether a member may be picked."""
        available = member in self._added and member not in self._full
        for tree in self._trees:
            tree.set(member, available)

    def pick(self, candidates: ICandidates, connection: Connection) -> Member | None:
        """Choose the first candidate in the order of the connection's key."""
        key = keyHash(self._key(connection))
        if not self._configured and (
            candidates is not self._view or candidates.version != self._version
        ):
            self._learn(candidates)
        for tier, tree in enumerate(self._trees):
            if tree.available:
                member = self._choose(tier, key, candidates, told=True)
                if member is not None:
                    return member
        return self._chooseUntold(key, candidates)

    def _choose(
        self, tier: int, key: bytes, candidates: ICandidates, told: bool
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
