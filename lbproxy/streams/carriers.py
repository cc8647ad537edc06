"""
Sockets that streams ride on without a transport of Twisted's: accepted, and dialled.

A transport, with its connector and its addresses, costs more than all the rest of a
connection.  So where only a stream will use a socket, there is just a L{Carrier}.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectBindError, getConnectError
from twisted.python.failure import Failure

from ..words.connection import Address
from .kernel import wasConnected
from .socketloop import EDGES, ERR, IN, READABLE
from .socketstreams import SocketStream

if TYPE_CHECKING:
    from .socketloop import SocketLoop
    from .stream import StreamOwner

_NONBLOCKING = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)


class Carrier:
    """
    A connected socket, in place of a transport.

    @ivar socket: The socket.
    @ivar loop: What watches it.
    @ivar readable: Whether something to read was announced already.
    @ivar toTheEnd: Whether an end or an error was announced already.
    """

    __slots__ = ("_watched", "loop", "readable", "socket", "toTheEnd")

    def __init__(self, opened: socket.socket, loop: SocketLoop, events: int) -> None:
        """
        @param events: What was announced already; 0 if it is not watched yet.
        """
        self.socket = opened
        self.loop = loop
        self.readable = bool(events & READABLE)
        self.toTheEnd = bool(events & READABLE & ~IN)
        self._watched = bool(events)

    def handOver(self, target: SocketStream) -> None:
        """Have the loop call a stream from now on."""
        if self._watched:
            self.loop.replace(self.socket.fileno(), target)
        else:
            self.loop.add(self.socket.fileno(), target, EDGES)

    def left(self, reason: Failure) -> None:
        """Nothing refers to it but the stream that is lost."""

    def getHost(self) -> Address:
        """The local address."""
        return _address(self.socket.getsockname())

    def getPeer(self) -> Address:
        """The peer's address."""
        return _address(self.socket.getpeername())


def _address(name: Any) -> Address:
    return Address(name[0], name[1])


def accepted(owner: StreamOwner, opened: socket.socket, loop: SocketLoop) -> None:
    """
    Make the stream of a socket that was accepted.

    @param owner: It is told that the stream is ready.
    """
    SocketStream(owner, Carrier(opened, loop, 0)).begin()


class SocketDial:
    """One attempt to connect to a TCP address, for a stream."""

    __slots__ = ("_loop", "_opened", "_owner")

    def __init__(
        self, owner: Any, loop: SocketLoop, where: tuple[str, int], local: str | None
    ) -> None:
        """
        @param owner: Owns the stream.  Its method C{failed} is called with the reason
            if there is none.
        @param where: An IP address and a port.
        @param local: The IP address to connect from, if not any.
        """
        self._owner = owner
        self._loop = loop
        self._opened: socket.socket | None = None
        family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        try:
            opened = self._opened = socket.socket(family, _NONBLOCKING)
            if local is not None:
                opened.bind((local, 0))
        except OSError as error:
            self._fail(ConnectBindError(error.errno, error.strerror))
            return
        number = opened.connect_ex(where)
        if number in (0, errno.EINPROGRESS):
            loop.add(opened.fileno(), self)
        else:
            self._fail(getConnectError((number, os.strerror(number))))

    def stop(self) -> None:
        """Connect no longer; the owner is not told."""
        self._owner = None
        self._close()

    # Called by the loop.

    def socketEvent(self, events: int) -> None:
        """It is connected, or cannot be."""
        opened, owner = self._opened, self._owner
        if opened is None or not events:
            return
        # What a connection that was reset has received can still be read, but not its
        # error once that was asked for: so that is asked for only if there was none.
        if events & ERR and not wasConnected(opened):
            number = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._fail(getConnectError((number, os.strerror(number))))
        else:
            self._opened = self._owner = None
            SocketStream(owner, Carrier(opened, self._loop, events)).begin()

    def socketBroke(self, reason: Failure) -> None:
        """Nothing will come of it."""
        owner, self._owner = self._owner, None
        self._close()
        if owner is not None:
            owner.failed(reason)

    def _fail(self, error: Exception) -> None:
        owner, self._owner = self._owner, None
        self._close()
        if owner is not None:
            owner.failed(Failure(error))

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            self._loop.close(opened, self)
