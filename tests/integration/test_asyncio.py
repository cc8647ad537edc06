"""Plugins that await what is asyncio's, in a whole C{twistd}."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import StartWith
from .daemon import eventually
from .peers import Backend, asks, drain, echo

PLUGINS = """
import asyncio

async def route(connection):
    async with asyncio.timeout(5):
        await asyncio.sleep(0.01)
    return "web"
"""


@pytest.fixture
def plugins(tmp_path: Path) -> dict[str, str]:
    """What lets a C{twistd} import a router that sleeps as asyncio does."""
    (tmp_path / "sleeping.py").write_text(PLUGINS)
    return {"PYTHONPATH": str(tmp_path)}


ROUTER = 'router = "python:sleeping.route"'


def test_underItsReactor(
    startWith: StartWith, serve: Callable[..., Backend], plugins: dict[str, str]
) -> None:
    """It works, and a client that leaves meanwhile leaves nothing behind."""
    daemon = startWith(
        serve(echo), listener=ROUTER, reactor="asyncio", environment=plugins
    )
    for _ in range(3):
        with daemon.connect() as client:
            assert asks(client, b"hello") == b"hello"
        daemon.connect().close()
    daemon.records(6)


def test_underAnother(
    startWith: StartWith, serve: Callable[..., Backend], plugins: dict[str, str]
) -> None:
    """Its connections end, and the log has one line that says what is lacking."""
    daemon = startWith(serve(echo), listener=ROUTER, environment=plugins)
    for _ in range(3):
        with daemon.connect() as client:
            assert drain(client) == 0
    eventually(lambda: len(daemon.ended()) == 3, "three connections are not over")
    assert {record.end for record in daemon.records(3)} == {"route-failed"}
    lines = [each for each in daemon.log.splitlines() if "sleeping.route" in each]
    assert len(lines) == 1
    assert "twistd --reactor=asyncio" in lines[0]
