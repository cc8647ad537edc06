"""The limits of a session: their names, their seconds, and one row of a table."""

from __future__ import annotations

from enum import StrEnum
from math import inf

from attrs import frozen

from ..words.options import option
from ..words.units import moreThanNone, parseDuration

LINGER = 30.0
"""
Seconds for a peer to end its stream once all has been delivered to it; the
default of nginx's lingering_time.
"""

LOOKS = 8
"""How many times within a limit a watch looks whether any byte has moved."""


class Limit(StrEnum):
    """
    The limits that may end a session; L{Limits} has the seconds of the later
    ones.
    """

    HEADER = "header"
    HELLO = "hello"
    HANDSHAKE = "handshake"
    ROUTE = "route"
    PICK = "pick"
    QUEUE = "queue"
    RETRY = "retry"
    CONNECT = "connect"
    DIAL = "dial"
    LIFETIME = "lifetime"
    IDLE = "idle"
    STALL = "stall"
    HALF_CLOSE = "half-close"
    DELIVERY = "delivery"
    LINGER = "linger"
    GIVE_UP = "give-up"


@frozen
class Limits:
    """
    How long the streams of a session may take.  All times are seconds; 0
    switches one off, except C{closeTimeout}.

    @ivar idleTimeout: How long no byte may move either way.
    @ivar maxLifetime: How long a connection may last, from accept to the end.
    @ivar halfCloseTimeout: How long there may be no progress after one side has
        ended.
    @ivar stallTimeout: How long a side may take no byte while some are waiting
        for it.
    @ivar closeTimeout: How long a side that is being closed may take no byte; and
        how long an aborted transport may take to report that it is gone.
    """

    idleTimeout: float = option(
        parseDuration,
        "1h",
        "How long a connection may go without a byte either way; 0 is off.",
    )
    maxLifetime: float = option(
        parseDuration,
        0,
        "How long a connection may last, from accept to the last byte of its "
        "close; 0 is off.",
    )
    halfCloseTimeout: float = option(
        parseDuration,
        "5m",
        "How long there may be no progress after one side has ended; 0 is off.",
    )
    stallTimeout: float = option(
        parseDuration,
        "5m",
        "How long a side may take nothing although there is something for it; "
        "0 is off.",
    )
    closeTimeout: float = option(
        moreThanNone,
        "30s",
        "How long what is left to deliver may wait; starts again with each byte "
        "that is delivered.",
    )


@frozen
class Row:
    """
    One row of a table of states: which limits apply, and how often to look.

    @ivar limits: In the order in which they are tried when several are due.
    @ivar every: Seconds between looks while they apply; infinite if none of them
        needs looks.
    """

    limits: tuple[Limit, ...]
    every: float


def rowOf(row: tuple[Limit, ...], limits: Limits) -> Row:
    """
    Make a row of a table with the seconds of C{limits}.  The time between looks
    is an eighth of the shortest that is on.
    """
    asking = {
        Limit.IDLE: limits.idleTimeout,
        Limit.STALL: limits.stallTimeout,
        Limit.HALF_CLOSE: limits.halfCloseTimeout,
    }
    timeouts = [asking[each] for each in row if asking.get(each)]
    return Row(row, min(timeouts, default=inf) / LOOKS)
