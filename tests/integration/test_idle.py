"""What the documentation says that a connection costs can be measured again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_idle() -> None:
    """C{python -m bench idle} tells of memory, and of two descriptors for each."""
    said = subprocess.check_output(
        [sys.executable, "-m", "bench", "idle", "--connections", "300"],
        cwd=ROOT,
        text=True,
    )
    process, each, descriptors = map(float, re.findall(r" ([\d.]+)$", said, re.M))
    assert descriptors == 2
    assert 20 < process < 200
    assert 0 < each < 50
