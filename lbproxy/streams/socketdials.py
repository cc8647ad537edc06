"""
Dial a TCP address for a stream, without a transport of Twisted's.

A transport, with its connector and its addresses, costs more than all the rest of a
connection.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Protocol

from twisted.internet.error import ConnectBindError, getConnectError
from twisted.python.failure import Failure

from .kernel import wasConnected
from .socketloop import ERR, READABLE
from .socketoptions import tuneSocket
from .socketstreams import SocketStream

if TYPE_CHECKING:
    from .socketloop import SocketLoop
    from .stream import Stream

_NONBLOCKING = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)


class DialOwner(Protocol):
    """The owner of a dial, called with its outcome: an exchange."""

    def dialled(self, backend: Stream) -> None:
        """
        The backend is connected, and can be read and written.  Its stream may have no
        owner until one is set.
        """

    def dialFailed(self, reason: Failure) -> None:
        """The backend could not be connected to."""


class SocketDial:
    """
    One attempt to connect to a TCP address.

    It calls its owner with exactly one outcome, perhaps before it is made, unless it is
    cancelled first.
    """

    # one for each connection
    __slots__ = ("_loop", "_opened", "_owner")

    def __init__(
        self,
        owner: DialOwner,
        loop: SocketLoop,
        where: tuple[str, int],
        local: str | None,
        keepalive: float,
    ) -> None:
        """
        @param where: An IP address and a port.
        @param local: The IP address to connect from, if not any.
        @param keepalive: Seconds; see L{tuneSocket}.
        """
        self._owner: DialOwner | None = owner
        self._loop = loop
        self._opened: socket.SocketType | None = None
        family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        try:
            # Not socket.socket: that costs 3 us more.
            opened = self._opened = socket.SocketType(family, _NONBLOCKING)
            if local is not None:
                opened.bind((local, 0))
        except OSError as error:
            self._fail(ConnectBindError(error.errno, error.strerror))
            return
        tuneSocket(opened, keepalive)
        number = opened.connect_ex(where)
        if number == errno.EINPROGRESS or number == 0:
            loop.add(opened.fileno(), self)
        else:
            self._fail(getConnectError((number, os.strerror(number))))

    def cancel(self) -> None:
        """Connect no longer; the owner is not called.  Never raises."""
        self._owner = None
        self._close()

    # Called by the loop.

    def socketEvent(self, events: int) -> None:
        """It is connected, or cannot be."""
        opened, owner = self._opened, self._owner
        assert opened is not None
        assert owner is not None
        if events & ERR and self._isRefused(opened):
            return
        self._opened = self._owner = None
        stream = SocketStream(None, opened, self._loop)
        self._loop.replace(opened.fileno(), stream)
        if events & READABLE:
            stream.wasAnnounced(events)
        owner.dialled(stream)

    def _isRefused(self, opened: socket.SocketType) -> bool:
        """
        Fail if it was not connected; else its peer is gone already.

        What a connection that was reset has received can still be read, but not its
        error once that was asked for: so that is asked for only if there was none.
        """
        if wasConnected(opened):
            return False
        number = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._fail(getConnectError((number, os.strerror(number))))
        return True

    def socketTurn(self) -> None:
        """Nothing to do: it asks for none."""

    def socketBroke(self, reason: Failure) -> None:
        """Nothing will come of it."""
        owner, self._owner = self._owner, None
        self._close()
        if owner is not None:
            owner.dialFailed(reason)

    def _fail(self, error: Exception) -> None:
        owner, self._owner = self._owner, None
        self._close()
        if owner is not None:
            owner.dialFailed(Failure(error))

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            self._loop.close(opened, self)
