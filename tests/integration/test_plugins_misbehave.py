"""Endpoint plugins that break their promises, in a whole C{twistd}."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from .conftest import StartWith
from .daemon import PATIENCE, eventually
from .peers import Backend, asks, drain, echo

PLUGINS = {"PYTHONPATH": str(Path(__file__).parents[1])}
"""What lets a C{twistd} find them."""


def test_endpointThatRaises(
    startWith: StartWith, serve: Callable[..., Backend]
) -> None:
    """It is passed over; alone, it closes its clients with a reason."""
    daemon = startWith("misbehaves:raises:1", serve(echo), environment=PLUGINS)
    for _ in range(4):
        with daemon.connect() as client:
            assert asks(client, b"hello") == b"hello"


def test_endpointThatIsAlone(startWith: StartWith) -> None:
    """Its clients are closed, and the record says what it raised."""
    daemon = startWith("misbehaves:raises:1", environment=PLUGINS)
    with daemon.connect() as client:
        assert drain(client) == 0
    record = daemon.record()
    assert record.end == "connect-failed"
    assert "no such place" in record.detail


@pytest.mark.parametrize("stopped", [False, True])
def test_transportThatIsNeverGone(startWith: StartWith, stopped: bool) -> None:
    """
    A transport that can only write and close, and never says that it is gone,
    keeps neither its connection nor the process beyond C{close-timeout}.
    """
    daemon = startWith(
        "misbehaves:bare:1",
        listener="half-close-timeout = 1",
        process="close-timeout = 1",
        environment=PLUGINS,
    )
    client = daemon.connect()
    client.sendall(b"hello")
    began = monotonic()
    if stopped:
        # Each is joined as soon as it is accepted.
        with daemon.connect():
            eventually(lambda: daemon.connections() == 2)
            daemon.stop(signal.SIGQUIT)
        ends = {record.end for record in daemon.records(2)}
        assert ends <= {"drained", "client-closed"}
    else:
        client.close()
        assert daemon.record().end in ("half-close-timeout", "client-reset")
    assert monotonic() - began < PATIENCE / 2
    client.close()
