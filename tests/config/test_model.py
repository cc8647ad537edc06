"""Configuration is plain values."""

from __future__ import annotations

import pytest

from lbproxy.plugins.choice import PickerChoice


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (PickerChoice("random"), "random"),
        (PickerChoice("hash", {"key": "client", "size": 7}), "hash:key=client:size=7"),
    ],
)
def test_aPickerIsNamedAsOnTheCommandLine(choice: PickerChoice, text: str) -> None:
    """Errors show a choice in its short form."""
    assert str(choice) == text
