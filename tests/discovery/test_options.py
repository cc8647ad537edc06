"""What a pool says of the backends that are found for it."""

from __future__ import annotations

from lbproxy import Backend
from lbproxy.discovery.options import DiscoveryOptions


def test_backups() -> None:
    """
    With C{member = {backup = true}} all that is found are backups of what is listed,
    and keep the order of their tiers.
    """
    options = DiscoveryOptions(member={"backup": True, "weight": 3})
    found = [
        options.completed(Backend("tcp:a:80", weight=weight, tier=tier))
        for weight, tier in ((1, 0), (2, 10), (1, 20))
    ]
    assert [(each.effectiveTier, each.weight) for each in found] == [
        *((1, 3), (10, 2), (20, 3))
    ]
