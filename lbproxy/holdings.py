"""Things that several generations may hold at a time, such as ports and pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

_Held = TypeVar("_Held")


class Holdings(Generic[_Held]):
    """
    Named things, each made when it is first taken, and known until as many have
    released it as have taken it.
    """

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._holders: dict[str, int] = {}

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    def take(self, name: str, make: Callable[[], _Held]) -> _Held:
        """
        Hold what has a name.

        @param make: Makes it, if nobody holds it yet; what it raises is passed
            on, and then nothing is held.
        """
        if name not in self._held:
            self._held[name] = make()
            self._holders[name] = 0
        self._holders[name] += 1
        return self._held[name]

    def release(self, name: str) -> _Held | None:
        """
        Let go of what was taken.

        @return: What nobody holds any more, for it to be closed; L{None} if it
            is held by others.
        @raise KeyError: If it was not held.
        """
        self._holders[name] -= 1
        if self._holders[name]:
            return None
        del self._holders[name]
        return self._held.pop(name)
