"""
The names that are looked up, each once for the whole process.

However many pools and connections ask for a name, one lookup of it is under way at a
time.  It is looked up again when its answer no longer holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
        self._known, self._told = entry, told

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of a host: those of IPv4, then those of IPv6."""
        known = self._known.known
        return known[Family.IPV4].found + known[Family.IPV6].found

    @property
    def services(self) -> tuple[Service, ...]:
        """Where a service is, sorted by priority."""
        return self._known.known[_SERVICE].found

    @property
    def isNew(self) -> bool:
        """Whether its first lookup is under way still."""
        known = self._known.known.values()
        return not (self.trouble or any(each.answered for each in known))

    @property
    def trouble(self) -> str:
        """Why the last lookup found nothing, in a few words; empty if it has."""
        return self._known.trouble

    def tell(self) -> None:
        """Something is known now that was not before."""
        if self._entry is not None:
            self._told()

    def cancel(self) -> None:
        """Be interested no longer."""
        entry, self._entry = self._entry, None
        if entry is not None:
            entry.watching.remove(self)


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
            entry.look()
        watched = Watched(entry, told)
        entry.watching.append(watched)
        return watched

    # What an entry needs.

    def ask(
        self, question: _Question, heard: Callable[[Mapping[Any, Any]], object]
    ) -> None:
        """Look a name up."""
        servers = question.asking.servers
        resolver = self._resolvers.get(servers)
        if resolver is None:
            resolver = self._resolvers[servers] = self._make(servers)
        if question.services:
            resolver.services(question.name, lambda answer: heard({_SERVICE: answer}))
        else:
            resolver.addresses(question.name, heard)

    def forget(self, question: _Question) -> None:
        """Nobody is interested in a name any more."""
        del self._entries[question]


class _Entry:
    """
    What is known of one name.

    @ivar known: By the sort of record.
    @ivar watching: Those that are interested in it.
    @ivar trouble: Why the last lookup found nothing; empty if it has.
    """

    def __init__(self, names: Names, question: _Question) -> None:
        self._names = names
        self._question = question
        sorts = (_SERVICE,) if question.services else tuple(Family)
        self.known: dict[str, Known[Any]] = {each: Known() for each in sorts}
        self.watching: list[Watched] = []
        self.trouble = ""
        self._timer: Timer | None = None

    def look(self) -> None:
        """Look the name up."""
        self._timer = self._names.wheel.call(LATE, self._late)
        self._names.ask(self._question, self._heard)

    def close(self) -> None:
        """Look it up no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _late(self) -> None:
        self._timer = None
        self._troubled(f"no answer in {formatDuration(LATE)}")

    def _heard(self, answers: Mapping[str, Answer[Any]]) -> None:
        wheel = self._names.wheel
        if self._timer is not None:
            self._timer.cancel()
        now, before = wheel.now(), self._answered()
        # Not a generator: each has to hear its answer.
        changed = [self.known[sort].heard(each, now) for sort, each in answers.items()]
        found = any(each.found for each in answers.values())
        reasons = [each.reason for each in answers.values() if not each.found]
        self._timer = wheel.call(self._holds(answers, found), self._again)
        if any(changed) or self._answered() > before:
            self.trouble = "" if found else reasons[0]
            self._tell()
        else:
            self._troubled("" if found else reasons[0])

    def _answered(self) -> int:
        return sum(each.answered for each in self.known.values())

    def _holds(self, answers: Mapping[str, Answer[Any]], found: bool) -> float:
        """How many seconds some answers hold."""
        if not any(each.found for each in self.known.values()):
            return UNKNOWN_AGAIN
        interval = self._question.asking.interval
        if not found or any(each.found is None for each in answers.values()):
            return min(interval, FAILED_AGAIN)
        ttls = [
            each.ttl for each in answers.values() if each.found and each.ttl is not None
        ]
        return min(max(min(ttls), SHORTEST), LONGEST) if ttls else interval

    def _again(self) -> None:
        self._timer = None
        if self.watching:
            self.look()
        else:
            self._names.forget(self._question)

    def _troubled(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._tell()

    def _tell(self) -> None:
        for each in tuple(self.watching):
            each.tell()
