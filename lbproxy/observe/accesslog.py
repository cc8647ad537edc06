"""The access log: one line of text for each connection, when it is over."""

from __future__ import annotations

from datetime import datetime

from zope.interface import implementer

from ..interfaces import IConnectionObserver
from ..words.connection import Connection
from ..words.escaping import oneLine, oneWord
from .linefile import LineFile
from .writer import Writer


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

    Connections never wait for it: lines are written by a thread.  When the file
    takes none, or too few, lines that cannot wait any longer are dropped; they are
    counted, and the log says how many they were.

    A file that was moved away, as log rotation does, is begun anew under its old
    name with the next line; no signal is needed.
    """

    def __init__(self, path: str) -> None:
        """
        @param path: A file, or C{"stdout"}.
        """
        self._path = path
        # Not sys.stdout: twistd makes that a part of its own log.
        self._file = LineFile(None if path == "stdout" else path)
        self._writer: Writer | None = None

    def open(self) -> None:
        """
        Open the file; done before privileges are dropped.

        @raise OSError: If it cannot be, or is a FIFO that nobody reads.
        """
        self._file.open()
        self._writer = Writer(self._file, self._path)

    def reopen(self) -> None:
        """
        Begin the file anew at once, if it was moved away; if that cannot be,
        go on in the old one.
        """
        if self._writer is not None:
            self._writer.follow()

    def close(self) -> None:
        """
        Write what is left, and close the file.  That takes a second at most; what
        is not taken until then is lost, and counted.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def opened(self, connection: Connection) -> None:
        """Nothing is written yet."""

    def closed(self, connection: Connection) -> None:
        """Have the line written."""
        if self._writer is not None:
            self._writer.put(line(connection).encode())
