"""Tell every observer of every connection, whatever one of them does."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.python.failure import Failure
from zope.interface import implementer

from ..interfaces import IConnectionObserver
from ..proxy.pluginerrors import PluginErrors
from ..words.connection import Connection


@implementer(IConnectionObserver)
class Observers:
    """
    Several observers, as one.

    What one raises is logged with its name; the others, and the connection,
    notice nothing.
    """

    def __init__(
        self, observers: Iterable[IConnectionObserver], errors: PluginErrors
    ) -> None:
        self._observers = tuple(observers)
        self._errors = errors

    def opened(self, connection: Connection) -> None:
        """Tell them all that a client was accepted."""
        for observer in self._observers:
            try:
                observer.opened(connection)
            except BaseException:
                self._errors.tell(observer, Failure(), "opened")

    def closed(self, connection: Connection) -> None:
        """Tell them all that a connection is over."""
        for observer in self._observers:
            try:
                observer.closed(connection)
            except BaseException:
                self._errors.tell(observer, Failure(), "closed")
