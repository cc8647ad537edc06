"""Slow start: a member that comes up gets its share step by step."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..words.backend import Member

FIRST = 0.1
"""The part of its weight that a member begins with."""

STEPS = 20
"""In how many steps a member gets the rest; each is one change for the picker."""


class SlowStart:
    """
    Raise the weights of members that have come up, from a tenth to the whole.

    No timer is needed: the pool raises them before the first pick after C{nextStep}.

    @ivar seconds: How long a member takes; 0 for no slow start.
    @ivar nextStep: When the weights are to be raised next; infinity while no member
        starts slowly.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.nextStep = inf
        self._begun: dict[Member, float] = {}

    def begin(self, member: Member, now: float) -> None:
        """A member has come up: its weight is a tenth from now on."""
        if self.seconds:
            self._begun[member] = now
            member.ramp = FIRST
            self.nextStep = min(self.nextStep, now + self.seconds / STEPS)

    def end(self, member: Member) -> bool:
        """
        Give a member its whole weight at once: it has left, or gone down.

        @return: Whether it had less.
        """
        if self._begun.pop(member, None) is None:
            return False
        member.ramp = 1.0
        if not self._begun:
            self.nextStep = inf
        return True

    def step(self, now: float) -> list[Member]:
        """
        Raise the weights to what they are at this time.

        @return: The members whose weight was raised.
        """
        raised = list(self._begun)
        for member in raised:
            passed = (now - self._begun[member]) / self.seconds
            if passed >= 1:
                del self._begun[member]
            member.ramp = min(FIRST + (1 - FIRST) * passed, 1.0)
        self.nextStep = now + self.seconds / STEPS if self._begun else inf
        return raised
