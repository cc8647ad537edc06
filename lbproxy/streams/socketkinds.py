"""
Twisted's own transports and ports, on a L{SocketLoop}.

Everything about them is Twisted's, except how they wait.  They are registered once,
edge-triggered: so each remembers that it may be readable or writable until a read or a
write finds that it is not.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp, unix
from twisted.internet.error import ConnectError, ConnectionDone, getConnectError
from twisted.python.failure import Failure
from twisted.python.log import callWithLogger

from ..words.connection import Address
from .kernel import wasConnected
from .socketloop import ENDS, ERR, IN, OUT, READABLE

if TYPE_CHECKING:
    from .socketloop import SocketLoop, Target

TURN_BYTES = 512 * 1024
"""The most bytes that one socket moves before others have their turn."""

LEAST_READ = 4096
"""
What a read counts for in a turn, at least: a peer that sends byte by byte, each as soon
as the one before is read, cannot make a turn last.
"""

_TURN_WRITES = 8
"""The most calls of C{doWrite} before others have their turn."""


_ACCEPTS = 64
"""The most clients that are accepted before others have their turn."""

_GONE = frozenset({errno.ECONNABORTED, errno.EPERM})
"""Errors of C{accept(2)} about one client, who is gone or was filtered out."""


class BacklogFull(ConnectError):
    """A UNIX socket has no room for another connection."""

    def __str__(self) -> str:
        return "its backlog is full"


class OnLoop:
    """
    What a connection on a L{SocketLoop} has besides what is Twisted's.

    @cvar readsAll: Whether more may follow a short read at any time, without an edge.
    @ivar readable: Whether something to read was announced, and no read has found that
        there is no more.
    @ivar toTheEnd: Whether an end, an error or urgent data was announced: then all that
        came before it has been read only when a read has found nothing.
    """

    reactor: Any
    socket: Any
    protocol: Any
    doRead: Any
    doWrite: Any
    readConnectionLost: Any
    connectionLost: Any

    readsAll = False
    _watched = False
    _reading = False
    _writing = False
    readable = False
    _writable = False
    toTheEnd = False
    _flushed = False
    _got = 0

    # In place of what asks the reactor.

    def startReading(self) -> None:
        """Wait for something to read."""
        self._reading = True
        self._wait(self.readable)

    def stopReading(self) -> None:
        """Read nothing."""
        self._reading = False

    def startWriting(self) -> None:
        """Wait until something can be written."""
        self._writing = True
        self._wait(self._writable)

    def stopWriting(self) -> None:
        """Write nothing."""
        self._writing = False
        self._flushed = True

    def _wait(self, possible: bool) -> None:
        loop: SocketLoop = self.reactor.loop
        if not self._watched:
            self._watched = True
            loop.add(self.socket.fileno(), self)
        if possible:
            loop.again(self)

    @property
    def loop(self) -> SocketLoop:
        """What watches the socket."""
        loop: SocketLoop = self.reactor.loop
        return loop

    def handOver(self, target: Target) -> None:
        """Let another target have the socket, and do nothing with it any more."""
        self._watched = self._reading = self._writing = False
        self.loop.replace(self.socket.fileno(), target)

    def announced(self) -> int:
        """What was announced of the socket and not read yet, as events."""
        return (IN if self.readable else 0) | (ENDS if self.toTheEnd else 0)

    def left(self, reason: Failure) -> None:
        """The other target has closed the socket: be lost."""
        self.connected, self.disconnected, self.protocol = 0, 1, None
        connector = getattr(self, "connector", None)
        if connector is not None:
            connector.connectionLost(reason)

    # Called by the loop.

    def socketEvent(self, events: int) -> None:
        """Read and write as far as that is wanted and possible."""
        if self._watched:  # Else it is closed.
            self._note(events)
            # What a protocol logs has its name, as under any reactor of Twisted.
            callWithLogger(self, self._move, events)

    def _move(self, events: int) -> None:
        why: Any = None
        isRead = self._reading and self.readable
        if isRead:
            why = self._readOn()
        if why is None and self._writing and self._writable:
            isRead = False
            why = self._writeOn()
        if why is not None:
            self._disconnect(why, isRead)

    def socketTurn(self) -> None:
        """Go on reading and writing."""
        self.socketEvent(0)

    def socketBroke(self, reason: Failure) -> None:
        """Close; the loop has logged the exception."""
        if self._watched:
            self.connectionLost(reason)

    def _note(self, events: int) -> None:
        if events & READABLE:
            self.readable = True
            if events & READABLE != IN:
                self.toTheEnd = True
        if events & (OUT | ENDS):
            self._writable = True

    def _readOn(self) -> Exception | None:
        budget = TURN_BYTES
        while self._reading and self.readable:
            self._got = 0
            why: Exception | None = self.doRead()
            if why is not None:
                return why
            budget -= max(self._got, LEAST_READ)
            if not self._got:
                self.readable = self.toTheEnd = False
            elif self._got < self.bufferSize:
                self.readable = self.toTheEnd or self.readsAll
            if budget <= 0 and self.readable:
                self.reactor.loop.goOn(self)
                return None
        return None

    def _writeOn(self) -> Exception | None:
        for _ in range(_TURN_WRITES):
            self._flushed = False
            before = self._unsent()
            why: Exception | None = self.doWrite()
            if why is not None or not self._writing:
                return why
            if not self._flushed and self._unsent() == before:
                self._writable = False
                return None
        self.reactor.loop.goOn(self)
        return None

    def _unsent(self) -> int:
        unsent: int = len(self.dataBuffer) - self.offset + self._tempDataLen
        return unsent

    def _disconnect(self, why: Exception, isRead: bool) -> None:
        """Close, or report the end of the peer's stream, as reactors of Twisted do."""
        self._reading = False
        if isRead and isinstance(why, ConnectionDone):
            self.readConnectionLost(Failure(why))
        else:
            self._writing = False
            self.connectionLost(Failure(why))

    # In place of what Twisted's connections do.

    bufferSize: int
    dataBuffer: bytes
    offset: int
    _tempDataLen: int
    _shouldShutdown: bool

    def _dataReceived(self, data: bytes | None) -> ConnectionDone | None:
        self._got = len(data or b"")
        why: ConnectionDone | None = super()._dataReceived(data)  # type: ignore[misc]
        return why

    def _closeSocket(self, orderly: bool) -> None:
        self._watched = False
        opened = self.socket
        try:
            if not orderly:
                reset = struct.pack("ii", 1, 0)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            elif self._shouldShutdown:
                opened.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It is not connected any more.
        self.reactor.loop.close(opened, self)


class Dials(OnLoop):
    """A connection that is dialled."""

    realAddress: Any
    failIfNotConnected: Any
    _connectDone: Any
    _dials = False

    def doConnect(self) -> None:
        """Begin to connect."""
        if not hasattr(self, "connector"):
            return  # It was stopped before.
        try:
            number = self.socket.connect_ex(self.realAddress)
        except OSError as error:
            number = error.errno or errno.EINVAL
        if number == errno.EINPROGRESS:
            self._dials = True
            self._wait(False)
        elif number:
            self._dialFailed(number)
        else:
            self._connectDone()

    def socketEvent(self, events: int) -> None:
        """Find out whether it is connected; then go on as any connection."""
        if not self._dials:
            super().socketEvent(events)
            return
        if not events:
            return
        self._dials = False
        self._note(events)
        # What a connection that was reset has received can still be read, but not its
        # error once that was asked for: so that is asked for only if there was none.
        if events & ERR and not wasConnected(self.socket):
            self._dialFailed(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        else:
            self._connectDone()

    def _dialFailed(self, number: int) -> None:
        if number == errno.EAGAIN:
            self.failIfNotConnected(BacklogFull())
        else:
            error = getConnectError((number, os.strerror(number)))
            self.failIfNotConnected(error)


class TCPServer(OnLoop, tcp.Server):
    """A TCP connection that was accepted."""


class TCPClient(Dials, tcp.Client):
    """A TCP connection that is dialled."""


class UNIXServer(OnLoop, unix.Server):
    """A UNIX connection that was accepted."""

    readsAll = True


class UNIXClient(Dials, unix.Client):
    """A UNIX connection that is dialled."""

    readsAll = True


class Listens:
    """What a port on a L{SocketLoop} has besides what is Twisted's."""

    reactor: Any
    socket: Any
    doRead: Any
    _shouldShutdown: bool
    _watched = False

    def startReading(self) -> None:
        """Accept clients."""
        loop: SocketLoop = self.reactor.loop
        # Not edge-triggered: whoever waits in the backlog is announced again.
        if self._watched:
            loop.modify(self.socket.fileno(), IN)
        else:
            self._watched = True
            loop.add(self.socket.fileno(), self, IN)

    def stopReading(self) -> None:
        """Leave clients in the backlog."""
        if self._watched:
            self.reactor.loop.modify(self.socket.fileno(), 0)

    def socketEvent(self, events: int) -> None:
        """Accept clients."""
        if self._watched:
            self.doRead()

    def socketTurn(self) -> None:
        """Nothing to do: it asks for none."""

    def socketBroke(self, reason: Failure) -> None:
        """Go on: the loop has logged the exception."""

    def _closeSocket(self, orderly: bool) -> None:
        self._watched = False
        self.reactor.loop.close(self.socket, self)


class TCPPort(Listens, tcp.Port):
    """
    A TCP port.

    If its factory has C{takeSocket}, as a listener's has, it is given each socket that
    is accepted, with the loop and both addresses; there is no transport then.
    """

    transport = TCPServer
    _local: Address | None = None
    _family = 0

    def doRead(self) -> None:
        """Accept some of the clients that wait."""
        take = getattr(self.factory, "takeSocket", None)
        if take is None:
            super().doRead()
            return
        if not self._family:
            self._bound()
        loop, local, make = self.reactor.loop, self._local, socket.SocketType
        for _ in range(_ACCEPTS):
            if not self._watched:
                return  # One of them has closed the port.
            try:
                descriptor, name = self.socket._accept()
            except OSError as error:
                if error.errno in _GONE:
                    continue
                return
            # Not socket.socket: that costs 3 us more.
            opened = make(self._family, socket.SOCK_STREAM, 0, descriptor)
            try:
                here = local or _address(opened.getsockname())
                take(opened, loop, _address(name), here)
            except BaseException:
                opened.close()
                raise

    def _bound(self) -> None:
        """Note the address of all clients' sockets, unless each has its own."""
        self._family = int(self.socket.family)
        address = _address(self.socket.getsockname())
        if address.host not in _WILDCARDS:
            self._local = address


# Without a call of a Python function.
_named = tuple.__new__

_WILDCARDS = frozenset({"0.0.0.0", "::"})


def _address(name: tuple[Any, ...]) -> Address:
    if len(name) == 4 and name[3]:
        # On a link; the zone belongs to the address.
        numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        name = socket.getnameinfo(name, numeric)[0], name[1]
    return _named(Address, name[:2])


class UNIXPort(Listens, unix.Port):
    """A UNIX port."""

    transport = UNIXServer


class TCPConnector(tcp.Connector):
    """Connects by TCP."""

    def _makeTransport(self) -> TCPClient:
        return TCPClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UNIXConnector(unix.Connector):
    """Connects to a UNIX socket."""

    def _makeTransport(self) -> Any:
        return UNIXClient(self.address, self, self.reactor, self.checkPID)
