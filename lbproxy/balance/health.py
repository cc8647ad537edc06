"""
Passive health: eject a member whose dials keep failing, for a limited time.

No probes are sent to a backend.  The only evidence is the outcome of the dials
that connections make anyway.  The time is an argument.
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
        rounded down to whole members: by default the member of a pool of one is
        never ejected.
    @ivar emptyAnswer: C{"failure"} if a connection counts as a failed dial when
        the member ended it without sending a byte, else C{"ok"}.
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
        How many members may be ejected at once.

        @param members: The size of the pool.
        """
        # 0.29 * 100 is 28.999999999999996 and means 29.
        return math.floor(self.maxEjected * members + 1e-9)

    def duration(self, ejections: int) -> float:
        """
        How long an ejection lasts, in seconds.

        @param ejections: How many ejections of the member came just before it,
            without a dial that worked in between.
        """
        # 2.0 ** 1024 raises OverflowError; one less only makes an infinity.
        return min(self.baseTime * 2.0 ** min(ejections, 1023), self.maxTime)


DEFAULT_EJECTION = EjectionOptions()


class Verdict(Enum):
    """What a failed dial of a member leads to."""

    COUNTED = "counted"
    EJECTED = "ejected from this moment on"
    LIMITED = "to be ejected, if there were not as many as may be already"


class PassiveHealth:
    """
    Keep track of which members of one pool are ejected, and until when.  A member
    goes through these states::

        available --- failures in a row ---> ejected
            ^                                   |
            |                             its time is over
        a dial works                            v
            +------------------------------ on probation --- one failure --+
                                                ^                          |
                                                +---- ejected, twice as ---+
                                                      long as before

    Probation is not a state of its own: a member comes back with its count of
    failures one short of the limit.  So one failed dial ejects it again, instead
    of five by default.  That dial costs one connection one retry.

    While a member is ejected its dials still have outcomes: those begun before,
    and those made because no other member was left.  A failure does not make the
    ejection longer: otherwise connections that have no other member would keep it
    ejected for ever.  A success does not end the ejection early: one dial is
    weaker evidence than the failures in a row.  But it resets the count of
    failures, so that the member comes back without probation.

    When as many members are ejected as may be, a failing member stays available.
    Its failures are still counted.  The first one after another member has come
    back ejects it.

    @ivar options: When members are ejected.
    @ivar nextReturn: When the next ejection ends; infinity while no member is
        ejected.  It is an attribute, because it is compared for every connection.
    """

    def __init__(self, options: EjectionOptions, members: int) -> None:
        """
        @param members: The size of the pool.
        """
        self._serials = count()
        # The serial orders equal times, because members cannot be compared.  An entry
        # whose member was brought back early stays until its time comes.
        self._ejected: list[tuple[float, int, Member]] = []
        self._count = 0
        self.nextReturn = math.inf
        self.use(options, members)

    def use(self, options: EjectionOptions, members: int) -> None:
        """Go by other options from now on, or with another number of members."""
        self.options = options
        self._limit = options.limit(members)

    def succeeded(self, member: Member) -> None:
        """A dial of C{member} worked."""
        member.consecutiveFailures = 0
        if member.ejectedUntil is None:
            member.ejections = 0

    def failed(self, member: Member, now: float) -> Verdict:
        """
        A dial of C{member} failed.

        @return: What it leads to.
        """
        member.failures += 1
        member.consecutiveFailures += 1
        enough = self.options.consecutiveFailures
        if (
            not 0 < enough <= member.consecutiveFailures
            or member.ejectedUntil is not None
        ):
            return Verdict.COUNTED
        if self._count >= self._limit:
            # LIMITED is returned once for a run of failures.
            first = member.consecutiveFailures == enough
            return Verdict.LIMITED if first else Verdict.COUNTED
        member.ejectedUntil = now + self.options.duration(member.ejections)
        member.ejections += 1
        self._count += 1
        heappush(self._ejected, (member.ejectedUntil, next(self._serials), member))
        self.nextReturn = self._ejected[0][0]
        return Verdict.EJECTED

    def returned(self, now: float) -> list[Member]:
        """
        End the ejections whose time is over.

        @return: The members that may be picked again, in the order in which their
            ejections ended.
        """
        returned: list[Member] = []
        ejected = self._ejected
        while ejected and ejected[0][0] <= now:
            until, _, member = heappop(ejected)
            if member.ejectedUntil == until:
                self._end(member)
                returned.append(member)
        self.nextReturn = ejected[0][0] if ejected else math.inf
        return returned

    def end(self, member: Member) -> None:
        """End the ejection of a member before its time, if it is ejected."""
        if member.ejectedUntil is not None:
            self._end(member)

    def _end(self, member: Member) -> None:
        self._count -= 1
        member.ejectedUntil = None
        probation = max(self.options.consecutiveFailures - 1, 0)
        member.consecutiveFailures = min(member.consecutiveFailures, probation)
