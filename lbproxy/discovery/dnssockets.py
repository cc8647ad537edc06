"""
The sockets on which DNS servers are asked.

Twisted's own UDP ports log two lines for each socket, which would be two for each
lookup, and of the errors that the kernel reports on a connected one they know only a
refusal.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IReadDescriptor
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from ..proxy.reasons import brief
from .resolvconf import Server

_LONGEST = 65535


@implementer(IReadDescriptor)
class OverUdp:
    """
    A UDP socket that is connected to a server, so that it hears only that one, and of
    errors too.
    """

    def __init__(
        self,
        reactor: Any,
        server: Server,
        heard: Callable[[bytes], object],
        failed: Callable[[str], object],
    ) -> None:
        """
        Open the socket, on a port that the kernel chooses at random.

        @param heard: Called with each datagram.
        @param failed: Called with the reason, in a few words, when the kernel reports
            an error; the socket is to be closed then.
        @raise OSError: If it cannot be opened.
        """
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self._reactor = reactor
        self._heard = heard
        self._failed = failed
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(server)
        except OSError:
            self._socket.close()
            raise
        reactor.addReader(self)

    def send(self, data: bytes) -> None:
        """
        Send a datagram; it may get lost, like any other.

        @raise OSError: If the kernel reports an error, perhaps of an earlier one.
        """
        # If the kernel's buffer is full, this one is lost.
        with suppress(BlockingIOError):
            self._socket.send(data)

    def close(self) -> None:
        """Close the socket; without effect if it is closed."""
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()

    def fileno(self) -> int:
        """The descriptor; -1 if it is closed."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """What the reactor calls this in its log."""
        return type(self).__name__

    def doRead(self) -> None:
        """Read a datagram, or an error."""
        try:
            data = self._socket.recv(_LONGEST)
        except BlockingIOError:
            return
        except OSError:
            self._failed(brief(Failure()))
        else:
            self._heard(data)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has dropped this.

        A reactor on epoll or poll does so, instead of reading, when there is an error.
        """
        if self._socket.fileno() < 0:
            return
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._failed(brief(Failure(OSError(number, "")) if number else reason))


class OverTcp(ClientFactory):
    """
    A TCP connection to a server, for one question (RFC 7766).

    It is made when there is a place for it.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        server: Server,
        places: DeferredSemaphore,
        data: bytes,
        heard: Callable[[bytes], object],
        failed: Callable[[str], object],
    ) -> None:
        """
        @param places: Bounds how many connections there are at once.
        @param data: The question.
        @param heard: Called with each answer.
        @param failed: Called with the reason, in a few words, if no more will come.
        """
        self._reactor = reactor
        self._server = server
        self._places = places
        self._data = data
        self._heard = heard
        self._failed = failed
        self._closed = self._placed = False
        self._connector: Any = None
        self._protocol: _Conversation | None = None
        self._waiting: Deferred[Any] = places.acquire()
        self._waiting.addCallbacks(self._connect, lambda _: None)

    def close(self) -> None:
        """Cut the connection off, or do not make it; nothing is called any more."""
        if self._closed:
            return
        self._closed = True
        if not self._placed:
            self._waiting.cancel()
            return
        if self._protocol is not None:
            self._protocol.cutOff()
        elif self._connector is not None:
            self._connector.disconnect()
        self._places.release()

    def buildProtocol(self, addr: IAddress | None) -> _Conversation:
        """Make the one protocol."""
        self._protocol = _Conversation(self)
        return self._protocol

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        """There is no connection."""
        self.lost(f"{brief(reason)} (by TCP)")

    def begin(self, protocol: _Conversation) -> None:
        """Ask, now that there is a connection."""
        protocol.sendString(self._data)

    def received(self, data: bytes) -> None:
        """Pass on an answer."""
        if not self._closed:
            self._heard(data)

    def lost(self, reason: str) -> None:
        """Say that no more will come."""
        if not self._closed:
            self._failed(reason)

    def _connect(self, _: object) -> None:
        self._placed = True
        # Twisted's own timeout goes by the wall clock; the asker has one.
        self._connector = self._reactor.connectTCP(*self._server, self, timeout=None)


class _Conversation(Int16StringReceiver):
    """The protocol of an L{OverTcp}: each message has its length before it."""

    def __init__(self, over: OverTcp) -> None:
        self._over = over

    def connectionMade(self) -> None:
        self._over.begin(self)

    def stringReceived(self, string: bytes) -> None:
        self._over.received(string)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        closed = reason.check(ConnectionDone)
        words = "it closed without an answer" if closed else brief(reason)
        self._over.lost(f"{words} (by TCP)")

    def cutOff(self) -> None:
        """Close at once."""
        transport: Any = self.transport
        transport.abortConnection()
