"""Backends on the network in memory, each with the behaviour that a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from attrs import define, field

from .transports import Far

Answer = Literal["accept", "refuse", "hang"]
"""What a backend does with a dial: C{"hang"} never answers it."""


@define(eq=False)
class ScriptedBackend:
    """
    A backend at one address of the network in memory.

    It accepts dials and sends nothing until a test changes that.  A change applies to
    later dials.

    @ivar answer: C{"accept"}, C{"refuse"}, or C{"hang"} to leave dials without an
        answer.
    @ivar delay: Seconds until a dial is answered.
    @ivar accepted: The far ends of the connections that were made to it.
    @ivar dials: How many dials were tried.
    """

    answer: Answer = "accept"
    accepted: list[Far] = field(factory=list)
    dials: int = 0
    delay: float = 0.0
    _begin: Callable[[Far], object] | None = None

    def accepts(self, after: float = 0.0) -> None:
        """
        Accept dials.

        @param after: Seconds that each dial takes.
        """
        self.answer, self.delay, self._begin = "accept", after, None

    def refuses(self, after: float = 0.0) -> None:
        """
        Refuse dials.

        @param after: Seconds that each dial takes.
        """
        self.answer, self.delay = "refuse", after

    def hangs(self) -> None:
        """Never answer a dial."""
        self.answer = "hang"

    def stalls(self) -> None:
        """Accept dials, and take no bytes from the connections."""
        self.accepts()
        self._begin = Far.stall

    def resets(self, after: float | None = None) -> None:
        """
        Accept dials, and reset each connection.

        @param after: Seconds from the first bytes to the reset.  If it is not given,
            the reset comes as soon as the connection is made.
        """
        self.accepts()
        if after is None:
            self._begin = Far.reset
        else:
            self._begin = lambda far: _onceHeard(far, after, far.reset)

    def replies(self, answer: bytes, after: float = 0.0) -> None:
        """
        Accept dials; when the first bytes have come, send an answer and end the stream.

        @param answer: The bytes to send.
        @param after: Seconds from the first bytes to the answer.
        """

        def reply(far: Far) -> None:
            far.send(answer)
            far.end()

        self.accepts()
        self._begin = lambda far: _onceHeard(far, after, lambda: reply(far))

    def take(self, far: Far) -> None:
        """Begin a connection; the network calls this when it is made."""
        self.accepted.append(far)
        if self._begin is not None:
            self._begin(far)


def _onceHeard(far: Far, after: float, act: Callable[[], object]) -> None:
    def heard() -> None:
        far.heard = None
        far.later(after, act)

    far.heard = heard
