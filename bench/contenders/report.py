"""The report: a table for the terminal, and JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from .measure import Range, Sample, ranges
from .programs import COMPACT, Contender
from .work import Work

COLUMNS = {
    "rate": "{units}/s",
    "bulk": "bulk MiB/s",
    "alone": "p99 ms alone",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "added": "added mean ms",
    "user": "user us/{unit}",
    "system": "system us/{unit}",
    "memory": "bytes/{unit}",
    "before": "MiB before",
    "after": "MiB after",
    "ratio": "cost ratio",
}
"""The columns of the table: the figures' names and their headings."""

GATES = {"connection-a-request": ("lbproxy-epoll", 1.1)}
"""
By the name of a kind of work, how much more than the compact balancer one of lbproxy's
contenders may cost there.
"""


@attrs.frozen
class Results:
    """
    All that was measured.

    @ivar works: The kinds of work, in order.
    @ivar contenders: Those that took part.
    @ivar settings: What the command line asked for.
    @ivar samples: What they did.
    @ivar skipped: Why other contenders and kinds of work were left out, by name.
    @ivar failures: A line for each measurement that came to nothing.
    """

    works: Sequence[Work]
    contenders: Sequence[Contender]
    settings: Mapping[str, int]
    samples: Sequence[Sample]
    skipped: Mapping[str, str]
    failures: Sequence[str]


def shortly(value: float) -> str:
    """A figure with three digits, or more before the point."""
    if value == 0:
        return "0"
    for least, digits in ((100, 0), (10, 1), (1, 2)):
        # As it is rounded: 99.96 is 100.
        if abs(round(value, digits)) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}"


def plural(unit: str) -> str:
    """A unit's name for several of them."""
    return unit if unit == "MiB" else f"{unit}s"


def _cell(figure: Range | None) -> str:
    if figure is None:
        return "-"
    # After one round all three are the same.
    three = map(shortly, (figure.least, figure.median, figure.most))
    return " ".join(dict.fromkeys(three) if figure.least == figure.most else three)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lines of columns that are as wide as they need; the first one is left-aligned."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        (
            f"{row[0]:{first}}"
            + "".join(
                f"  {cell:>{width}}"
                for cell, width in zip(row[1:], others, strict=True)
            )
        ).rstrip()
        for row in rows
    )


def table(
    work: Work, of: Mapping[str, Mapping[str, Range]], names: Sequence[str]
) -> str:
    """
    The table of one kind of work.

    @param of: The figures' ranges by contender and figure.
    @param names: The contenders' names, in order.
    """
    present = [
        name for name in COLUMNS if any(name in figures for figures in of.values())
    ]
    heads = [
        COLUMNS[name].format(unit=work.unit, units=plural(work.unit))
        for name in present
    ]
    rows = [[work.name, *heads, ""]]
    for name in names:
        if name not in of:
            continue
        errors = of[name].get("errors")
        failed = errors is not None and errors.most > 0
        rows.append(
            [
                name,
                *(_cell(of[name].get(each)) for each in present),
                f"up to {errors.most:.0f} errors" if errors and failed else "",
            ]
        )
    return _aligned(rows)


def gate(work: Work, of: Mapping[str, Mapping[str, Range]]) -> str:
    """
    How far lbproxy is from its gate at one kind of work.

    @param of: The figures' ranges by contender and figure.
    @return: A line, or C{""} if there is no gate or one of the two was not measured.
    """
    name, most = GATES.get(work.name, ("", 0.0))
    ratio = of.get(name, {}).get("overCompact")
    if ratio is None:
        return ""
    kept = "kept" if ratio.median <= most else "not kept"
    return f"{name} / {COMPACT}: {_cell(ratio)}; the gate is {most}: {kept}"


def _part(
    work: Work, of: Mapping[str, Mapping[str, Range]], names: Sequence[str]
) -> str:
    """All about one kind of work, below an empty line."""
    lines = ["", table(work, of, names), gate(work, of)]
    return "\n".join(lines if lines[-1] else lines[:-1])


def machine() -> dict[str, str]:
    """What the bench runs on."""
    processor = "?"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    return {
        "processor": processor,
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def text(results: Results) -> str:
    """All of it, for a terminal."""
    figures = ranges(results.samples)
    names = [each.name for each in results.contenders]
    versions = [
        f"{each.name} {each.version}" for each in results.contenders if each.version
    ]
    parts = [
        ", ".join(f"{name} {value}" for name, value in machine().items()),
        ", ".join(versions),
        "Each figure: least, median and most of the rounds.",
        *(_part(work, figures.get(work.name, {}), names) for work in results.works),
    ]
    if results.failures:
        parts += ["", "What came to nothing:", *results.failures]
    return "\n".join(parts)


def asJson(results: Results) -> str:
    """All of it, for programs."""
    figures = ranges(results.samples)
    whole = {
        "machine": machine(),
        "settings": dict(results.settings),
        "versions": {each.name: each.version for each in results.contenders},
        "units": {each.name: each.unit for each in results.works},
        "skipped": dict(results.skipped),
        "failures": list(results.failures),
        "ranges": {
            work: {
                contender: {name: attrs.asdict(each) for name, each in of.items()}
                for contender, of in contenders.items()
            }
            for work, contenders in figures.items()
        },
        "samples": [attrs.asdict(each) for each in results.samples],
    }
    return json.dumps(whole, indent=2) + "\n"
