"""Tells every observer of every connection, even if another observer fails."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.python.failure import Failure
from zope.interface import implementer

from ..interfaces import IConnectionObserver, IPoolObserver
from ..proxy.pluginerrors import PluginErrors
from ..words.backend import Member
from ..words.connection import Connection


class OnlyEnds:
    """An observer of ends, for which nothing is done when a client is accepted."""

    def opened(self, connection: Connection) -> None:
        """Do nothing; L{Observers} does not even call this."""


@implementer(IConnectionObserver)
class Observers:
    """
    Several observers, as one.

    An exception in one observer is logged with the observer's name.  It does not affect
    the other observers or the connection.
    """

    def __init__(
        self, observers: Iterable[IConnectionObserver], errors: PluginErrors
    ) -> None:
        self._observers = tuple(observers)
        self._ofOpening = [
            each for each in self._observers if not isinstance(each, OnlyEnds)
        ]
        self._errors = errors

    def opened(self, connection: Connection) -> None:
        """Tell all observers that a client was accepted."""
        for observer in self._ofOpening:
            try:
                observer.opened(connection)
            except BaseException:
                self._errors.tell(observer, Failure(), "opened")

    def closed(self, connection: Connection) -> None:
        """Tell all observers that a connection is over."""
        for observer in self._observers:
            try:
                observer.closed(connection)
            except BaseException:
                self._errors.tell(observer, Failure(), "closed")


@implementer(IPoolObserver)
class PoolObservers:
    """
    Several observers of pools, as one.

    What one raises is logged with its name; the others, and the pool, notice
    nothing.
    """

    def __init__(
        self, observers: Iterable[IPoolObserver], errors: PluginErrors
    ) -> None:
        self._observers = tuple(observers)
        self._errors = errors

    def ejected(
        self, pool: str, member: Member, seconds: float, failures: int, reason: str
    ) -> None:
        """Tell them all that a member is left alone from now on."""
        self._tell("ejected", pool, member, seconds, failures, reason)

    def notEjected(self, pool: str, member: Member, share: float) -> None:
        """Tell them all that a member is not, since enough others are."""
        self._tell("notEjected", pool, member, share)

    def returned(self, pool: str, member: Member, seconds: float) -> None:
        """Tell them all that a member may be picked again."""
        self._tell("returned", pool, member, seconds)

    def wentDown(self, pool: str, member: Member, reason: str) -> None:
        """Tell them all that the checks of a member have found it down."""
        self._tell("wentDown", pool, member, reason)

    def wentUp(self, pool: str, member: Member, seconds: float) -> None:
        """Tell them all that the checks of a member have found it up."""
        self._tell("wentUp", pool, member, seconds)

    def stateSet(self, pool: str, member: Member, before: str) -> None:
        """Tell them all that a member was set to another state."""
        self._tell("stateSet", pool, member, before)

    def nobodyLeft(self, pool: str, ejected: int, down: int, tryingAll: bool) -> None:
        """Tell them all that no member is available."""
        self._tell("nobodyLeft", pool, ejected, down, tryingAll)

    def tierChanged(self, pool: str, backups: int) -> None:
        """Tell them all that members of another tier are picked."""
        self._tell("tierChanged", pool, backups)

    def dialFailed(self, pool: str, member: Member, reason: str) -> None:
        """Tell them all that a member could not be connected to."""
        self._tell("dialFailed", pool, member, reason)

    def endedEmpty(self, pool: str, member: Member) -> None:
        """Tell them all that a member ended a connection without a byte."""
        self._tell("endedEmpty", pool, member)

    def _tell(self, what: str, *arguments: object) -> None:
        for observer in self._observers:
            try:
                getattr(observer, what)(*arguments)
            except BaseException:
                self._errors.tell(observer, Failure(), what)
