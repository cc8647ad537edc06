"""
The contract of streams, and journeys that are hard for sockets, under the reactors that
are not Twisted's default.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CONTRACT = Path(__file__).with_name("test_transports.py")
JOURNEYS = CONTRACT.parents[1] / "integration" / "test_journeys.py"
REACTORS = ["poll", "select", "asyncio"]
PATIENCE = 240


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """One process for each, all at once: they wait for the kernel most of the time."""
    started = {}
    for reactor in REACTORS:
        temporary = tmp_path_factory.mktemp(reactor)
        started[reactor] = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "-q", "--tb=short"),
                *("-p", "no:cacheprovider", f"--basetemp={temporary}"),
                *(str(CONTRACT), f"{JOURNEYS}::test_hard"),
            ],
            cwd=CONTRACT.parents[2],
            # Coverage is measured by whoever runs all tests.
            env={
                **os.environ,
                "LBPROXY_TEST_REACTOR": reactor,
                "PYTEST_ADDOPTS": "",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.mark.long
@pytest.mark.parametrize("reactor", REACTORS)
def test_holds(running: dict[str, subprocess.Popen[str]], reactor: str) -> None:
    """They hold there too."""
    output, _ = running[reactor].communicate(timeout=PATIENCE)
    assert running[reactor].returncode == 0, output
