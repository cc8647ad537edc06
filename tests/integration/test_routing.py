"""Routers and routes, with the example of the documentation."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

from configured import configured

from .conftest import StartTwistd, StartWith
from .daemon import Daemon
from .peers import Backend, names, readAll

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def comeFrom(daemon: Daemon, address: str) -> bytes:
    """What a client from an address is told."""
    with socket.create_connection(
        ("127.0.0.1", daemon.port), 30, source_address=(address, 0)
    ) as connected:
        connected.shutdown(socket.SHUT_WR)
        return readAll(connected)


def test_database(
    startWith: StartWith, serve: Callable[..., Backend], tmp_path: Path
) -> None:
    """Who goes where is what the database says at that moment."""
    pooled, other = serve(names(b"the pool's")), serve(names(b"another"))
    path = tmp_path / "tenants.sqlite"
    database = sqlite3.connect(path)
    page = (EXAMPLES.parent / "routing.rst").read_text()
    at = page.index("CREATE TABLE")
    database.execute(page[at : page.index(";", at)])

    def tenant(address: str, pool: str | None, backend: str | None) -> None:
        with database:
            database.execute(
                "REPLACE INTO tenants VALUES (?, ?, ?)", (address, pool, backend)
            )

    tenant("127.0.0.1", "web", None)
    tenant("127.0.0.2", None, other.connect)
    daemon = startWith(
        pooled,
        listener='router = "python:tenants.choose"',
        environment={**os.environ, "PYTHONPATH": str(EXAMPLES), "TENANTS": str(path)},
    )
    assert comeFrom(daemon, "127.0.0.1") == b"the pool's"
    assert comeFrom(daemon, "127.0.0.2") == b"another"
    assert comeFrom(daemon, "127.0.0.3") == b""
    tenant("127.0.0.1", None, other.connect)
    assert comeFrom(daemon, "127.0.0.1") == b"another"
    database.close()
    ends = [record.end for record in daemon.records(4)]
    assert ends.count("refused-by-router") == 1


def test_routes(
    startTwistd: StartTwistd, serve: Callable[..., Backend], tmp_path: Path
) -> None:
    """Clients of one network have a pool of their own."""
    web, internal = serve(names(b"web")), serve(names(b"internal"))
    config = tmp_path / "routes.toml"
    config.write_text(
        configured(
            web.connect,
            listen="tcp:0:interface=127.0.0.1",
            listener='routes = [{ client = "127.0.0.8/31", pool = "internal" }]',
        )
        + f'[pool.internal]\nbackends = ["{internal.connect}"]\n'
    )
    daemon = startTwistd("lbproxy", f"--config={config}")
    assert comeFrom(daemon, "127.0.0.9") == b"internal"
    assert comeFrom(daemon, "127.0.0.10") == b"web"
