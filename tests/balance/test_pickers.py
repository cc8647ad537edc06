"""What holds for all built-in pickers."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picking import Told, aConnection, backends, clientAt, viewOf, without

from lbproxy.balance.pool import Pool
from lbproxy.plugins.choice import PickerChoice
from lbproxy.plugins.making import buildPicker
from lbproxy.testing import candidatesOf, checkPicker
from lbproxy.words.backend import Backend
from lbproxy.words.place import ConfigurationError

NAMES = [
    *("round-robin", "random", "least-connections", "power-of-two"),
    *("first", "peak-ewma", "maglev", "rendezvous"),
]

EACH = pytest.mark.parametrize("name", NAMES)

EVENTS = [
    *("add", "remove", "fill", "free", "ramp", "lease", "release", "configure"),
    *("answered", "failed", "waited"),
]


ALL = [
    *map(PickerChoice, NAMES),
    *(PickerChoice(name, {"bounded-load": 1.25}) for name in NAMES[-2:]),
]
"""All of them, and those that bound the load."""


def built(name: str, **options: object) -> Any:
    return buildPicker(PickerChoice(name, options))


@EACH
def test_check(name: str) -> None:
    """Each passes the check for pickers, without a pool."""
    checkPicker(built(name), candidatesOf("tcp:a:1", "tcp:b:1", "tcp:c:1"))


@EACH
def test_checkInAPool(name: str) -> None:
    """Each passes the check for pickers, in a pool."""
    picker = built(name)
    checkPicker(picker, candidatesOf("tcp:a:1", "tcp:b:1", "tcp:c:1", picker=picker))


@EACH
def test_onlyMember(name: str) -> None:
    """The last candidate is picked, however often."""
    backend = Backend("tcp:127.0.0.1:1")
    picker = built(name)
    pool = Pool("web", [backend], picker)
    for _ in range(3):
        assert picker.pick(pool.candidates(0), aConnection()) is pool.members[0]


def happen(pool: Told, event: str, at: int) -> None:
    """Let something happen to a member, if it can, or to the members."""
    member = pool.members[at % len(pool.members)]
    if event != "configure":
        pool.happen(event, member)
    # It leaves the pool, or another one comes into it.
    elif len(pool.members) > 3:
        pool.reconfigure([each for each in pool.members if each is not member])
    else:
        pool.reconfigure([*pool.members, *backends(1)])


def told(choice: PickerChoice) -> Told:
    """A picker in a pool with backups."""
    if choice.name == "maglev":
        # To build its tables takes a hundred times as long as to copy them.
        return deepcopy(withTables(ALL.index(choice)))
    return Told(buildPicker(choice), [*backends(4), *backends(2, backup=True)])


@cache
def withTables(which: int) -> Told:
    """One of all pickers in a pool with backups, to be copied."""
    return Told(buildPicker(ALL[which]), [*backends(4), *backends(2, backup=True)])


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 6)), max_size=25),
    st.lists(st.integers(0, 6), max_size=4),
)
def test_alwaysACandidate(events: list[tuple[str, int]], tries: list[int]) -> None:
    """Whatever has happened in the pool, a candidate is picked."""
    for choice in ALL:
        pool = told(choice)
        for event, at in events:
            happen(pool, event, at)
            tried = [pool.members[each % len(pool.members)] for each in tries]
            for asked in ([], tried):
                if len(without(pool.view, *asked)):
                    pool.pick(*asked, client=at)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["added", "removed", "filled", "freed", "changed", "loadChanged"]
            ),
            st.integers(0, 5),
        ),
        max_size=12,
    ),
    st.lists(st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=5),
)
def test_alwaysACandidateOfWhatever(
    said: list[tuple[str, int]], views: list[set[int]]
) -> None:
    """
    A candidate is picked even if what the picker was told has nothing to do with its
    candidates.
    """
    members = backends(6)
    for choice in ALL:
        picker: Any = buildPicker(choice)
        for what, at in said:
            tell = getattr(picker, what, None)
            if tell is not None:
                tell(members[at])
        for number, each in enumerate(views):
            view = viewOf([members[at] for at in sorted(each)])
            for client in range(3):
                assert picker.pick(view, clientAt(number + client)) in view


@pytest.mark.parametrize("name", ["maglev", "rendezvous"])
def test_keyOption(name: str) -> None:
    """What is hashed is an option of those that hash."""
    assert built(name, key="server-name")
    with pytest.raises(ConfigurationError, match=r'key.*"client-address" or'):
        built(name, key="cookie")


@pytest.mark.parametrize("name", NAMES[:5])
def test_noOptions(name: str) -> None:
    """Those that go by rotation, chance or connections take none."""
    with pytest.raises(ConfigurationError, match="takes no options"):
        built(name, key="client-address")
