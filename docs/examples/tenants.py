"""A router that looks up in a database where a client's connection goes."""

from __future__ import annotations

import os
from functools import cache

from twisted.enterprise.adbapi import ConnectionPool

from lbproxy import Backend, Connection


@cache
def database() -> ConnectionPool:
    """Open the database at the first connection, not when the file is checked."""
    path = os.environ.get("TENANTS", "tenants.sqlite")
    return ConnectionPool("sqlite3", path, check_same_thread=False)


async def choose(connection: Connection) -> str | Backend | None:
    """The pool or the backend of the tenant whose address a client comes from."""
    rows = await database().runQuery(
        "SELECT pool, backend FROM tenants WHERE address = ?",
        (connection.client.host,),
    )
    if not rows:
        return None  # Nobody's address: the connection is refused.
    pool, backend = rows[0]
    return pool or Backend(backend)
