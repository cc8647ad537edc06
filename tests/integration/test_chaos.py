"""Whatever peers and plugins do, all is as it was when they are gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.parametrize(("reactor", "seed"), [("epoll", 1), ("asyncio", 2)])
def test_chaos(reactor: str, seed: int) -> None:
    """
    Half a minute of stalls, resets, floods, broken plugins and restarts leaves
    nothing behind; see C{bench/README.rst} for what is looked at, and how.
    """
    command = [sys.executable, "-m", "bench", "chaos", "--seconds", "25"]
    ended = subprocess.run(
        [*command, "--seed", str(seed), "--reactor", reactor],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
