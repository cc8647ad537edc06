"""Opening and closing the ports that clients come in by."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from .config.causes import cause
from .config.endpoints import serverEndpoint
from .config.place import Place
from .holdings import Holdings
from .proxy.capacity import SHORTAGES, Capacity
from .proxy.listener import ListenerFactory
from .streams.alpn import ignoreOffers
from .words.description import Description


class CannotStart(Exception):
    """
    Something the service needs cannot be had: a port, or a file to write to.
    C{str} of it is one line that names it.
    """


class OpenPort:
    """
    What listens on one description, for whoever holds it.

    @ivar factory: Builds the protocols of its clients, for the last who took it.
    """

    _log = Logger()

    def __init__(self, description: str, factory: ListenerFactory) -> None:
        self.factory = factory
        self._description = description
        self._port: IListeningPort | None = None
        self._closed = False
        self._error: CannotStart | None = None
        self._opened: list[Callable[[IListeningPort], object]] = []

    def listen(self, endpoint: IStreamServerEndpoint) -> None:
        """
        Begin to listen.

        @raise CannotStart: If it is clear already that it cannot be.
        """
        atOnce = True

        def failed(reason: Failure) -> None:
            error = _cannotListen(self._description, _cause(reason))
            if atOnce:
                self._error = error
            else:
                self._log.critical("{error}", error=str(error))

        maybeDeferred(_listen, endpoint, self.factory).addCallbacks(
            self._listening, failed
        )
        atOnce = False
        if self._error is not None:
            raise self._error

    def whenOpen(self, opened: Callable[[IListeningPort], object]) -> None:
        """Call something with the port, now or when it listens."""
        if self._port is not None:
            opened(self._port)
        else:
            self._opened.append(opened)

    def close(self) -> Deferred[Any]:
        """Stop listening; fires when the address is free."""
        self._closed = True
        port, self._port = self._port, None
        return succeed(None) if port is None else closePort(port)

    def _listening(self, port: IListeningPort) -> None:
        if self._closed:
            closePort(port)
            return
        self._port = port
        opened, self._opened = self._opened, []
        for each in opened:
            each(port)


class Ports:
    """
    The ports of one process, held by generations.

    Most endpoints listen at once, so that failing to is an error at start-up;
    those that take their time are heard of when they are ready.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._holdings: Holdings[OpenPort] = Holdings()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._holdings)

    def take(
        self,
        description: str,
        backlog: int,
        place: Place,
        make: Callable[[], ListenerFactory],
        name: str | None = None,
    ) -> OpenPort:
        """
        Hold the port of a description; it is opened if nobody holds it yet.

        @param name: By which it is held and released; the description, unless a
            generation listens on it several times, as it may on C{tcp:0}.
        @param backlog: Unless the description names one.
        @param place: Where the description was written.
        @param make: Makes the factory of a port that is opened.
        @raise CannotStart: If it is clear already that it cannot be listened on.
        @raise ConfigurationError: If there is no such endpoint.
        """

        def opened() -> OpenPort:
            _replaceStaleSocket(description)
            endpoint = serverEndpoint(self._reactor, description, place, backlog)
            port = OpenPort(description, make())
            port.listen(endpoint)
            return port

        return self._holdings.take(name or description, opened)

    def release(self, name: str) -> Deferred[Any]:
        """
        Let go of a port; it is closed if nobody holds it any more.

        @return: Fires when that is done.
        """
        port = self._holdings.release(name)
        return succeed(None) if port is None else port.close()


class AcceptGate:
    """
    A listening socket that has no client while the process can hold no more.

    Twisted's ports accept up to a hundred clients before they look up, paused
    or not, and close those for which there is no descriptor; this way nobody
    is accepted that cannot be served.
    """

    def __init__(self, listening: socket.socket, capacity: Capacity) -> None:
        self._listening = listening
        self._capacity = capacity

    def accept(self) -> tuple[socket.socket, Any]:
        """
        The next client.

        @raise BlockingIOError: If there is none, or no room for one.
        """
        # A client's plugin may have had the port closed, which Twisted's loop over
        # the clients of a batch does not notice.
        if not self._capacity.paused and self._listening.fileno() >= 0:
            try:
                return self._listening.accept()
            except OSError as error:
                if error.errno not in SHORTAGES:
                    raise
                self._capacity.exhausted(os.strerror(error.errno))
        raise BlockingIOError(errno.EAGAIN, "no room for more connections")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listening, name)


def gateAccept(port: IListeningPort, capacity: Capacity) -> None:
    """Let a port accept only as many clients as there is capacity for."""
    listening = getattr(port, "socket", None)
    if isinstance(listening, socket.socket):
        vars(port)["socket"] = AcceptGate(listening, capacity)


def ownSocket(port: IListeningPort, owner: int | None, group: int | None) -> None:
    """
    Let the file of a UNIX port's socket, and the lock that Twisted keeps beside it,
    belong to a user and a group, so that this user can remove them.

    @param owner: A number; L{None} to leave it.
    @param group: Likewise.
    @raise CannotStart: If that is not permitted.
    """
    address = port.getHost()
    if not isinstance(address, UNIXAddress) or (owner is None and group is None):
        return
    path = os.fsdecode(address.name or b"")
    wanted = (-1 if owner is None else owner, -1 if group is None else group)
    try:
        os.chown(path, *wanted)
        with suppress(FileNotFoundError):
            os.lchown(f"{path}.lock", *wanted)
    except OSError as error:
        why = f"its owner cannot be set: {error.strerror}"
        raise _cannotListen(f"unix:{path}", why) from None


def closePort(port: IListeningPort) -> Deferred[Any]:
    """
    Close a port.  Twisted's own ports close a turn of the reactor later when they
    are asked to, and until then their address is taken; so they are closed in
    the way in which the reactor closes what is left when it stops.

    @return: Fires when it is closed.
    """
    if not isinstance(port, tcp.Port):
        return maybeDeferred(port.stopListening)
    reason = Failure(ConnectionDone())
    try:
        port.connectionLost(reason)
    except OSError:
        # The file of a UNIX socket, or its directory, is gone already.
        tcp.Port.connectionLost(port, reason)
    return succeed(None)


def _listen(
    endpoint: IStreamServerEndpoint, factory: IProtocolFactory
) -> Deferred[IListeningPort]:
    ignoreOffers(endpoint)
    return endpoint.listen(factory)


def _cause(reason: Failure) -> str:
    error: Any = reason.value
    if isinstance(error, CannotListenError):
        # An OSError, or what Twisted says of the lock of a UNIX socket.
        error = error.socketError
    return cause(error) if isinstance(error, BaseException) else str(error)


def _replaceStaleSocket(description: str) -> None:
    """
    Remove the file of a UNIX socket on which nobody listens any more.

    Twisted removes what it left behind itself, going by a lock beside the
    file; a file without such a lock would be in the way for ever.

    @raise CannotStart: If somebody does listen there.
    """
    parsed = Description.parse(description)
    if parsed.positional[:1] != ("unix",):
        return
    path = parsed.named.get("address", "".join(parsed.positional[1:2]))
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise _cannotListen(description, "the file is not a socket")
        with socket.socket(socket.AF_UNIX) as trial:
            trial.setblocking(False)
            trial.connect(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        if not os.path.lexists(f"{path}.lock"):
            os.unlink(path)
        return
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise _cannotListen(description, cause(error)) from None
    raise _cannotListen(description, "somebody listens there")


def _cannotListen(description: str, why: str) -> CannotStart:
    return CannotStart(f"cannot listen on {description}: {why}")
