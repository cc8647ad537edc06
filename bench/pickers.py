"""What a pick costs, and what a picker needs to follow its members."""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from lbproxy.balance.candidates import LiveCandidates, NarrowedCandidates
from lbproxy.balance.maglev import SLICE, tableSize
from lbproxy.interfaces import (
    ICapacityObserver,
    IConfigurationObserver,
    ILatencyObserver,
    ILoadObserver,
    IMembershipObserver,
)
from lbproxy.plugins.choice import PickerChoice
from lbproxy.plugins.making import buildPicker
from lbproxy.words.backend import Backend, Member
from lbproxy.words.connection import Address, Connection

_BOUNDED = {"bounded-load": 1.25}

CHOICES = {
    **{
        name: PickerChoice(name)
        for name in (
            *("round-robin", "random", "least-connections", "power-of-two"),
            *("peak-ewma", "first", "rendezvous", "maglev"),
        )
    },
    "rendezvous-bounded": PickerChoice("rendezvous", _BOUNDED),
    "maglev-bounded": PickerChoice("maglev", _BOUNDED),
}
"""What is measured, by name."""

SIZES = (10, 1000, 10_000)

LIMIT = 20.0
"""Microseconds that a pick may cost."""

HEADS = ("plain", "half full", "1 in 100", "retry", "all out", "change", "load")

_CLIENTS = 512


class Situation:
    """A picker that is told what a pool would tell it, and its candidates."""

    def __init__(self, name: str, size: int) -> None:
        self.picker: Any = buildPicker(CHOICES[name])
        self.members = [
            Member(Backend(f"tcp:10.0.{at >> 8}.{at & 255}:80", weight=1 + at % 3))
            for at in range(size)
        ]
        self._positions = {member: at for at, member in enumerate(self.members)}
        self.view = LiveCandidates(self._positions, self.members)
        self.tell(IConfigurationObserver, "configured", self.members)
        for member in self.members:
            self.tell(IMembershipObserver, "added", member)

    def tell(self, interface: Any, what: str, *arguments: object) -> None:
        """Tell the picker something, if it provides the interface."""
        if interface.providedBy(self.picker):
            getattr(self.picker, what)(*arguments)

    def fill(self, full: Sequence[Member]) -> None:
        """Let members be full."""
        for member in full:
            self.tell(ICapacityObserver, "filled", member)
        out = set(full)
        self.view = LiveCandidates(
            self._positions, [each for each in self.members if each not in out]
        )

    def free(self, full: Sequence[Member]) -> None:
        """Let members have room again."""
        for member in full:
            self.tell(ICapacityObserver, "freed", member)
        self.view = LiveCandidates(self._positions, self.members)

    def replace(self) -> None:
        """Let all members be ejected: all are tried now, as another group."""
        for what in ("removed", "added"):
            for member in self.members:
                self.tell(IMembershipObserver, what, member)
        self.view = LiveCandidates(self._positions, self.members)


def _connections() -> list[Connection]:
    local = Address("127.0.0.1", 8080)
    return [
        Connection(at, "bench", Address(f"10.1.{at >> 8}.{at & 255}", 4000), local, 0.0)
        for at in range(_CLIENTS)
    ]


def _timed(run: Callable[[], object], calls: int, rounds: int) -> float:
    """Microseconds for each of the calls that C{run} makes, in its best round."""
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        before = time.process_time()
        run()
        best = min(best, time.process_time() - before)
    return best / calls * 1e6


def _firsts(situation: Situation, rounds: int) -> float:
    """
    What the first pick of a connection costs.

    @raise RuntimeError: If a pick is no candidate, since it costs what it likes then.
    """
    connections = _connections()
    pick, view = situation.picker.pick, situation.view

    def run() -> None:
        for connection in connections:
            pick(view, connection)

    cost = _timed(run, _CLIENTS, rounds)
    wrong = sum(pick(view, each) not in view for each in connections)
    if wrong:
        name = type(situation.picker).__name__
        raise RuntimeError(f"{name}: {wrong} of {_CLIENTS} picks are no candidates")
    return cost


def _retries(situation: Situation, rounds: int) -> float:
    """What a pick costs on average: the first one and three retries of a connection."""
    connections = _connections()

    def run() -> None:
        pick, view = situation.picker.pick, situation.view
        for connection in connections:
            chosen = pick(view, connection)
            tried = [chosen]
            for _ in range(3):
                connection.tried.append(chosen.backend)
                chosen = pick(NarrowedCandidates(view, tried), connection)
                tried.append(chosen)
            connection.tried.clear()

    return _timed(run, 4 * _CLIENTS, rounds)


def _changes(situation: Situation, rounds: int) -> float:
    """What it costs that one member goes and comes back; one pick follows them all."""
    connection = _connections()[0]
    some = situation.members[:: max(1, len(situation.members) // 100)]

    def run() -> None:
        for member in some:
            for what in ("removed", "added"):
                situation.tell(IMembershipObserver, what, member)

    def picked() -> None:
        run()
        situation.picker.pick(situation.view, connection)

    return _timed(picked, len(some), rounds)


def _loads(situation: Situation, rounds: int) -> float:
    """What a lease, an answer and the release cost."""
    some = situation.members[:: max(1, len(situation.members) // 100)]

    def run() -> None:
        for member in some:
            for change in (1, -1):
                member.active += change
                situation.tell(ILoadObserver, "loadChanged", member)
            situation.tell(ILatencyObserver, "answered", member, 0.5, 2.0)

    return _timed(run, len(some), rounds)


def figures(name: str, size: int, rounds: int) -> Iterator[float]:
    """Yield the microseconds of each of L{HEADS}."""
    situation = Situation(name, size)
    if name.startswith("maglev"):
        untilBuilt(situation, _idle())
    random = Random(1)
    for member in situation.members:
        member.active = random.randrange(5)
        situation.tell(ILoadObserver, "loadChanged", member)
        situation.tell(ILatencyObserver, "answered", member, random.random(), 1.0)
    yield _firsts(situation, rounds)
    shuffled = random.sample(situation.members, size)
    for left in (size // 2, max(1, size // 100)):
        situation.fill(shuffled[left:])
        yield _firsts(situation, rounds)
        situation.free(shuffled[left:])
    yield _retries(situation, rounds)
    situation.replace()
    yield _retries(situation, rounds)
    yield _changes(situation, rounds)
    yield _loads(situation, rounds)


def untilBuilt(situation: Situation, idle: float) -> tuple[float, int, float]:
    """
    Pick until Maglev's table is built.

    @param idle: The microseconds of a pick when no table is built.
    @return: The seconds it took, the picks, and the milliseconds of the longest one.
    """
    connections = _connections()
    pick, view = situation.picker.pick, situation.view
    # Picks cost what they did before as soon as the table is there.  Where other
    # processes disturb the measurement, it is there after so many at the latest.
    most = 20 * tableSize(len(situation.members)) // SLICE
    spent = window = longest = 0.0
    picks = 0
    while picks < most:
        connection = connections[picks % _CLIENTS]
        before = time.process_time()
        pick(view, connection)
        took = time.process_time() - before
        spent, window, picks = spent + took, window + took, picks + 1
        longest = max(longest, took)
        if picks % 1000 == 0:
            if window * 1e3 < 1.7 * idle:
                return spent, picks - 1000, longest * 1e3
            window = 0.0
    return spent, picks, longest * 1e3


def _size(text: str) -> int:
    size = int(text) if text.isdecimal() else 0
    if size < 4:
        raise argparse.ArgumentTypeError(
            f"{text}: expected 4 or more, since a connection has three retries"
        )
    return size


def _idle() -> float:
    """What a pick by a small table costs, which is built at once."""
    return _firsts(Situation("maglev", 10), 3)


def building(size: int) -> Iterator[str]:
    """Have Maglev's first table built, then the next one; yield what each has cost."""
    idle = _idle()
    gc.disable()  # A collection would be the longest pick.
    before = time.process_time()
    situation = Situation("maglev", size + 1)
    at = time.process_time() - before
    spent, picks, longest = untilBuilt(situation, idle)
    yield (
        f"configured in {at:.2f} s; first table {spent:.2f} s in {picks} picks, the "
        f"longest one {longest:.1f} ms"
    )
    situation.tell(IConfigurationObserver, "configured", situation.members[:-1])
    spent, picks, longest = untilBuilt(situation, idle)
    gc.enable()
    yield f"next table {spent:.2f} s in {picks} picks, the longest one {longest:.1f} ms"


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench pickers")
    parser.add_argument("--picker", choices=CHOICES, action="append")
    parser.add_argument("--members", type=_size, action="append")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    sizes = options.members or SIZES
    print(f"{'us of CPU time':20}{'members':>8}", *(f"{each:>10}" for each in HEADS))
    slow = 0
    for name in options.picker or CHOICES:
        for size in sizes:
            costs = list(figures(name, size, options.rounds))
            slow += sum(cost > LIMIT for cost in costs[:5])
            print(f"{name:20}{size:8}", *(f"{each:10.1f}" for each in costs))
    print(f"picks above {LIMIT:.0f} us: {slow}")
    if not options.picker or "maglev" in options.picker:
        for size in sizes:
            for line in building(size):
                print(f"maglev, {size} members: {line}")
    return 0
