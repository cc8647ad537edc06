"""What a picker is told of its members: what it asks for, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from pooled import backendsOf, names
from zope.interface import alsoProvides

from lbproxy.balance.informed import InformedPicker
from lbproxy.interfaces import (
    IBackendPicker,
    ICapacityObserver,
    IConfigurationObserver,
    ILatencyObserver,
    ILoadObserver,
    IMembershipObserver,
)
from lbproxy.words.backend import Member

ASKS: dict[Any, set[str]] = {
    IMembershipObserver: {"added", "removed", "changed"},
    ICapacityObserver: {"filled", "freed"},
    ILoadObserver: {"loadChanged"},
    IConfigurationObserver: {"configured"},
    ILatencyObserver: {"picking", "answered", "failed", "waited"},
}
"""The methods of each interface of those that are told of members."""

METHODS = sorted(set.union(*ASKS.values()))

LIFE = [
    *("configured ab", "added a", "added b", "filled b"),
    *("filled a", "freed b", "changed a", "loadChanged b"),
    *("picking 1.0", "answered a 0.5 2.0", "failed b 0.1 3.0", "waited a 9.0 4.0"),
    *("removed a", "removed b"),
]
"""What L{live} tells a picker that asks for everything."""


class Broken(BaseException):
    """What a picker raises; not even an L{Exception}."""


class Curious:
    """
    A picker that has all methods, and provides the interfaces that a test gives it.

    @ivar told: What it was told, in order.
    """

    def __init__(self, *interfaces: Any, broken: str = "") -> None:
        """
        @param broken: The method that raises.
        """
        alsoProvides(self, IBackendPicker, *interfaces)
        self.told: list[str] = []
        for what in METHODS:
            setattr(self, what, self._teller(what, what == broken))

    def _teller(self, what: str, raises: bool) -> Callable[[Any], None]:
        def tell(about: Member | list[Member] | float, *more: float) -> None:
            told = str(about)
            if isinstance(about, Member | list):
                told = about.name if isinstance(about, Member) else names(about)
            self.told.append(" ".join([what, told, *map(str, more)]))
            if raises:
                raise Broken(told)

        return tell


def live(informed: InformedPicker) -> None:
    """Let two members come, the second of them full; let things happen; remove both."""
    a, b = members = [Member(backend) for backend in backendsOf("ab")]
    b.isFull = True
    informed.configured(members)
    informed.added(members)
    a.isFull, b.isFull = True, False
    informed.capacityChanged(a)
    informed.capacityChanged(b)
    informed.changed(a)
    informed.loadChanged(b)
    informed.picking(1.0)
    informed.answered(a, 0.5, 2.0)
    informed.failed(b, 0.1, 3.0)
    informed.waited(a, 9.0, 4.0)
    informed.removed(members)


@pytest.mark.parametrize(
    "asked",
    [(), *((each,) for each in ASKS), (IMembershipObserver, ILoadObserver), ASKS],
    ids=lambda asked: "+".join(each.__name__ for each in asked) or "nothing",
)
def test_whatItAsksFor(asked: Iterable[Any]) -> None:
    """
    A picker is told what the interfaces that it provides are for, in order; of a member
    that comes full, that it is there and then that it is full.
    """
    picker = Curious(*asked)
    informed = InformedPicker(picker)  # type: ignore[arg-type]
    live(informed)
    wanted = {what for each in asked for what in ASKS[each]}
    assert picker.told == [each for each in LIFE if each.split()[0] in wanted]
    assert informed.followsLoad == (ILoadObserver in asked)
    assert informed.followsLatency == (ILatencyObserver in asked)


@pytest.mark.parametrize("broken", METHODS)
def test_aPickerThatRaises(broken: str) -> None:
    """What one method raises is told once for each call, and keeps nothing from it."""
    failures: list[tuple[object, str, str]] = []

    def failed(picker: object, what: str) -> None:
        failures.append((picker, what, str(sys.exception())))

    picker = Curious(*ASKS, broken=broken)
    live(InformedPicker(picker, failed))  # type: ignore[arg-type]
    assert picker.told == LIFE
    calls = [each.split()[:2] for each in LIFE]
    assert failures == [(picker, what, of) for what, of in calls if what == broken]


def test_nobodyHearsOfIt() -> None:
    """Where nothing is told of failures, as in a test of a picker, it raises them."""
    picker = Curious(*ASKS, broken="changed")
    with pytest.raises(Broken):
        live(InformedPicker(picker))  # type: ignore[arg-type]
    assert picker.told == LIFE[: LIFE.index("changed a") + 1]


def test_leave() -> None:
    """A picker that was replaced is told no more; another pool may use it."""
    picker = Curious(*ASKS)
    informed = InformedPicker(picker)  # type: ignore[arg-type]
    informed.leave()
    live(informed)
    assert picker.told == []
    assert not informed.followsLoad
    assert not informed.followsLatency
