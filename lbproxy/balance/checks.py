"""
Active health: whether a member is up, as its health checks have passed or failed.

This only counts.  The checks are made, and the clock is read, elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from attrs import frozen

from ..words.options import option
from ..words.values import oneOf, wholeNumber

_count = wholeNumber(1)
_state = oneOf("up", "down")


@frozen(kw_only=True)
class CheckOptions:
    """
    How many health checks in a row move a member up or down.

    @ivar rise: Checks that must pass in a row until a member that is down is up.
    @ivar fall: Checks that must fail in a row until a member that is up is down.
    @ivar initial: C{"up"} or C{"down"}: what a member is before its first check.
    """

    rise: int = option(
        _count, 2, "After how many passed checks in a row a member is up again."
    )
    fall: int = option(
        _count, 3, "After how many failed checks in a row a member is down."
    )
    initial: str = option(
        _state,
        "up",
        'What a member is before its first check; "down" until rise checks passed.',
    )

    def __attrs_post_init__(self) -> None:
        _require(self.rise, "rise", _count)
        _require(self.fall, "fall", _count)
        _require(self.initial, "initial", _state)


def _require(value: object, name: str, parse: Callable[[object], object]) -> None:
    try:
        parse(value)
    except ValueError as error:
        raise ValueError(f"{name} = {value!r}: {error}") from None


class CheckVerdict(Enum):
    """What one check changes."""

    WENT_UP = "it was down and is up"
    WENT_DOWN = "it was up and is down"


class ActiveHealth:
    """
    Counts the checks of one member.

    One pass sets the count of failures to zero, and one failure the count of passes: a
    member whose checks pass and fail by turns stays what it is.

    @ivar options: May be replaced at any time; the counts stay, and are compared with
        the new numbers at the next check.
    @ivar up: Whether the member is up.
    @ivar passes: How many checks have passed since the last failure.
    @ivar failures: How many checks have failed since the last pass.
    """

    # A plain class with slots: a pool of 10,000 members holds as many of these.
    __slots__ = ("failures", "options", "passes", "up")

    def __init__(self, options: CheckOptions) -> None:
        self.options = options
        self.up = options.initial == "up"
        self.passes = 0
        self.failures = 0

    def feed(self, passed: bool) -> CheckVerdict | None:
        """
        Count one check.

        @return: What it changes; L{None} if the member stays what it is.
        """
        if passed:
            self.passes += 1
            self.failures = 0
            if not self.up and self.passes >= self.options.rise:
                self.up = True
                return CheckVerdict.WENT_UP
        else:
            self.failures += 1
            self.passes = 0
            if self.up and self.failures >= self.options.fall:
                self.up = False
                return CheckVerdict.WENT_DOWN
        return None
