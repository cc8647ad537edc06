"""The access log: one line of text for each connection, when it is over."""

from __future__ import annotations

from datetime import datetime

from zope.interface import implementer

from ..interfaces import IConnectionObserver
from ..words.connection import Connection
from ..words.escaping import oneLine, oneWord
from .linefile import LineFile
from .observers import OnlyEnds
from .writer import Writer


def line(connection: Connection) -> str:
    """
    Format one connection as one line, with its newline.

    First come the time it began, its id, its listener and its client; then named
    fields, and last why it ended.

    C{in} and C{out} are bytes from the client and from the backend.  C{connect} is the
    seconds until the backend was joined, or C{-} if it was not.  C{total} is the
    seconds until the end.  C{proxy}, if it is there, is the trusted proxy whose PROXY
    header has named the client.
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
    proxy = f"proxy={oneWord(str(connection.proxy))} " if connection.proxy else ""
    return (
        f"{began.isoformat(timespec='milliseconds')} #{connection.id} "
        f"{oneWord(connection.listener)} {oneWord(str(connection.client))} "
        f"pool={pool} backend={backend} tried={tried or '-'} "
        f"in={connection.bytesFromClient} out={connection.bytesFromBackend} "
        f"connect={connect} total={closed - connection.opened:.3f} "
        f"{proxy}{connection.end}{detail}\n"
    )


@implementer(IConnectionObserver)
class AccessLog(OnlyEnds):
    """
    Writes the access log to standard output or to a file.

    Connections never wait for it: a thread writes the lines.  If the file takes lines
    too slowly or not at all, further lines are dropped and counted.  The log says how
    many were lost.

    If log rotation has moved the file away, the next line goes to a new file of the old
    name.  No signal is needed.
    """

    def __init__(self, path: str) -> None:
        """
        @param path: A file, or C{"stdout"}.
        """
        self._path = path
        # Not sys.stdout: twistd redirects that into its own log.
        self._file = LineFile(None if path == "stdout" else path)
        self._writer: Writer | None = None

    def open(self) -> None:
        """
        Open the file.  This is done before privileges are dropped.

        @raise OSError: If it cannot be opened, or is a FIFO without a reader.
        """
        self._file.open()
        self._writer = Writer(self._file, self._path)

    def reopen(self) -> None:
        """
        Open a new file of the old name at once, if the old one was moved away.

        If that fails, lines still go to the old file.
        """
        if self._writer is not None:
            self._writer.follow()

    def close(self) -> None:
        """
        Write the lines that are left, and close the file.

        This takes a second at most.  Lines that are not written by then are lost, and
        counted.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def closed(self, connection: Connection) -> None:
        """Queue the connection's line, which the thread writes."""
        if self._writer is not None:
            self._writer.put(line(connection).encode())
