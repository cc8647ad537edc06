"""
The states of a session and of an exchange, their transitions, and their limits.

The first two tables are enforced: a transition that is not in them is a mistake
in lbproxy.  The third table says which limits apply in each state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from ..streams.limits import Limit, Limits, Row, rowOf


class State(StrEnum):
    """A state of a session or of an exchange."""

    NEW = "new"
    HEADER = "header"
    HELLO = "hello"
    ARRIVING = "arriving"
    ROUTING = "routing"
    EXCHANGING = "exchanging"
    PICKING = "picking"
    EXPECTING = "expecting"
    QUEUED = "queued"
    RESTING = "resting"
    DIALLING = "dialling"
    RELAYING = "relaying"
    HALF_CLOSED = "half-closed"
    CLOSING = "closing"
    OVER = "over"


(
    NEW,
    HEADER,
    HELLO,
    ARRIVING,
    ROUTING,
    EXCHANGING,
    PICKING,
    EXPECTING,
    QUEUED,
    RESTING,
    DIALLING,
    RELAYING,
    HALF_CLOSED,
    CLOSING,
    OVER,
) = State
"""By themselves: to look one up in its class takes 65 ns more (Python 3.11)."""


class WrongTransition(Exception):
    """A transition was to be taken that is not in its table."""


class Following(dict[State, State]):
    """
    The states that may follow one state.  To look a state up is to check it.
    That costs no call of a Python function; there are ten transitions for each
    connection.
    """

    def __init__(self, state: State, following: Iterable[State]) -> None:
        super().__init__({each: each for each in following})
        self.state = state

    def __missing__(self, key: State) -> State:
        raise WrongTransition(f"{key} does not follow {self.state}")


def _table(**following: str) -> Mapping[State, Following]:
    """Make a table of the states that may follow each state."""
    return {
        State[name]: Following(State[name], map(State, states.split()))
        for name, states in following.items()
    }


SESSION = _table(
    NEW="header hello arriving routing closing over",
    HEADER="hello arriving routing closing over",
    HELLO="routing closing over",
    ARRIVING="routing closing over",
    ROUTING="exchanging closing over",
    EXCHANGING="closing over",
    CLOSING="over",
    OVER="",
)
"""
The states of a session: C{state = SESSION[state][following]} takes a transition,
or raises L{WrongTransition}.
"""

EXCHANGE = _table(
    NEW="picking over",
    PICKING="picking expecting queued resting dialling over",
    EXPECTING="picking over",
    QUEUED="picking over",
    RESTING="picking over",
    DIALLING="picking relaying over",
    RELAYING="half-closed closing over",
    HALF_CLOSED="half-closed closing over",
    CLOSING="over",
    OVER="",
)
"""The states of an exchange, likewise."""

LIMITS: Mapping[State, tuple[Limit, ...]] = {
    State.HEADER: (Limit.LIFETIME, Limit.HEADER),
    State.HELLO: (Limit.LIFETIME, Limit.HELLO),
    State.ARRIVING: (Limit.LIFETIME, Limit.HANDSHAKE),
    State.ROUTING: (Limit.LIFETIME, Limit.ROUTE),
    State.PICKING: (Limit.LIFETIME, Limit.DIAL, Limit.PICK),
    State.EXPECTING: (Limit.LIFETIME, Limit.DIAL),
    State.QUEUED: (Limit.LIFETIME, Limit.DIAL, Limit.QUEUE),
    State.RESTING: (Limit.LIFETIME, Limit.DIAL, Limit.RETRY),
    State.DIALLING: (Limit.LIFETIME, Limit.DIAL, Limit.CONNECT),
    State.RELAYING: (Limit.LIFETIME, Limit.STALL, Limit.IDLE),
    State.HALF_CLOSED: (Limit.LIFETIME, Limit.STALL, Limit.HALF_CLOSE, Limit.IDLE),
    State.CLOSING: (Limit.LIFETIME, Limit.DELIVERY, Limit.LINGER, Limit.GIVE_UP),
}
"""
The limits that apply in each state; where several are due at once, the first
counts.
"""


def rows(limits: Limits) -> Mapping[State, Row]:
    """The table of limits, with the seconds of one listener."""
    return {state: rowOf(row, limits) for state, row in LIMITS.items()}
