"""Keeps shared things, such as ports and pools, while any generation holds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

_Held = TypeVar("_Held")


class Holdings(Generic[_Held]):
    """
    Named things that are shared.

    Each is made when it is first taken.  It is forgotten when it has been released as
    often as it was taken.
    """

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._holders: dict[str, int] = {}

    def __len__(self) -> int:
        """How many things are held."""
        return len(self._held)

    def take(self, name: str, make: Callable[[], _Held]) -> _Held:
        """
        Hold the thing that has a name; make it first if it is not held yet.

        @param make: Makes the thing.  What it raises is passed on, and then nothing is
            held.
        """
        if name not in self._held:
            self._held[name] = make()
            self._holders[name] = 0
        self._holders[name] += 1
        return self._held[name]

    def held(self, name: str) -> _Held:
        """
        The thing that has a name.

        @raise KeyError: If it is not held.
        """
        return self._held[name]

    def release(self, name: str) -> _Held | None:
        """
        Release a thing that was taken.

        @return: The thing if it is not held any more, so that it can be closed; L{None}
            if it is still held.
        @raise KeyError: If it was not held.
        """
        self._holders[name] -= 1
        if self._holders[name]:
            return None
        del self._holders[name]
        return self._held.pop(name)
