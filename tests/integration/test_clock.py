"""The wall clock is set while connections are under way."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from .conftest import StartWith
from .daemon import PATIENCE, Daemon
from .peers import Backend, asks, drain, echo

STEPS = ["3600", "-600"]


@pytest.fixture
def stepping(startWith: StartWith, tmp_path: Path) -> Callable[..., Daemon]:
    """Start one whose wall clock is set by writing seconds to the file C{step}."""
    tests = str(Path(__file__).parents[1])
    environment = {"PYTHONPATH": tests, "STEP": str(tmp_path / "step")}

    def start(*backends: Backend | str, **keys: str) -> Daemon:
        return startWith(*backends, reactor="stepping", environment=environment, **keys)

    return start


@pytest.mark.parametrize("step", STEPS)
def test_busyConnection(
    stepping: Callable[..., Daemon],
    serve: Callable[..., Backend],
    tmp_path: Path,
    step: str,
) -> None:
    """One that is in use goes on, and one that is not is cut off in its time."""
    limits = 'idle-timeout = "2s"\nstall-timeout = "2s"\nmax-lifetime = "10m"'
    daemon = stepping(serve(echo), listener=limits)
    never = Event()
    with daemon.connect() as busy, daemon.connect() as quiet:
        assert asks(busy, b"hello") == b"hello"
        assert asks(quiet, b"hello") == b"hello"
        began = monotonic()
        (tmp_path / "step").write_text(step)
        while not daemon.ended() and monotonic() - began < PATIENCE:
            assert asks(busy, b"hello") == b"hello"
            never.wait(0.05)
        assert monotonic() - began > 1.75
        (record,) = daemon.records()
        assert record.end == "idle-timeout"
        assert asks(busy, b"still there?") == b"still there?"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_dial(
    stepping: Callable[..., Daemon], tmp_path: Path, host: str, step: str
) -> None:
    """One that is not answered is given up in its time, whatever the clock says."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # With its backlog full, further SYNs are dropped.
        fillers = [socket.socket() for _ in range(3)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        backend = f"tcp:{host}:{full.getsockname()[1]}"
        daemon = stepping(backend, pool='connect-timeout = "1s"\nretries = 0')
        with daemon.connect() as client:
            Event().wait(0.2)
            (tmp_path / "step").write_text(step)
            assert drain(client) == 0
        record = daemon.record()
        for each in fillers:
            each.close()
    assert record.end == "connect-failed"
    assert record.total < PATIENCE / 2
