"""
The names that are looked up, each once for the whole process.

However many pools and connections ask for a name, one lookup of each sort of its
records is under way at a time.  It is looked up again when its answer no longer holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ..words.units import formatDuration
from .answers import Answer, Family, Known, Resolver, Service

if TYPE_CHECKING:
    from ..streams.wheel import Timer, Wheel

Servers = tuple[tuple[str, int], ...]
"""The addresses and ports of DNS servers."""

SHORTEST, LONGEST = 1.0, 60.0
"""The limits for the seconds that an answer holds, whatever its TTL is."""

UNKNOWN_AGAIN = 1.0
"""Seconds after which a name that has no address yet is looked up again."""

FAILED_AGAIN = 5.0
"""Seconds after which a name is looked up again that had addresses, at most."""

LATE = 10.0
"""Seconds after which a lookup that goes on is said to have no answer."""

_SERVICE = "SRV"


@frozen
class Asking:
    """
    How a name is looked up.

    @ivar servers: The DNS servers to ask; L{None} for the system's resolver.
    @ivar interval: The seconds that an answer holds which has no TTL.
    """

    servers: Servers | None = None
    interval: float = 10.0


@frozen
class _Question:
    name: str
    asking: Asking
    services: bool = field(default=False)


class Watched:
    """A name that somebody is interested in, with what is known of it."""

    def __init__(self, entry: _Entry, told: Callable[[], object]) -> None:
        self._entry: _Entry | None = entry
        self._records, self._told = entry.records, told
        self._state = self._known()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of a host: those of IPv4, then those of IPv6."""
        return sum((each.known.found for each in self._records.values()), ())

    @property
    def services(self) -> tuple[Service, ...]:
        """Where a service is, sorted by priority."""
        return self._records[_SERVICE].known.found

    @property
    def answered(self) -> bool:
        """Whether there was an answer yet, even that there is nothing."""
        return all(each.known.answered for each in self._records.values())

    @property
    def isNew(self) -> bool:
        """Whether nothing was found yet, and its first lookup is under way."""
        records = self._records.values()
        found = any(each.known.found for each in records)
        return not found and any(each.isNew for each in records)

    @property
    def trouble(self) -> str:
        """Why the last lookup found nothing, in a few words; empty if it has."""
        troubles = [each.trouble for each in self._records.values()]
        return "" if self.isNew or not all(troubles) else troubles[0]

    def tell(self) -> None:
        """There may be something that was not known before."""
        before, self._state = self._state, self._known()
        if self._entry is not None and self._state != before:
            self._told()

    def cancel(self) -> None:
        """Be interested no longer."""
        entry, self._entry = self._entry, None
        if entry is not None:
            entry.watching.remove(self)

    def _known(self) -> object:
        found = [each.known.found for each in self._records.values()]
        return found, self.isNew, self.trouble


class Names:
    """Looks up names, and again, as long as somebody is interested in them."""

    def __init__(
        self, wheel: Wheel, resolver: Callable[[Servers | None], Resolver]
    ) -> None:
        """
        @param resolver: Makes the resolver that asks some servers; or the system's.
        """
        self.wheel = wheel
        self._make = resolver
        self._resolvers: dict[Servers | None, Resolver] = {}
        self._entries: dict[_Question, _Entry] = {}

    @property
    def known(self) -> list[str]:
        """The names that are looked up at present."""
        return [each.name for each in self._entries]

    def watch(self, name: str, asking: Asking, told: Callable[[], object]) -> Watched:
        """
        Be interested in the addresses of a host.

        @param told: Called, in a later turn of the reactor, whenever something else is
            known.
        """
        return self._watch(_Question(name, asking), told)

    def watchService(
        self, name: str, asking: Asking, told: Callable[[], object]
    ) -> Watched:
        """Be interested in where a service is; see L{watch}."""
        return self._watch(_Question(name, asking, services=True), told)

    def close(self) -> None:
        """Give up all that is under way; names may be watched again later."""
        entries, self._entries = self._entries, {}
        for entry in entries.values():
            entry.close()
        resolvers, self._resolvers = self._resolvers, {}
        for resolver in resolvers.values():
            resolver.close()

    def _watch(self, question: _Question, told: Callable[[], object]) -> Watched:
        entry = self._entries.get(question)
        if entry is None:
            entry = self._entries[question] = _Entry(self, question)
        # Before there is anybody to tell: an answer may come at once.
        entry.look()
        watched = Watched(entry, told)
        entry.watching.append(watched)
        return watched

    # What an entry needs.

    def ask(
        self, question: _Question, sort: str, heard: Callable[[Answer[Any]], object]
    ) -> None:
        """Look up one sort of records."""
        servers = question.asking.servers
        resolver = self._resolvers.get(servers)
        if resolver is None:
            resolver = self._resolvers[servers] = self._make(servers)
        if sort == _SERVICE:
            resolver.services(question.name, heard)
        else:
            resolver.addresses(question.name, Family(sort), heard)

    def forget(self, question: _Question) -> None:
        """Nobody is interested in a name any more."""
        del self._entries[question]


class _Entry:
    """
    What is known of one name.

    @ivar records: By their sort.
    @ivar watching: Those that are interested in it.
    """

    def __init__(self, names: Names, question: _Question) -> None:
        self._names = names
        self._question = question
        sorts = (_SERVICE,) if question.services else tuple(Family)
        self.records = {each: _Records(self, names, question, each) for each in sorts}
        self.watching: list[Watched] = []

    @property
    def isKnown(self) -> bool:
        """Whether any records are known."""
        return any(each.known.found for each in self.records.values())

    def look(self) -> None:
        """Look up what nothing is known of, and what was not asked for any more."""
        for each in self.records.values():
            if each.rests:
                each.look()

    def close(self) -> None:
        """Look it up no more."""
        for each in self.records.values():
            each.close()

    def tell(self) -> None:
        """Something may be known that was not before."""
        for each in tuple(self.watching):
            each.tell()

    def rest(self) -> None:
        """Some records are not asked for any more."""
        if all(each.rests for each in self.records.values()):
            self._names.forget(self._question)


class _Records:
    """
    One sort of records of a name: what is known of them, and their next lookup.

    However slow the lookups of one sort are, those of the other go on.

    @ivar isNew: Whether its first lookup is under way, and not late.
    @ivar trouble: Why the last lookup found nothing; empty if it has.
    @ivar rests: Whether no lookup is under way or to come.
    """

    def __init__(
        self, entry: _Entry, names: Names, question: _Question, sort: str
    ) -> None:
        self._entry, self._names, self._question = entry, names, question
        self._sort = sort
        self.known: Known[Any] = Known()
        self.isNew = True
        self.trouble = ""
        self.rests = True
        self._timer: Timer | None = None

    def look(self) -> None:
        """Look them up."""
        self.rests = False
        self._timer = self._names.wheel.call(LATE, self._late)
        self._names.ask(self._question, self._sort, self._heard)

    def close(self) -> None:
        """Look them up no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _late(self) -> None:
        self._timer = None
        self.isNew = False
        self.trouble = f"no answer in {formatDuration(LATE)}"
        self._entry.tell()

    def _heard(self, answer: Answer[Any]) -> None:
        wheel = self._names.wheel
        if self._timer is not None:
            self._timer.cancel()
        self.known.heard(answer, wheel.now())
        self.isNew = False
        self.trouble = "" if answer.found else answer.reason
        self._timer = wheel.call(self._holds(answer), self._again)
        self._entry.tell()

    def _holds(self, answer: Answer[Any]) -> float:
        """How many seconds an answer holds."""
        if not self._entry.isKnown:
            return UNKNOWN_AGAIN
        interval = self._question.asking.interval
        if answer.found is None or (self.known.found and not answer.found):
            return min(interval, FAILED_AGAIN)
        if answer.ttl is None:
            return interval
        return min(max(answer.ttl, SHORTEST), LONGEST)

    def _again(self) -> None:
        self._timer = None
        if self._entry.watching:
            self.look()
        else:
            self.rests = True
            self._entry.rest()
