"""What a pick costs can be measured again, for each built-in picker."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lbproxy import PickerPlugin
from twisted.plugins import lbproxy_plugin

ROOT = Path(__file__).parents[2]
NAMES = [
    each.name
    for each in vars(lbproxy_plugin).values()
    if isinstance(each, PickerPlugin)
] + ["rendezvous-bounded", "maglev-bounded"]
SIZES = (4, 10, 150)


def measured(*arguments: str) -> str:
    """What the bench prints for small pools."""
    command = [sys.executable, "-m", "bench", "pickers", "--rounds", "1"]
    for size in SIZES:
        command += ["--members", str(size)]
    return subprocess.check_output(
        [*command, *arguments],
        cwd=ROOT,
        text=True,
        timeout=120,
        stderr=subprocess.PIPE,
    )


@pytest.mark.long
def test_pickers() -> None:
    """
    C{python -m bench pickers} has a row for each picker and each number of members,
    counts the picks that cost too much, and tells of Maglev's tables.
    """
    head, *lines = measured().splitlines()
    assert re.split("  +", head) == [
        *("us of CPU time", "members", "plain", "half full", "1 in 100"),
        *("retry", "all out", "change", "load"),
    ]
    rows = [line.split() for line in lines[: len(NAMES) * len(SIZES)]]
    assert sorted((name, int(size)) for name, size, *_ in rows) == sorted(
        (name, size) for name in NAMES for size in SIZES
    )
    picks: list[float] = []
    for _, _, *figures in rows:
        costs = [float(each) for each in figures]
        assert len(costs) == 7
        assert all(0 <= cost < float("inf") for cost in costs)
        assert sum(costs) > 0
        picks += costs[:5]
    said, *tables = lines[len(rows) :]
    limit, slow = map(int, re.findall(r"\d+", said))
    assert said == f"picks above {limit} us: {slow}"
    # The figures in the rows are rounded.
    most = sum(cost >= limit for cost in picks)
    assert sum(cost > limit for cost in picks) <= slow <= most
    for size in SIZES:
        for which in (r"configured in [\d.]+ s; first", "next"):
            found = re.fullmatch(
                rf"maglev, {size} members: {which} table [\d.]+ s"
                r" in (\d+) picks, the longest one [\d.]+ ms",
                tables.pop(0),
            )
            assert found is not None
            assert int(found[1]) < 20_000
    assert not tables


def test_onePicker() -> None:
    """One picker alone is measured in a moment, without Maglev's tables."""
    lines = measured("--picker", "first").splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["first"] * len(SIZES)
    assert lines[-1].startswith("picks above")


def test_tooFewMembers() -> None:
    """What cannot be measured is refused, and nothing is printed of it."""
    with pytest.raises(subprocess.CalledProcessError) as raised:
        measured("--members", "3")
    assert raised.value.output == ""
    assert "--members: 3: expected 4 or more" in raised.value.stderr
