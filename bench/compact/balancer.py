"""Accepts clients, and hands each event of a socket to its session."""

from __future__ import annotations

import select
import socket
from itertools import count
from time import time
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from lbproxy.proxy.capacity import SHORTAGES
from lbproxy.streams.socketloop import EDGES, IN
from lbproxy.words.connection import Address, Connection, End

from .session import Session

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from lbproxy.balance.pool import Pool
    from lbproxy.interfaces import IConnectionObserver
    from lbproxy.streams.wheel import Timer, Wheel
    from lbproxy.words.backend import Member

    from .side import Side

HOST = "127.0.0.1"

_BACKLOG = 4096

_EVENTS = 256
"""The most events that are taken from the kernel before the reactor has its turn."""

_ACCEPTS = 64
"""The most clients that are accepted before others have their turn."""

_LOOK = 1.0
"""
Seconds between looks at all sessions.  For so few limits this costs less than to
schedule and cancel each session's own: 0.1 us for each that is open.
"""


@implementer(IReadDescriptor)
class Balancer:
    """
    One port, one pool, and the sessions between them, on an epoll of its own.

    @ivar pool: Where the sessions go.
    @ivar places: The addresses of its members.
    @ivar observer: Told of each session's opening and end.
    @ivar now: The time of the present batch of events, in the wheel's seconds.
    @ivar epoch: What makes seconds of the epoch of these.
    @ivar sessions: Those that are open.
    @ivar sides: The ends of their connections, by descriptor.
    @ivar address: Where it listens.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        wheel: Wheel,
        pool: Pool,
        observer: IConnectionObserver,
        limit: int,
        port: int,
    ) -> None:
        """
        Listen on a port of the loopback interface.

        @param reactor: Watches the epoll; provides
            L{twisted.internet.interfaces.IReactorFDSet}.
        @param limit: The most sessions at a time.
        @param port: 0 for any.
        """
        self.pool = pool
        self.places = {each: _place(each) for each in pool.members}
        self.observer = observer
        self.now = wheel.now()
        self.epoch = time() - self.now
        self.sessions: dict[Session, None] = {}
        self.sides: dict[int, Side] = {}
        self._limit = limit
        self._ids = count(1)
        self._closing: list[socket.SocketType] = []
        self._epoll = select.epoll()
        self.watch = self._epoll.register
        self._listen(port)
        self._accepts = True
        self._reactor = reactor
        reactor.addReader(self)
        self._wheel = wheel
        self._looks: Timer = wheel.call(_LOOK, self._look)

    def _listen(self, port: int) -> None:
        # Not socket.socket: with its own accept() and close(), which are written in
        # Python, a connection costs 3 us more.
        listening = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets have it too.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind((HOST, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
        self.address = Address(*listening.getsockname())
        self._port: Any = listening
        # Not edge-triggered: whoever waits in the backlog is announced again.
        self.watch(listening.fileno(), IN)

    # Called by the reactor.

    def fileno(self) -> int:
        """The descriptor that the reactor watches."""
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        """Its name in the reactor's log."""
        return "compact"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has stopped: close all."""
        self.close()

    def doRead(self) -> None:
        """Handle some events."""
        self.now = self._wheel.now()
        find, port = self.sides.get, self._port.fileno()
        for descriptor, events in self._epoll.poll(0, _EVENTS):
            side = find(descriptor)
            if side is not None:
                session = side.session
                try:
                    session.event(side, events)
                except Exception:
                    # If it escaped, the reactor would watch no session any more.
                    self._broke(session)
            elif descriptor == port:
                self._accept()
        # Not before: or a new socket could have the number of one for which there is
        # still an event in the batch.
        self._closeThem()

    def _closeThem(self) -> None:
        closing, self._closing = self._closing, []
        for each in closing:
            each.close()

    def _broke(self, session: Session) -> None:
        self._log.failure("A session has broken off on an exception")
        try:
            session.cut(End.INTERNAL_ERROR)
        except Exception:
            self._log.failure("A session could not be cut off")

    # Accepting.

    def _accept(self) -> None:
        accept = self._port._accept
        for _ in range(_ACCEPTS):
            if len(self.sessions) >= self._limit:
                self._pause()
                return
            try:
                descriptor, name = accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in SHORTAGES:
                    self._pause()
                    return
                continue  # The client is gone.
            opened = socket.SocketType(
                socket.AF_INET, socket.SOCK_STREAM, 0, descriptor
            )
            connection = Connection(
                next(self._ids),
                "compact",
                Address(*name),
                self.address,
                self.now + self.epoch,
                self.pool.name,
            )
            session = Session(self, opened, descriptor, connection)
            try:
                session.begin()
            except Exception:
                self._broke(session)

    def _pause(self) -> None:
        """Leave clients in the backlog until a session ends, or until the next look."""
        self._accepts = False
        self._epoll.modify(self._port.fileno(), 0)

    def _resume(self) -> None:
        self._accepts = True
        self._epoll.modify(self._port.fileno(), IN)

    # Called by sessions.

    def announce(self, descriptor: int) -> None:
        """Have what there is to read in a socket be an event again, in another turn."""
        self._epoll.modify(descriptor, EDGES)

    def leave(self, side: Side) -> None:
        """Have no more events of one end of a connection, and close it."""
        del self.sides[side.descriptor]
        del side.session  # Or each would refer to the other.
        self._closing.append(side.socket)

    def over(self, session: Session) -> None:
        """A session has ended: tell of it, and accept another client."""
        del self.sessions[session]
        if not self._accepts:
            self._resume()
        self.observer.closed(session.connection)

    # Time, and the end.

    def _look(self) -> None:
        """Cut off the sessions whose time is over."""
        self._looks = self._wheel.call(_LOOK, self._look)
        self.now = self._wheel.now()
        for session in tuple(self.sessions):
            try:
                session.look()
            except Exception:
                self._broke(session)
        if not self._accepts:
            self._resume()
        self._closeThem()

    def close(self) -> None:
        """Cut off all sessions, and listen no longer."""
        self._looks.cancel()
        self._reactor.removeReader(self)
        for session in tuple(self.sessions):
            session.cut(End.DRAINED)
        self._closeThem()
        self._port.close()
        self._epoll.close()


def _place(member: Member) -> tuple[str, int]:
    """The address of a member, whose description is C{tcp:HOST:PORT}."""
    _, host, port = member.backend.connect.split(":")
    return host, int(port)
