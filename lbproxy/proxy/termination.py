"""TLS of one listener's clients: what makes it, and how many handshakes at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import ServerFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from ..streams.tlsserver import ServerTLS


class Turn:
    """
    One client's handshake, which waits or is under way.

    @ivar begin: Called when it may begin.
    @ivar waited: Whether it could not begin at once.
    """

    __slots__ = ("begin", "waited")

    def __init__(self, begin: Callable[[], object]) -> None:
        self.begin = begin
        self.waited = False


class Handshakes:
    """The handshakes of one listener: those under way, and those that wait."""

    def __init__(self, limit: int) -> None:
        """
        @param limit: The most under way at once; 0 for no limit.
        """
        self._limit = limit
        self._underWay: set[Turn] = set()
        # A dictionary, as a set that is in order.
        self._waiting: dict[Turn, None] = {}

    @property
    def underWay(self) -> int:
        """How many are under way."""
        return len(self._underWay)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def allow(self, limit: int) -> None:
        """Go by another limit."""
        self._limit = limit
        self._next()

    def enter(self, turn: Turn) -> bool:
        """
        Begin a handshake, or wait in line for it.

        @return: Whether it may begin at once.  If not, C{turn.begin} is called later,
            unless it leaves before.
        """
        if self._limit and len(self._underWay) >= self._limit:
            self._waiting[turn] = None
            turn.waited = True
            return False
        self._underWay.add(turn)
        return True

    def leave(self, turn: Turn) -> None:
        """A handshake is over, or waits no longer."""
        self._waiting.pop(turn, None)
        self._underWay.discard(turn)
        self._next()

    def _next(self) -> None:
        while self._waiting and not (
            self._limit and len(self._underWay) >= self._limit
        ):
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            self._underWay.add(turn)
            turn.begin()


@frozen(eq=False)
class Termination:
    """
    How clients speak TLS to one listener.

    @ivar server: Makes their TLS connections.
    @ivar handshakes: Those under way.
    @ivar clock: The reactor, which Twisted's TLS asks for C{callLater}.
    """

    server: ServerTLS
    handshakes: Handshakes
    clock: Any

    def around(
        self, build: Callable[[IAddress | None], IProtocol]
    ) -> TLSMemoryBIOFactory:
        """Make a factory of Twisted's TLS around the protocols that are built."""
        return TLSMemoryBIOFactory(self.server, False, _Within(build), self.clock)


class _Within(ServerFactory):
    """The factory inside of TLS."""

    noisy = False

    def __init__(self, build: Callable[[IAddress | None], IProtocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the protocol that TLS is around."""
        return self._build(addr)
