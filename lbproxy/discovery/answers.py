"""
What resolvers answer, and what is known after several of their answers.

A resolver that fails for a while takes nothing away that was known before, and an
answer that there is nothing has to last before it is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from attrs import define, frozen

_Record = TypeVar("_Record")

HOLD = 30.0
"""
Seconds for which a resolver has to say that there is nothing, until what was known
before is given up; as long as HAProxy's C{hold} for such answers.
"""


class Family(StrEnum):
    """A sort of address, by the name of its DNS record."""

    IPV4 = "A"
    IPV6 = "AAAA"


@frozen(order=True)
class Service:
    """
    Where a service is, as an SRV record says (RFC 2782).

    @ivar priority: Lower ones are used first: 0 to 65535.
    @ivar weight: Its share among those of the same priority: 0 to 65535.
    @ivar port: 0 to 65535.
    @ivar target: The name of a host, without the dot at its end.
    """

    priority: int
    weight: int
    port: int
    target: str


@frozen
class Answer(Generic[_Record]):
    """
    What a resolver has answered about one sort of record of a name.

    @ivar found: The records.  They are empty if the resolver says that there are none,
        and L{None} if it gave no answer: it failed, or said that it has failed.
    @ivar ttl: The seconds for which the answer holds; L{None} if that is not known.
    @ivar reason: Why nothing was found, in a few words.
    """

    found: tuple[_Record, ...] | None
    ttl: float | None = None
    reason: str = ""


class Resolver(Protocol):
    """
    Something that looks names up.

    It takes any number of lookups at once, and one that takes long holds up no lookup
    of another name.
    """

    def addresses(
        self, name: str, family: Family, heard: Callable[[Answer[str]], object]
    ) -> None:
        """
        Look up the addresses of a host, of one family.

        @param heard: Called once, in the reactor's thread; not if the resolver was
            closed meanwhile.
        """

    def services(self, name: str, heard: Callable[[Answer[Service]], object]) -> None:
        """
        Look up where a service is.

        @param heard: Called once, as for L{addresses}.
        """

    def close(self) -> None:
        """Give up all lookups that are under way, and wait for none of them."""


@define
class Known(Generic[_Record]):
    """
    What is known about one sort of record of a name.

    @ivar found: The records, sorted.
    @ivar answered: Whether there was an answer yet, even that there is nothing.
    @ivar reason: Why the last answer had no records; empty if it had some.
    """

    found: tuple[_Record, ...] = ()
    answered: bool = False
    reason: str = ""
    _nothingSince: float | None = None

    def heard(self, answer: Answer[Any], now: float) -> bool:
        """
        Take an answer into account.

        @param now: Monotonic seconds.
        @return: Whether the records are others than before.
        """
        self.reason = "" if answer.found else answer.reason
        if answer.found is None:
            self._nothingSince = None
            return False
        self.answered = True
        if answer.found:
            self._nothingSince = None
            return self._have(tuple(sorted(set(answer.found))))
        if self._nothingSince is None:
            self._nothingSince = now
        if now - self._nothingSince < HOLD:
            return False
        return self._have(())

    def _have(self, found: tuple[_Record, ...]) -> bool:
        changed = found != self.found
        self.found = found
        return changed
