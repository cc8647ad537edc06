"""The picker by latency: where answers have come soonest, and few connections are."""

from __future__ import annotations

from math import exp, inf
from typing import TYPE_CHECKING

from zope.interface import implementer

from ..interfaces import IBackendPicker, IConfigurationObserver, ILatencyObserver
from ..words.options import Option
from ..words.units import moreThanNone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from ..interfaces import ICandidates
    from ..words.backend import Member
    from ..words.connection import Connection

DECAY = Option(
    moreThanNone,
    10.0,
    "How long a member's average takes to fall to a third while it is not renewed.",
)
"""The option of L{PeakEwma}."""

LEAST = 1e-6
"""
Seconds that an average counts as at least.  Among members whose averages are less,
before the first answers or after a night, the connections decide.
"""

FAILURE = 1.0
"""Seconds that a failure counts as at least."""

FAILURES = 10
"""
How many times as dear as a member is when it answers, on average, one is that has
failed.  A member that refuses at once has no connections, and must not be the best for
that where all others are slow and have many.
"""


class _Latency:
    """
    How long one member takes to answer.

    A plain slotted class: a pool of 10,000 members has as many.

    @ivar average: In seconds, as of C{since}.
    @ivar since: When it was renewed.
    @ivar picked: When the member was picked last.
    """

    __slots__ = ("average", "picked", "since")

    def __init__(self, average: float, since: float) -> None:
        self.average = average
        self.since = since
        self.picked = -inf


@implementer(IBackendPicker, IConfigurationObserver, ILatencyObserver)
class PeakEwma:
    """
    Pick the better of two candidates that are drawn at random: the one with the less
    C{average * (active + 1) / effectiveWeight}.

    The average is of the seconds that the member took to connect and to answer.  It is
    exponentially weighted by time, and sensitive to peaks: a longer answer is the
    average at once, a shorter one moves it by the more the older it is.  This is the
    load metric "Peak EWMA" of Finagle (U{https://twitter.github.io/finagle/}), whose
    load balancers draw two as well.

    While it is not renewed an average decays towards nothing, by a factor of e in each
    C{decay}.  So a slow member is tried again in the end, and is back as soon as it
    answers as fast as the others.  It is tried by one connection: from that pick on,
    for C{decay}, an average that is older than C{decay} counts as the mean of all
    members at least.  Without any traffic all averages decay, and the first picks are
    by connections alone.

    A new member has the mean of all members, so that it gets its share and no more.

    Averages decay alike, so the order of members does not change with time, and a heap
    could find the least.  But all balancers that see the same answers would send their
    clients there; and two draws are O(1).
    """

    def __init__(self, rng: Random, decay: float = 10.0) -> None:
        """
        @param rng: The source of random numbers; it may be shared.
        @param decay: In seconds, more than 0.
        """
        self._rng = rng
        self._decay = decay
        self._now = 0.0
        self._latencies: dict[Member, _Latency] = {}
        # Of all answers, of whichever member: what they took, and that times the
        # connections for the weight.
        self._mean = self._price = 0.0
        self._meanSince: float | None = None

    def configured(self, members: Sequence[Member]) -> None:
        """Keep the averages of C{members}, and of none besides."""
        before = self._latencies
        self._latencies = {
            each: before.get(each) or _Latency(self._mean, self._now)
            for each in members
        }

    def picking(self, now: float) -> None:
        """It is C{now}."""
        self._now = now

    def answered(self, member: Member, seconds: float, now: float) -> None:
        """Renew the average of C{member}, and the mean of all."""
        self._now = now
        price = seconds * max(member.active, 1) / member.effectiveWeight
        aged = 0.0
        if self._meanSince is not None:
            aged = exp((self._meanSince - now) / self._decay)
        self._mean = self._mean * aged + seconds * (1 - aged)
        self._price = self._price * aged + price * (1 - aged)
        self._meanSince = now
        latency = self._latencies.get(member)
        if latency is not None:
            aged = exp((latency.since - now) / self._decay)
            mixed = latency.average * aged + seconds * (1 - aged)
            latency.average = max(seconds, mixed)
            latency.since = now

    def failed(self, member: Member, seconds: float, now: float) -> None:
        """
        Count a failure as an answer that took as long; but L{FAILURE} at least, and
        L{FAILURES} times as long as would make C{member} as dear as others are.
        """
        dear = FAILURES * self._price * member.effectiveWeight
        self.waited(member, max(seconds, FAILURE, dear), now)

    def waited(self, member: Member, seconds: float, now: float) -> None:
        """
        Raise the average of C{member} to C{seconds}, if it is less.

        What is less than the mean of all says nothing: an average that is old is not
        renewed by it.
        """
        self._now = now
        latency = self._latencies.get(member)
        if latency is not None and seconds >= self._mean:
            aged = exp((latency.since - now) / self._decay)
            if latency.average * aged < seconds:
                latency.average = seconds
                latency.since = now

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        """Draw two of C{candidates}, and choose the better one, in O(1)."""
        number, random = len(candidates), self._rng.random
        one = int(random() * number)
        member = candidates[one]
        latency = self._latencies.get(member) or self._learn(member, candidates)
        if number > 1:
            other = int(random() * (number - 1))
            rival = candidates[other + (other >= one)]
            its = self._latencies.get(rival) or self._learn(rival, candidates)
            if self._cost(rival, its) < self._cost(member, latency):
                member, latency = rival, its
        latency.picked = self._now
        return member

    def _cost(self, member: Member, latency: _Latency) -> float:
        now, decay = self._now, self._decay
        age = now - latency.since
        average = latency.average * exp(-age / decay)
        if average < self._mean and age > decay and now - latency.picked < decay:
            average = self._mean  # It is being tried.
        return max(average, LEAST) * (member.active + 1) / member.effectiveWeight

    def _learn(self, member: Member, candidates: ICandidates) -> _Latency:
        """
        Begin the average of a candidate that was not configured, as a picker without a
        pool has them.
        """
        known = self._latencies
        if len(known) > 2 * len(candidates) + 16:
            self._latencies = {
                each: known[each] for each in candidates if each in known
            }
        latency = self._latencies[member] = _Latency(self._mean, self._now)
        return latency
