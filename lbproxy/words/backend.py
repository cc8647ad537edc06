"""A backend, and a member, which is a backend in one pool."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen

from .options import REQUIRED, Unset, declared, option
from .values import plainName, text, wholeNumber

_weight = wholeNumber(1, 65535)


@frozen
class Backend:
    """
    One place to send connections to.

    @ivar connect: The Twisted client endpoint description, such as
        C{"tcp:127.0.0.1:9001"}; kept as text, so that backends can be compared.
    @ivar name: The name in logs; by default the description.
    @ivar weight: Its share of the connections, relative to the other members of its
        pool: 1 to 65535.
    """

    connect: str = field(
        metadata=declared(
            text('a Twisted client endpoint description such as "tcp:127.0.0.1:9001"'),
            REQUIRED,
            "Where it is: a Twisted client endpoint description.",
        )
    )
    name: str = field(
        metadata=declared(plainName, Unset("its description"), "What logs call it.")
    )
    weight: int = option(
        _weight,
        1,
        "Its share of the connections, relative to the other backends: 1 to 65535.",
    )

    @name.default
    def _nameIsDescription(self) -> str:
        return self.connect

    def __attrs_post_init__(self) -> None:
        try:
            _weight(self.weight)
        except ValueError as error:
            raise ValueError(f"weight = {self.weight}: {error}") from None

    def __str__(self) -> str:
        return self.name


@define(eq=False)
class Member:
    """
    One backend in one pool, with its live state.

    Only its pool writes to it, except for C{way}.

    @ivar active: How many leases on it are held: connections being dialled or relayed.
    @ivar consecutiveFailures: How many dials have failed since the last successful one.
    @ivar ejections: How many times it was ejected since the last successful dial.  Each
        ejection doubles the next one.
    @ivar ejectedUntil: When it may be picked again, in the seconds of the pool's clock,
        or L{None} while it is not ejected.
    @ivar ejectedAt: When it was ejected last.
    @ivar way: The object that the dialer connects with, made on the first dial.
    """

    backend: Backend
    active: int = 0
    consecutiveFailures: int = 0
    ejections: int = 0
    ejectedUntil: float | None = None
    ejectedAt: float = 0.0
    way: Any = None

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.backend.name

    @property
    def weight(self) -> int:
        """The backend's weight, 1 to 65535."""
        return self.backend.weight
