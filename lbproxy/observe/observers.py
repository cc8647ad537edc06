"""Tell every observer of every connection, whatever one of them does."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger
from zope.interface import implementer

from ..interfaces import IConnectionObserver
from ..words.connection import Connection


@implementer(IConnectionObserver)
class Observers:
    """
    Several observers, as one.

    What one raises is logged with its name; the others, and the connection,
    notice nothing.
    """

    _log = Logger()

    def __init__(self, observers: Iterable[IConnectionObserver]) -> None:
        self._observers = tuple(observers)

    def opened(self, connection: Connection) -> None:
        """Tell them all that a client was accepted."""
        for observer in self._observers:
            try:
                observer.opened(connection)
            except Exception:
                self._failed(observer, connection)

    def closed(self, connection: Connection) -> None:
        """Tell them all that a connection is over."""
        for observer in self._observers:
            try:
                observer.closed(connection)
            except Exception:
                self._failed(observer, connection)

    def _failed(self, observer: IConnectionObserver, connection: Connection) -> None:
        self._log.failure(
            "The observer {observer} failed on connection {id}",
            observer=type(observer).__qualname__,
            id=connection.id,
        )
