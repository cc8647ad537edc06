"""Looks up the host of a backend that a router returned and that no pool has."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import finalize, ref

from .discovery.names import Asking

if TYPE_CHECKING:
    from .balance.pool import Pool
    from .discovery.names import Names
    from .words.backend import Backend


def lookUpDirect(names: Names, pool: Pool, backend: Backend) -> None:
    """
    Give a pool a member for each address of a host, as long as the pool exists.

    @param pool: It is not kept alive by this.
    @param backend: Has a host name.
    """
    host = backend.description.hostName
    assert host is not None
    there = ref(pool)

    def use(pool: Pool) -> None:
        pool.update(backend.atEach(watched.addresses), names.wheel.now())
        pool.expect([backend] if watched.isNew else [], _reason(host, watched.trouble))

    def told() -> None:
        pool = there()
        if pool is not None:
            use(pool)
            pool.callWaiting(names.wheel.now())

    watched = names.watch(host, Asking(), told)
    finalize(pool, watched.cancel).atexit = False
    use(pool)


def _reason(host: str, trouble: str) -> str:
    return f"{host}: {trouble}" if trouble else ""
