"""Handshakes wait their turn, first come, first served."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lbproxy.proxy.termination import Handshakes, Turn


class Turns(RuleBasedStateMachine):
    """Clients come and leave in any order, and the limit changes."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 2
        self.handshakes = Handshakes(self.limit)
        self.begun: list[Turn] = []
        self.line: list[Turn] = []

    @rule()
    def comes(self) -> None:
        turn = Turn(lambda: self.begins(turn))
        if self.handshakes.enter(turn):
            self.begun.append(turn)
        else:
            self.line.append(turn)

    def begins(self, turn: Turn) -> None:
        assert self.line.pop(0) is turn
        self.begun.append(turn)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def isOver(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from(self.begun))
        self.begun.remove(turn)
        self.handshakes.leave(turn)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def waitsNoLonger(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from(self.line))
        self.line.remove(turn)
        self.handshakes.leave(turn)

    @rule(limit=st.integers(0, 4))
    def isAllowed(self, limit: int) -> None:
        self.limit = limit
        self.handshakes.allow(limit)

    @invariant()
    def countsThem(self) -> None:
        assert self.handshakes.underWay == len(self.begun)
        assert self.handshakes.waiting == len(self.line)

    @invariant()
    def nobodyWaitsForNothing(self) -> None:
        assert not self.line or (self.limit and len(self.begun) >= self.limit)


Turns.TestCase.settings = settings(max_examples=50, deadline=None)
TestTurns = Turns.TestCase
