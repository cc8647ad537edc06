"""The options of a pool."""

from __future__ import annotations

from attrs import frozen

from ..words.options import option
from ..words.units import moreThanNone, parseDuration
from ..words.values import oneOf, wholeNumber


@frozen
class PoolOptions:
    """
    How a pool uses its members.

    @ivar maxDials: The most dials under way to one member; 0 for no limit.
    @ivar queueLength: How many connections may wait while every member is full.
    @ivar queueTimeout: How long one may wait, in seconds.
    @ivar slowStart: How long a member that comes up takes to get its whole share, in
        seconds; 0 gives it at once.
    @ivar whenAllDown: C{"try-all"} or C{"refuse"}.
    @ivar onMemberDown: C{"keep"} or C{"abort"}: what is done with the connections of
        a member that its checks found down.
    @ivar removalTimeout: How long a member that was removed keeps its connections, in
        seconds; 0 for as long as they last.
    """

    maxDials: int = option(
        wholeNumber(0),
        0,
        "Dials under way at once for one member; 0 for no limit.  While as many are, "
        "the member counts as full.",
    )
    queueLength: int = option(
        wholeNumber(0),
        0,
        "How many connections may wait while every member is full; with 0 none waits.",
    )
    queueTimeout: float = option(
        moreThanNone, "5s", "How long a connection may wait for a member with room."
    )
    slowStart: float = option(
        parseDuration,
        0,
        "How long a member that comes up takes from a tenth of its weight to the "
        "whole; 0 is at once.",
    )
    whenAllDown: str = option(
        oneOf("try-all", "refuse"),
        "try-all",
        "What is done while every member is down or ejected: they are tried "
        'nevertheless, "try-all", or connections are closed at once, "refuse".',
    )
    onMemberDown: str = option(
        oneOf("keep", "abort"),
        "keep",
        "What is done with the connections of a member that its checks found down.",
    )
    removalTimeout: float = option(
        parseDuration,
        0,
        "How long a member that was taken away keeps its connections; 0 is as long "
        "as they last.",
    )


DEFAULT_OPTIONS = PoolOptions()
