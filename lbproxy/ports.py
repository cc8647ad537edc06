"""Opens and closes the ports that clients connect to."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from .causes import cause
from .endpoints.collisions import ListeningAddress
from .endpoints.making import serverEndpoint
from .holdings import Holdings
from .portsettings import PortSettings, SettingRefused, SettingsInForce
from .proxy.capacity import SHORTAGES, Capacity
from .proxy.listener import ListenerFactory
from .streams.alpn import ignoreOffers
from .words.endpoints import ServerDescription
from .words.place import Place


class CannotStart(Exception):
    """
    The service cannot start, since it lacks a port or a file to write to.

    C{str} of it is one line that names what is lacking.
    """


class OpenPort:
    """
    A port that listens on one description, shared by the generations that hold it.

    @ivar factory: Builds the protocols of its clients, for the generation that took the
        port last.
    """

    _log = Logger()

    def __init__(
        self,
        description: ServerDescription,
        factory: ListenerFactory,
        capacity: Capacity,
        settings: PortSettings,
    ) -> None:
        """
        @param capacity: Pauses the port as long as it is open.
        @param settings: What the description is opened with.
        """
        self.factory = factory
        self._capacity = capacity
        self._description = description
        self._port: IListeningPort | None = None
        self._settings = SettingsInForce(settings)
        self._closed = False
        self._error: CannotStart | None = None
        self._opened: list[Callable[[IListeningPort], object]] = []

    def listen(self, endpoint: IStreamServerEndpoint) -> None:
        """
        Begin to listen.

        @raise CannotStart: If it fails at once.  A later failure is logged.
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
        """Call C{opened} with the port, now or as soon as it listens."""
        if self._port is not None:
            opened(self._port)
        else:
            self._opened.append(opened)

    def use(
        self, description: ServerDescription, settings: PortSettings, undo: ExitStack
    ) -> None:
        """
        Set the socket to some settings, now or as soon as it listens.

        @param description: The description that they belong to, for errors.
        @param undo: Gets what sets the socket back.
        @raise CannotStart: If that is not permitted.
        """

        def use(port: IListeningPort) -> None:
            try:
                self._settings.replace(port, settings, undo)
            except SettingRefused as error:
                raise _cannotListen(description, str(error)) from None

        self.whenOpen(use)

    def close(self) -> Deferred[Any]:
        """
        Stop listening.

        @return: Fires when the address is free.
        """
        self._closed = True
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        self._capacity.forget(port)
        return closePort(port)

    def _listening(self, port: IListeningPort) -> None:
        if self._closed:
            closePort(port)
            return
        self._port = port
        gateAccept(port, self._capacity)
        self._capacity.watch(port)
        opened, self._opened = self._opened, []
        for each in opened:
            each(port)


class Ports:
    """
    The ports of one process, held by generations.

    Most endpoints listen at once, so that a failure is an error of the start.  Others
    listen later, and then a failure is logged.
    """

    def __init__(self, reactor: Any, capacity: Capacity) -> None:
        self._reactor = reactor
        self._capacity = capacity
        self._holdings: Holdings[OpenPort] = Holdings()

    def __len__(self) -> int:
        """How many ports are held."""
        return len(self._holdings)

    def take(
        self,
        description: ServerDescription,
        backlog: int,
        place: Place,
        make: Callable[[], ListenerFactory],
        name: str | None = None,
    ) -> OpenPort:
        """
        Hold the port of a description; open it first if it is not held yet.

        @param name: The name to hold and release it by.  It is its L{portName}, unless
            a generation listens on it several times, as it may on C{tcp:0}.
        @param backlog: The backlog, unless the description gives one.
        @param place: Where the description was written.
        @param make: Makes the factory of a port that is opened.
        @raise CannotStart: If listening fails at once.
        @raise ConfigurationError: If the endpoint cannot be made.
        """

        def opened() -> OpenPort:
            _replaceStaleSocket(description)
            endpoint = serverEndpoint(self._reactor, description, place, backlog)
            settings = PortSettings.of(description, backlog)
            port = OpenPort(description, make(), self._capacity, settings)
            port.listen(endpoint)
            return port

        return self._holdings.take(name or portName(description), opened)

    def release(self, name: str) -> Deferred[Any]:
        """
        Release a port; close it if it is not held any more.

        @return: Fires when that is done.
        """
        port = self._holdings.release(name)
        return succeed(None) if port is None else port.close()


def portName(description: ServerDescription) -> str:
    """
    The name that a port is held by: the same for all descriptions of one socket.

    Where more than an address belongs to it, such as a certificate, it is the whole
    description.
    """
    address, kind = ListeningAddress.of(description), description.kind
    if kind == "unix":
        return f"unix:{address.host}"
    if kind in ("tcp", "tcp6") and address.port:
        return f"tcp:{address.host}:{address.port}"
    return description.text


class AcceptGate:
    """
    A listening socket that accepts no clients while the process is at its capacity.

    Twisted's ports accept up to a hundred clients in one go, even when they are paused,
    and close those for which there is no descriptor.  With this gate only clients that
    can be served are accepted.
    """

    def __init__(self, listening: socket.socket, capacity: Capacity) -> None:
        self._listening = listening
        self._capacity = capacity

    def accept(self) -> tuple[socket.socket, Any]:
        """
        Accept the next client.

        @return: Its socket and its address.
        @raise BlockingIOError: If there is none, or no capacity for one.
        """
        descriptor, name = self._accept()
        like = self._listening
        return socket.socket(like.family, like.type, like.proto, descriptor), name

    def _accept(self) -> tuple[int, Any]:
        """
        Accept the next client, as the method of a socket does that has this name.

        @return: Its descriptor and its address.
        @raise BlockingIOError: If there is none, or no capacity for one.
        """
        # A plugin may have closed the port for an earlier client of the batch.
        # Twisted's loop over the batch does not notice that.
        if not self._capacity.paused and self._listening.fileno() >= 0:
            try:
                accepted: tuple[int, Any] = self._listening._accept()  # type: ignore[attr-defined]
                return accepted
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


def closePort(port: IListeningPort) -> Deferred[Any]:
    """
    Close a port at once.

    Twisted's own ports close a turn of the reactor after C{stopListening}, and until
    then their address is taken.  So they are closed as the reactor closes what is left
    when it stops.

    @return: Fires when the port is closed.
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
        # An OSError, or Twisted's message about the lock of a UNIX socket.
        error = error.socketError
    return cause(error) if isinstance(error, BaseException) else str(error)


def _replaceStaleSocket(description: ServerDescription) -> None:
    """
    Remove the file of a UNIX socket on which no process listens any more.

    Twisted removes its own stale socket only if there is a lock beside it.  A socket
    without a lock would make every start fail.

    @raise CannotStart: If a process listens there, or the file is not a socket.
    """
    path = description.path
    if path is None:
        return
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


def _cannotListen(description: object, why: str) -> CannotStart:
    return CannotStart(f"cannot listen on {description}: {why}")
