"""Rounds in which the contenders take turns, and what these figures amount to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import attrs

from .processes import Broken
from .programs import COMPACT, DIRECT, OURS, YARDSTICKS, Contender
from .work import Figures, Stage, Work


@attrs.frozen
class Sample:
    """
    What one contender did in one round.

    @ivar work: The kind of work.
    @ivar round: The number of the round, from 1.
    @ivar contender: Its name.
    @ivar figures: What was measured.
    """

    work: str
    round: int
    contender: str
    figures: Figures


@attrs.frozen
class Range:
    """The least, the middle and the most of a figure in all rounds."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Range:
        """That of some values, at least one."""
        known = list(values)
        return cls(min(known), statistics.median(known), max(known))


def turns(contenders: Sequence[Contender], rounds: int) -> list[list[Contender]]:
    """
    Who is measured when: in each round all, beginning with another one, so that none
    always comes after the same moment of the round.
    """
    count = len(contenders)
    return [
        [contenders[(first + at) % count] for at in range(count)]
        for first in range(rounds)
    ]


def compared(figures: dict[str, Figures], parts: Sequence[str]) -> dict[str, Figures]:
    """
    One round's figures, with those that say how contenders compare.

    @param figures: By contender.
    @param parts: The figures whose sum is what a unit costs.
    @return: The same with C{ratio}, the costs in relation to those of the cheapest of
        L{YARDSTICKS}; C{overCompact}, lbproxy's own in relation to L{COMPACT}'s; and
        C{added}, the mean latency above that of no balancer; each where it can be told.
    """
    costs = {
        name: sum(each[part] for part in parts)
        for name, each in figures.items()
        if all(part in each for part in parts)
    }
    known = [costs[name] for name in YARDSTICKS if costs.get(name, 0) > 0]
    least = costs.get(COMPACT, 0)
    direct = figures.get(DIRECT, {}).get("mean")
    more: dict[str, Figures] = {}
    for name, each in figures.items():
        more[name] = dict(each)
        if known and name in costs:
            more[name]["ratio"] = costs[name] / min(known)
        if least > 0 and name in costs and name.startswith(OURS):
            more[name]["overCompact"] = costs[name] / least
        if direct is not None and name != DIRECT and "mean" in each:
            more[name]["added"] = each["mean"] - direct
    return more


def measured(
    work: Work,
    contenders: Sequence[Contender],
    rounds: int,
    stage: Stage,
    step: Callable[[str, int, str], AbstractContextManager[None]],
) -> tuple[list[Sample], list[str]]:
    """
    Measure all contenders at one kind of work.

    @param step: Makes the context of one measurement, given the work, the round and
        the contender.
    @return: The samples, and a line for each measurement that came to nothing.
    """
    samples: list[Sample] = []
    failures: list[str] = []
    with work.prepared(stage) as measure:
        for at, order in enumerate(turns(contenders, rounds), 1):
            figures: dict[str, Figures] = {}
            for contender in order:
                try:
                    with step(work.name, at, contender.name):
                        figures[contender.name] = measure(contender)
                except Broken as broken:
                    failures.append(
                        f"{work.name}, round {at}, {contender.name}: {broken}"
                    )
            samples += [
                Sample(work.name, at, name, each)
                for name, each in compared(figures, work.compared).items()
            ]
    return samples, failures


def ranges(samples: Iterable[Sample]) -> dict[str, dict[str, dict[str, Range]]]:
    """Each figure's range, by work, contender and the figure's name."""
    values: dict[str, dict[str, dict[str, list[float]]]] = {}
    for sample in samples:
        of = values.setdefault(sample.work, {}).setdefault(sample.contender, {})
        for name, value in sample.figures.items():
            of.setdefault(name, []).append(value)
    return {
        work: {
            contender: {name: Range.of(each) for name, each in figures.items()}
            for contender, figures in contenders.items()
        }
        for work, contenders in values.items()
    }
