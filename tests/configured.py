"""The configuration that most tests write: one listener and one pool."""

from __future__ import annotations

import os


def configured(
    *backends: str,
    listen: str = "tcp:8080",
    listener: str = "",
    pool: str = "",
    process: str = "",
    log: str = "none",
) -> str:
    """
    The text of a file with listener C{front} and pool C{web}.

    Its sockets are those that C{LBPROXY_TEST_SOCKETS} names, if that is set: for tests
    that say something about either kind.

    @param backends: Descriptions of their endpoints; without any, C{pool} has
        a line for them.
    @param listener: Further lines for the listener; the next two likewise.
    @param log: Where the access log goes.
    """
    which = os.environ.get("LBPROXY_TEST_SOCKETS")
    if which and "sockets" not in process:
        process = f'sockets = "{which}"\n{process}'
    if backends:
        pool = f"backends = {list(backends)}\n{pool}"
    return (
        f'log.access = "{log}"\n'
        f"[process]\n{process}\n"
        f'[[listener]]\nname = "front"\nlisten = "{listen}"\npool = "web"\n{listener}\n'
        f"[pool.web]\n{pool}\n"
    )
