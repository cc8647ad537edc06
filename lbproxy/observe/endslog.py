"""Logs the abnormal ends of connections: a few of each kind, then their number."""

from __future__ import annotations

from typing import cast

from twisted.logger import Logger, LogLevel
from zope.interface import implementer

from ..interfaces import IConnectionObserver
from ..proxy.windows import Windows
from ..streams.wheel import Wheel
from ..words.connection import NORMAL_ENDS, Connection, End
from ..words.escaping import oneLine
from .observers import OnlyEnds

_A_FEW = 3
"""How many ends of one kind are written in full within one second."""

_WINDOW = 1.0

_CLIENTS_OWN = frozenset(
    {
        End.CLIENT_RESET,
        End.IDLE_TIMEOUT,
        End.STALL_TIMEOUT,
        End.HALF_CLOSE_TIMEOUT,
        End.MAX_LIFETIME,
        End.REFUSED_BY_ROUTER,
        End.REFUSED_BY_PICKER,
        End.BAD_PROXY_HEADER,
        End.BAD_CLIENT_HELLO,
        End.TLS_FAILED,
        End.DRAINED,
    }
)
"""Ends that are not a fault of a backend or of this program."""


@implementer(IConnectionObserver)
class EndsLog(OnlyEnds):
    """
    Logs each connection that did not end normally, with all that is known.

    Of each kind of end a few are written in full each second.  The rest are counted,
    and the count is written when the second is over.  So a flood of failures stays
    readable and does not fill the disk.
    """

    _log = Logger()

    def __init__(self, wheel: Wheel) -> None:
        self._windows: Windows[End] = Windows(wheel, _WINDOW, _A_FEW, self._more)

    def closed(self, connection: Connection) -> None:
        """Log the end, unless it is a normal one."""
        end = connection.end
        if end is None or end in NORMAL_ENDS:
            return
        if end is End.CLIENT_RESET and not connection.bytesFromClient:
            return  # A port scanner or a health check, which sent nothing.
        if self._windows.admits(end):
            self._write(end, connection)

    def close(self) -> None:
        """Write the counts that have not been written yet."""
        self._windows.close()

    def _write(self, end: End, connection: Connection) -> None:
        backend, client = connection.backend, str(connection.client)
        if connection.proxy is not None:
            client = f"{client} through {connection.proxy}"
        self._log.emit(
            _level(end),
            "{end}: connection {id} of listener {listener} from {client}, "
            "pool {pool}, backend {backend}, tried in vain [{tried}], "
            "{bytesFromClient} bytes in, {bytesFromBackend} out; {detail}",
            end=str(end),
            id=connection.id,
            listener=connection.listener,
            client=oneLine(client),
            pool=connection.pool or "-",
            backend="-" if backend is None else oneLine(backend.name),
            tried=oneLine(", ".join(each.name for each in connection.tried)),
            bytesFromClient=connection.bytesFromClient,
            bytesFromBackend=connection.bytesFromBackend,
            detail=oneLine(connection.detail) or "no more is known",
            connection=connection,
        )

    def _more(self, end: End, more: int) -> None:
        self._log.emit(
            _level(end),
            "{end}: {more} more connections within a second",
            end=str(end),
            more=more,
        )


def _level(end: End) -> LogLevel:
    if end is End.INTERNAL_ERROR:
        return cast("LogLevel", LogLevel.critical)
    return cast("LogLevel", LogLevel.info if end in _CLIENTS_OWN else LogLevel.warn)
