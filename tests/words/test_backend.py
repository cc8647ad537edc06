"""What a program may say of a backend."""

from __future__ import annotations

from typing import Any

import pytest

from lbproxy import Backend


@pytest.mark.parametrize(
    ("tier", "backup", "effective"),
    [
        (0, False, 0),
        (0, True, 1),
        (1, False, 1),
        (1, True, 1),
        (65535, False, 65535),
        (65535, True, 65535),
    ],
)
def test_effectiveTier(tier: int, backup: bool, effective: int) -> None:
    """A backup is never in the first tier."""
    backend = Backend("tcp:a:80", backup=backup, tier=tier)
    assert backend.effectiveTier == effective
    assert type(backend.effectiveTier) is int
    assert backend.at("192.0.2.1").tier == tier


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tier": -1}, "tier = -1: expected a whole number from 0 to 65535"),
        ({"tier": 65536}, "tier = 65536: expected a whole number from 0 to 65535"),
        ({"tier": True}, "tier = True: expected a whole number from 0 to 65535"),
        ({"weight": 0}, "weight = 0: expected a whole number from 1 to 65535"),
    ],
)
def test_outOfRange(given: dict[str, Any], expected: str) -> None:
    """A discovery that makes a backend of nonsense is told which attribute it is."""
    with pytest.raises(ValueError) as caught:
        Backend("tcp:a:80", **given)
    assert str(caught.value) == expected
