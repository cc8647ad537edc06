"""The diagrams and tables in the docs are those that the program goes by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attrs import fields

from lbproxy import End, generation
from lbproxy.config.keys import TABLES
from lbproxy.proxy.states import EXCHANGE, LIMITS, SESSION
from lbproxy.streams import stream
from lbproxy.streams.kinds import TCP, TLS, UNIX
from lbproxy.streams.limits import Limit
from lbproxy.streams.stream import Facts, Mode

from .proxy.test_limits import (  # type: ignore[import-not-found]
    FIXED,
    KEYS,
    WALK,
)

ROOT = Path(__file__).parent.parent
ARCHITECTURE = (ROOT / "docs" / "architecture.rst").read_text()
ENDS = (ROOT / "docs" / "ends.rst").read_text()

Diagram = dict[str, list[str]]


def diagrams(text: str) -> list[Diagram]:
    """Every diagram of a text: what may follow what, in order."""
    blocks = re.findall(r"(?:^ +[\w-]+ +--> .*\n)+", text, re.MULTILINE)
    return [
        {
            state: following.split(", ")
            for state, following in re.findall(r"([\w-]+) +--> (.*)\n", block)
        }
        for block in blocks
    ]


def table(text: str, *header: str) -> list[list[str]]:
    """The cells of the one table with a certain header, without it."""
    blocks = re.findall(r"^\.\. list-table::\n((?:\n| +.*\n)+)", text, re.MULTILINE)
    found = []
    for block in blocks:
        _, *rows = re.split(r"^   \* -", block, flags=re.MULTILINE)
        cells = [re.split(r"^     - ", row, flags=re.MULTILINE) for row in rows]
        first, *others = [[" ".join(cell.split()) for cell in row] for row in cells]
        if first == list(header):
            found.append(others)
    (only,) = found
    return only


def literals(text: str) -> list[str]:
    """What is set as code in a text."""
    return re.findall(r"``([^`]+)``", text)


SESSIONS, EXCHANGES, STREAMS, GENERATIONS = diagrams(ARCHITECTURE)
(CLOSES,) = diagrams(ENDS)


@pytest.mark.parametrize(
    ("shown", "enforced"), [(SESSIONS, SESSION), (EXCHANGES, EXCHANGE)]
)
def test_states(shown: Diagram, enforced) -> None:
    """Every transition that may be taken is shown, and no other is."""
    assert shown == {
        state.value: [each.value for each in following]
        for state, following in enforced.items()
        if following
    }


def test_modes() -> None:
    """A stream's modes are those that its contract speaks of."""
    assert diagrams(stream.__doc__ or "") == [STREAMS]
    modes = [mode.value for mode in Mode]
    assert [*STREAMS, "lost"] == modes
    for mode, following in STREAMS.items():
        assert following == [each for each in modes if each in following]
        assert modes.index(mode) < modes.index(following[0])


def test_close() -> None:
    """The steps of a close are a stream's modes, of which finishing has two."""
    names = {"delivering": "finishing", "lingering": "finishing"}
    merged: dict[str, set[str]] = {}
    for step, following in CLOSES.items():
        mode = names.get(step, step)
        after = {names.get(each, each) for each in following} - {mode}
        merged[mode] = merged.get(mode, set()) | after
    assert merged == {mode: set(following) for mode, following in STREAMS.items()}
    steps = table(ENDS, "step", "what is done", "what ends it")
    assert [step for step, *_ in steps] == [step for step in CLOSES if step != "open"]
    for step, _, ends in steps:
        for next_ in CLOSES[step]:
            assert re.search(rf"\b{next_}\b", ends), (step, next_)


def test_generations() -> None:
    """A generation's life is the one that its module tells of."""
    assert diagrams(generation.__doc__ or "") == [GENERATIONS]


def test_diagramsInTheCode() -> None:
    """No module has a diagram that is not compared with the one in the docs."""
    shown = [
        each
        for path in sorted((ROOT / "lbproxy").rglob("*.py"))
        for each in diagrams(path.read_text())
    ]
    assert shown == [GENERATIONS, STREAMS]


def test_rooms() -> None:
    """The docs tell of every room of the house, and of no other."""
    rooms = [
        room
        for cell, _ in table(ARCHITECTURE, "room", "what is in it")
        for room in literals(cell)
    ]
    there = {
        path.relative_to(ROOT / "lbproxy").parts[0].removesuffix(".py")
        for path in (ROOT / "lbproxy").rglob("*.py")
    }
    assert sorted(rooms) == sorted(there - {"__init__"})


def test_ends() -> None:
    """The docs tell of every word for an end, and of no other."""
    words = table(ENDS, "word", "what happened", "what to look at")
    assert [literals(word) for word, *_ in words] == [[each.value] for each in End]


def test_whatEndsEachState() -> None:
    """The limits that are shown of a state are those that apply in it."""
    shown = table(ENDS, "state", "what ends it")
    assert [state for state, _ in shown] == [state.value for state in LIMITS]
    for (_, limits), apply in zip(shown, LIMITS.values(), strict=True):
        assert sorted(literals(limits)) == sorted(apply)


def test_limits() -> None:
    """Of each limit the docs say what sets it, and which word it ends with."""
    shown = table(ENDS, "limit", "reached when", "set by", "word of the end")
    assert [literals(limit) for limit, *_ in shown] == [[each.value] for each in Limit]
    keys = {key.name for table in TABLES for key in table.keys}
    # Scenes of the walk that have ended with a word before the limit is reached.
    decided = {End.REFUSED_BY_ROUTER, End.BACKEND_RESET, End.DRAINED}
    for limit, (_, _, setBy, word) in zip(Limit, shown, strict=True):
        if limit in FIXED:
            assert setBy == f"{FIXED[limit]:g} s"
        else:
            assert literals(setBy) == [KEYS[limit][1]]
            assert literals(setBy)[0] in keys
        ends = {end for _, each, _, end in WALK if each is limit}
        if limit is Limit.RETRY:
            ends.clear()  # They are those of the dial that comes after it.
        assert set(literals(word)) == ends - decided


def test_transports() -> None:
    """What the docs say that transports can do is what these declare."""
    shown = table(ENDS, "", "TCP", "UNIX", "TLS")
    facts = [fact.name for fact in fields(Facts)]
    assert len(shown) == len(facts)
    for fact, (_, *cells) in zip(facts, shown, strict=True):
        for kind, cell in zip((TCP, UNIX, TLS), cells, strict=True):
            assert cell == ("yes" if getattr(kind.facts, fact) else "no")
