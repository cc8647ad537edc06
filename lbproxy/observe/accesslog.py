"""The access log: one line of text for each connection, when it is over."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TextIO

from twisted.logger import Logger
from zope.interface import implementer

from ..interfaces import IConnectionObserver
from ..words.connection import Connection
from ..words.escaping import oneLine, oneWord
from .moved import LOOK_EVERY, moved


def line(connection: Connection) -> str:
    """
    One connection as one line, with its newline: when it began, its id,
    listener and client; then named fields, and last why it ended.

    C{in} and C{out} are bytes from the client and from the backend;
    C{connect} and C{total} are seconds until the backend was joined and until
    the end, C{-} where there was none.
    """
    began = datetime.fromtimestamp(connection.opened).astimezone()
    closed = connection.opened if connection.closed is None else connection.closed
    connect = "-"
    if connection.connected is not None:
        connect = f"{connection.connected - connection.opened:.3f}"
    tried = ",".join(oneWord(backend.name) for backend in connection.tried)
    backend = "-" if connection.backend is None else oneWord(connection.backend.name)
    pool = oneWord(connection.pool or "-")
    detail = f" ({oneLine(connection.detail)})" if connection.detail else ""
    return (
        f"{began.isoformat(timespec='milliseconds')} #{connection.id} "
        f"{oneWord(connection.listener)} {oneWord(str(connection.client))} "
        f"pool={pool} backend={backend} tried={tried or '-'} "
        f"in={connection.bytesFromClient} out={connection.bytesFromBackend} "
        f"connect={connect} total={closed - connection.opened:.3f} "
        f"{connection.end}{detail}\n"
    )


@implementer(IConnectionObserver)
class AccessLog:
    """
    Writes the lines to standard output or to a file.

    A file that was moved away, as log rotation does, is opened anew under its
    old name within a second; no signal is needed.  When it cannot be written
    to, connections go on and the lines that were lost are counted.
    """

    _log = Logger()

    def __init__(self, path: str, seconds: Callable[[], float]) -> None:
        """
        @param path: A file, or C{"stdout"}.
        @param seconds: The clock.
        """
        self._path = None if path == "stdout" else path
        self._seconds = seconds
        self._file: TextIO | None = None
        self._looked = 0.0
        self._lost = 0

    def open(self) -> None:
        """
        Open the file; done before privileges are dropped.

        @raise OSError: If it cannot be.
        """
        if self._path is None:
            # Not sys.stdout: twistd makes that a part of its own log.
            self._file = sys.__stdout__
        else:
            path = Path(self._path)
            self._file = path.open("a", buffering=1, encoding="utf-8")
        self._looked = self._seconds()

    def reopen(self) -> None:
        """
        Begin the file anew at once, if it was moved away; if that cannot be,
        go on in the old one.
        """
        try:
            self._follow()
        except OSError as error:
            self._log.error(
                "The access log cannot be begun anew and goes on in the old file: "
                "{error}",
                error=str(error),
            )

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None and self._path is not None:
            try:
                file.close()
            except OSError as error:
                self._fail(error)

    def opened(self, connection: Connection) -> None:
        """Nothing is written yet."""

    def closed(self, connection: Connection) -> None:
        """Write the line."""
        try:
            if self._seconds() - self._looked >= LOOK_EVERY:
                self._follow()
            if self._file is None:
                return
            self._file.write(line(connection))
            if self._path is None:
                self._file.flush()
        except (OSError, ValueError) as error:
            self._fail(error)
        else:
            if self._lost:
                self._log.warn(
                    "The access log is written again; {lost} lines were lost",
                    lost=self._lost,
                )
                self._lost = 0

    def _follow(self) -> None:
        self._looked = self._seconds()
        if self._path is None or self._file is None:
            return
        if moved(self._path, self._file.fileno()):
            before = self._file
            self.open()
            before.close()

    def _fail(self, error: Exception) -> None:
        self._lost += 1
        if self._lost == 1:
            self._log.error(
                "The access log {path} cannot be written: {error}",
                path=self._path or "stdout",
                error=str(error),
            )
