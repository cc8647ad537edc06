"""Pools for backends that a router named and no pool has."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from .pickers import RoundRobin
from .pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..interfaces import IPoolObserver
    from ..words.backend import Backend


class DirectPools:
    """
    Makes a pool with one member for each backend that a router named and no pool
    has.

    A pool exists as long as it is in use: a lease refers to its pool, and so does
    an exchange that is still picking.  Equal backends share one pool, so that
    their connections are counted together.
    """

    def __init__(
        self,
        observer: IPoolObserver | None = None,
        lookUp: Callable[[Pool, Backend], object] | None = None,
    ) -> None:
        """
        @param observer: Called with what happens to the members.
        @param lookUp: Called with each new pool that has no member yet, since its
            backend has a host name, and with the backend.  It gives the pool a member
            for each address, as long as the pool exists.
        """
        self._observer = observer
        self._lookUp = lookUp
        self._pools: WeakValueDictionary[Backend, Pool] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many pools are in use."""
        return len(self._pools)

    def pool(self, backend: Backend) -> Pool:
        """
        Return the pool that has C{backend} as its only member, or as one for each
        address of its host, with default policy.

        @return: A L{Pool} named C{"direct"}; keep a reference to it until the
            lease is taken.
        """
        pool = self._pools.get(backend)
        if pool is None:
            lookUp = self._lookUp if backend.description.hostName else None
            members = [] if lookUp else [backend]
            pool = Pool("direct", members, RoundRobin(), observer=self._observer)
            self._pools[backend] = pool
            if lookUp is not None:
                lookUp(pool, backend)
        return pool
