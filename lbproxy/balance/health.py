"""
Passive health: a member whose dials keep failing is left alone for a while.

Nothing is asked of a backend here; all that is known comes from the dials that
connections made anyway.  Time comes in as an argument.
"""

from __future__ import annotations

import math
from enum import Enum
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from attrs import frozen

from ..words.options import option
from ..words.units import moreThanNone, parseShare
from ..words.values import oneOf, wholeNumber

if TYPE_CHECKING:
    from ..words.backend import Member


@frozen
class EjectionOptions:
    """
    When a member is ejected, and for how long.

    @ivar consecutiveFailures: Dials that must fail in a row; 0 switches
        ejection off.
    @ivar baseTime: How long the first ejection lasts, in seconds; each further
        one in a row lasts twice as long as the one before.
    @ivar maxTime: What the doubling stops at, in seconds.
    @ivar maxEjected: The share of a pool that may be ejected at once, 0 to 1,
        rounded down to whole members: by default a pool of one ejects nobody.
    @ivar emptyAnswer: C{"failure"} if a connection that the member ended without
        a byte counts as a failed dial, else C{"ok"}.
    """

    consecutiveFailures: int = option(
        wholeNumber(0),
        5,
        "After how many failed dials in a row a member is ejected; 0 is never.",
    )
    baseTime: float = option(
        moreThanNone,
        "30s",
        "How long the first ejection lasts; each further one in a row lasts twice "
        "as long as the one before.",
    )
    maxTime: float = option(
        moreThanNone, "300s", "What the doubling stops at; at least base-time."
    )
    maxEjected: float = option(
        parseShare,
        "50%",
        "The share of the pool that may be ejected at once, rounded down to whole "
        "members.",
    )
    emptyAnswer: str = option(
        oneOf("ok", "failure"),
        "ok",
        'Whether a connection counts as a failed dial, "failure", that the member '
        "ended or reset before it had sent a byte and before the client had ended.",
    )

    def __attrs_post_init__(self) -> None:
        if self.consecutiveFailures < 0:
            raise ValueError(
                "consecutive failures are 0 (never eject) or more, "
                f"not {self.consecutiveFailures}"
            )
        if not self.baseTime > 0:
            raise ValueError(
                f"the base time is more than 0 seconds, not {self.baseTime}"
            )
        if not self.maxTime >= self.baseTime:
            raise ValueError(
                f"the longest time is at least the base time, {self.baseTime} "
                f"seconds, not {self.maxTime}"
            )
        if not 0 <= self.maxEjected <= 1:
            raise ValueError(
                f"the share that may be ejected is 0 to 1, not {self.maxEjected}"
            )

    def limit(self, members: int) -> int:
        """
        How many may be ejected at once.

        @param members: The size of the pool.
        """
        # 0.29 * 100 is 28.999999999999996 and means 29.
        return math.floor(self.maxEjected * members + 1e-9)

    def duration(self, ejections: int) -> float:
        """
        How long an ejection lasts, in seconds.

        @param ejections: How many came just before it, without a dial that
            worked in between.
        """
        # 2.0 ** 1024 raises OverflowError; one less only makes an infinity.
        return min(self.baseTime * 2.0 ** min(ejections, 1023), self.maxTime)


DEFAULT_EJECTION = EjectionOptions()


class Verdict(Enum):
    """What comes of a failed dial."""

    COUNTED = "counted"
    EJECTED = "ejected from this moment on"
    LIMITED = "to be ejected, if there were not as many as may be already"


class PassiveHealth:
    """
    Who of one pool is ejected, and until when.  A member goes round like this::

        available --- failures in a row ---> ejected
            ^                                   |
            |                             its time is over
        a dial works                            v
            +------------------------------ on probation --- one failure --+
                                                ^                          |
                                                +---- ejected, twice as ---+
                                                      long as before

    Probation is not a state of its own: a member comes back with its count of
    failures one short of the limit.  One dial is then enough to learn what five
    would say again, and it is the price of one retry to one connection.

    While a member is ejected its dials still have outcomes: those begun before,
    and those made because nobody else was left.  A failure does not make the
    ejection longer, or connections with nowhere else to go would keep a member
    out for ever.  A success does not end it early, since one dial is weaker
    evidence than the row of failures, but it does spare the member probation.

    At the limit of ejections a failing member stays; its failures are counted
    on, so that it goes with the first one after somebody else has come back.

    @ivar options: When members are ejected.
    @ivar nextReturn: The moment at which L{returned} has somebody to name;
        infinity while nobody is ejected.  An attribute, because it is compared
        for every connection.
    """

    def __init__(self, options: EjectionOptions, members: int) -> None:
        """
        @param members: The size of the pool.
        """
        self.options = options
        self._limit = options.limit(members)
        self._serials = count()
        # The serial decides between equal times, for members do not compare.
        self._ejected: list[tuple[float, int, Member]] = []
        self.nextReturn = math.inf

    def succeeded(self, member: Member) -> None:
        """A dial of C{member} worked."""
        member.consecutiveFailures = 0
        if member.ejectedUntil is None:
            member.ejections = 0

    def failed(self, member: Member, now: float) -> Verdict:
        """
        A dial of C{member} failed.

        @return: What comes of it.
        """
        member.consecutiveFailures += 1
        enough = self.options.consecutiveFailures
        if (
            not 0 < enough <= member.consecutiveFailures
            or member.ejectedUntil is not None
        ):
            return Verdict.COUNTED
        if len(self._ejected) >= self._limit:
            # Said once for a run of failures.
            first = member.consecutiveFailures == enough
            return Verdict.LIMITED if first else Verdict.COUNTED
        member.ejectedUntil = now + self.options.duration(member.ejections)
        member.ejections += 1
        heappush(self._ejected, (member.ejectedUntil, next(self._serials), member))
        self.nextReturn = self._ejected[0][0]
        return Verdict.EJECTED

    def returned(self, now: float) -> list[Member]:
        """
        Let those go whose ejection is over.

        @return: Who may be picked again, in the order of their times.
        """
        returned: list[Member] = []
        ejected = self._ejected
        probation = self.options.consecutiveFailures - 1
        while ejected and ejected[0][0] <= now:
            member = heappop(ejected)[2]
            member.ejectedUntil = None
            member.consecutiveFailures = min(member.consecutiveFailures, probation)
            returned.append(member)
        self.nextReturn = ejected[0][0] if ejected else math.inf
        return returned
