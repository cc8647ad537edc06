"""
The states of a session and of an exchange: what may follow what, and for how long.

Both tables are enforced; a transition that is not in them is a mistake in
lbproxy.  Which limits apply in a state is the third table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from ..streams.watch import Limit, Limits, Row, rowOf


class State(Enum):
    """Where a session, or its exchange, is."""

    NEW = "new"
    ARRIVING = "arriving"
    ROUTING = "routing"
    EXCHANGING = "exchanging"
    PICKING = "picking"
    DIALLING = "dialling"
    RELAYING = "relaying"
    HALF_CLOSED = "half-closed"
    CLOSING = "closing"
    OVER = "over"


_NEW, _ARRIVING, _ROUTING, _EXCHANGING, _PICKING, _DIALLING = list(State)[:6]
_RELAYING, _HALF_CLOSED, _CLOSING, _OVER = list(State)[6:]

SESSION: Mapping[State, frozenset[State]] = {
    _NEW: frozenset({_ARRIVING, _ROUTING, _CLOSING, _OVER}),
    _ARRIVING: frozenset({_ROUTING, _CLOSING, _OVER}),
    _ROUTING: frozenset({_EXCHANGING, _CLOSING, _OVER}),
    _EXCHANGING: frozenset({_CLOSING, _OVER}),
    _CLOSING: frozenset({_OVER}),
    _OVER: frozenset(),
}
"""What may follow each state of a session."""

EXCHANGE: Mapping[State, frozenset[State]] = {
    _NEW: frozenset({_PICKING, _OVER}),
    _PICKING: frozenset({_PICKING, _DIALLING, _OVER}),
    _DIALLING: frozenset({_PICKING, _RELAYING, _OVER}),
    _RELAYING: frozenset({_HALF_CLOSED, _CLOSING, _OVER}),
    _HALF_CLOSED: frozenset({_HALF_CLOSED, _CLOSING, _OVER}),
    _CLOSING: frozenset({_OVER}),
    _OVER: frozenset(),
}
"""What may follow each state of an exchange."""

LIMITS: Mapping[State, tuple[Limit, ...]] = {
    _ARRIVING: (Limit.LIFETIME, Limit.HANDSHAKE),
    _ROUTING: (Limit.LIFETIME, Limit.ROUTE),
    _PICKING: (Limit.LIFETIME, Limit.DIAL, Limit.PICK),
    _DIALLING: (Limit.LIFETIME, Limit.DIAL, Limit.CONNECT),
    _RELAYING: (Limit.LIFETIME, Limit.STALL, Limit.IDLE),
    _HALF_CLOSED: (Limit.LIFETIME, Limit.STALL, Limit.HALF_CLOSE, Limit.IDLE),
    _CLOSING: (Limit.LIFETIME, Limit.DELIVERY, Limit.LINGER, Limit.GIVE_UP),
}
"""What ends a session in each state; where several are due at once, the first."""


class WrongTransition(Exception):
    """A state was to follow one that it may not follow."""


def follow(
    table: Mapping[State, frozenset[State]], before: State, after: State
) -> State:
    """
    Take a transition, if it is in the table.

    @return: C{after}.
    @raise WrongTransition: If it is not.
    """
    if after not in table[before]:
        raise WrongTransition(f"{after.value} does not follow {before.value}")
    return after


def rows(limits: Limits) -> Mapping[State, Row]:
    """The third table, for the limits of one listener."""
    return {state: rowOf(row, limits) for state, row in LIMITS.items()}
