"""What the documentation says that a connection costs can be measured again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_idle() -> None:
    """
    C{python -m bench idle} tells of memory, of two descriptors for each, and of what
    is held for a client that reads nothing.
    """
    said = subprocess.check_output(
        [sys.executable, "-m", "bench", "idle", "--connections", "300"],
        cwd=ROOT,
        text=True,
    )
    figures = map(float, re.findall(r" ([\d.]+)$", said, re.M))
    process, each, descriptors, unread = figures
    assert descriptors == 2
    assert 20 < process < 200
    assert 0 < each < 50
    assert 5 < unread < 100
