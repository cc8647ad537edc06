"""
Checks what a start needs on this machine: directories, addresses, permissions.

Nothing listens and nothing is written.  Something that this user may not do, but the
user of the daemon perhaps may, is reported as unchecked.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator

from ..causes import cause
from ..words.endpoints import ServerDescription
from ..words.place import Place
from .model import Configuration

_FORBIDDEN = (errno.EACCES, errno.EPERM)


def checkSurroundings(configuration: Configuration, log: Place) -> list[str]:
    """
    Check for what would make a start fail on this machine.

    @param configuration: One in which L{checkConfiguration
        <lbproxy.config.check.checkConfiguration>} finds nothing wrong.
    @param log: The place that names the access log.
    @return: A line for each thing that cannot be checked here.
    @raise ConfigurationError: If a start would fail on this machine.
    """
    unchecked: list[str] = []
    if configuration.accessLog not in ("none", "stdout"):
        unchecked += _checkFile(configuration.accessLog, log)
    for listener in configuration.listeners:
        place = listener.place.key("listen")
        for listen in listener.listen:
            unchecked += _checkListening(listen, place)
    return unchecked


def _checkFile(path: str, place: Place) -> Iterator[str]:
    """Check the file of a log, which the start opens or creates."""
    yield from _checkDirectory(path, path, place)
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        raise place.refuse(path, os.strerror(errno.EISDIR))
    if stat.S_ISFIFO(mode):
        yield _unchecked(path, place, "whether anybody reads this pipe")
    elif not _allowed(path, os.W_OK):
        yield _unchecked(path, place, "this user may not write to it")


def _checkListening(listen: ServerDescription, place: Place) -> Iterator[str]:
    path, text = listen.path, listen.text
    address = listen.interfaceAndPort
    if path is not None:
        yield from _checkDirectory(path, text, place)
        if os.path.exists(path) and not stat.S_ISSOCK(os.stat(path).st_mode):
            raise place.refuse(text, "the file is not a socket")
    elif address is not None:
        yield from _checkAddress(*address, text, place)
    elif listen.kind == "systemd":
        yield _unchecked(text, place, "systemd hands it over at the start")


def _checkDirectory(path: str, text: str, place: Place) -> Iterator[str]:
    directory = os.path.dirname(path) or "."
    try:
        mode = os.stat(directory).st_mode
    except PermissionError:
        yield _unchecked(text, place, f"this user may not look into {directory}")
        return
    except OSError as error:
        raise place.refuse(text, cause(error)) from None
    if not stat.S_ISDIR(mode):
        raise place.refuse(text, f"{os.strerror(errno.ENOTDIR)}: {directory}")
    if not os.path.exists(path) and not _allowed(directory, os.W_OK | os.X_OK):
        yield _unchecked(text, place, f"this user may not write to {directory}")


def _checkAddress(interface: str, port: int, text: str, place: Place) -> Iterator[str]:
    """Bind to an address.  One in use is no fault: the running daemon may hold it."""
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    try:
        found = socket.getaddrinfo(
            interface or None, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
        )
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(found[0][4])
    except OSError as error:
        if error.errno in _FORBIDDEN:
            yield _unchecked(text, place, f"this user may not listen on port {port}")
        elif error.errno != errno.EADDRINUSE:
            raise place.refuse(text, cause(error)) from None


def _allowed(path: str, mode: int) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, mode, effective_ids=effective)


def _unchecked(text: str, place: Place, why: str) -> str:
    return str(place.refuse(text, f"not checked: {why}"))
