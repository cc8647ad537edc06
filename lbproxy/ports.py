"""Opening and closing the ports that clients come in by."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
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
from .streams.alpn import ignoreOffers
from .words.description import Description


class CannotStart(Exception):
    """
    Something the service needs cannot be had: a port, or a file to write to.
    C{str} of it is one line that names it.
    """


class Ports:
    """
    The open ports of one service.

    Most endpoints listen at once, so that failing to is an error at start-up;
    those that take their time are heard of when they are ready.
    """

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._open: list[IListeningPort] = []
        self._closed = False

    def listen(
        self,
        description: str,
        factory: IProtocolFactory,
        backlog: int,
        place: Place,
        opened: Callable[[IListeningPort], object],
    ) -> None:
        """
        Listen on one endpoint.

        @param backlog: Unless the description names one.
        @param place: Where the description was written.
        @param opened: Told of the port, now or later.
        @raise CannotStart: If it is clear already that it cannot be listened on.
        @raise ConfigurationError: If there is no such endpoint.
        """
        atOnce: list[CannotStart] | None = []

        def failed(reason: Failure) -> None:
            error = _cannotListen(description, _cause(reason))
            if atOnce is None:
                self._log.critical("{error}", error=str(error))
            else:
                atOnce.append(error)

        def listening(port: IListeningPort) -> None:
            if self._closed:
                port.stopListening()
            else:
                self.add(port)
                opened(port)

        _replaceStaleSocket(description)
        endpoint = serverEndpoint(self._reactor, description, place, backlog)
        maybeDeferred(_listen, endpoint, factory).addCallbacks(listening, failed)
        errors, atOnce = atOnce, None
        if errors:
            raise errors[0]

    def add(self, port: IListeningPort) -> None:
        """Let a port that is open already be closed with the others."""
        self._open.append(port)

    def close(self) -> Deferred[Any]:
        """Close them all; fires when they are closed."""
        self._closed = True
        ports, self._open = self._open, []
        return DeferredList(
            [maybeDeferred(port.stopListening) for port in ports], consumeErrors=True
        )


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
