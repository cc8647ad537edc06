"""
Every interface of lbproxy, and nothing else.

A deployment is shaped by providing one of these: a picker chooses a backend, a
router chooses a pool, an observer hears of each connection's opening and end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from .words.backend import Backend, Member
    from .words.connection import Connection
    from .words.options import Option


class ICandidates(Interface):
    """
    The members that may be picked right now, as a read-only view.

    The view is kept up to date by its pool and is never copied for a pick; a
    picker that wants to remember members for longer than one call provides
    L{IMembershipObserver} as well.
    """

    version: int = Attribute(
        """
        A number that changes whenever the members of this view, or the weight
        of one of them, change.  Comparable only between two looks at the same
        view object.
        """
    )

    def __len__() -> int:
        """How many members may be picked; at least one when a picker is asked."""

    def __getitem__(index: int) -> Member:
        """
        The member at a position, in O(1) for a first try.

        @param index: 0 to C{len(candidates) - 1}.
        @raise IndexError: If there is no such position.
        """

    def __iter__() -> Iterator[Member]:
        """Go through the members; the order is stable while C{version} is."""

    def __contains__(member: object) -> bool:
        """Whether C{member} may be picked, in O(1)."""


class IBackendPicker(Interface):
    """The policy that chooses among the available members of one pool."""

    def pick(
        candidates: ICandidates, connection: Connection
    ) -> Member | Awaitable[Member | None] | None:
        """
        Choose where a connection goes.  Asked again, with what has failed
        taken out of C{candidates}, each time a dial fails.

        @param candidates: Never empty.
        @param connection: What is known about the client; C{connection.tried}
            names the backends that have failed it so far.
        @return: One of C{candidates}; or L{None} to refuse the connection; or
            an awaitable (L{twisted.internet.defer.Deferred} or coroutine) of
            either.  An awaitable is given C{pick-timeout}; the client may
            leave while it is pending, and then it is cancelled.  Under asyncio's
            reactor a coroutine may await what is asyncio's, too.
        """


class IMembershipObserver(Interface):
    """
    For a picker that keeps a structure of its own: it is told which members
    may be picked, before the next pick is asked for.
    """

    def added(member: Member) -> None:
        """C{member} may be picked from now on."""

    def removed(member: Member) -> None:
        """C{member} may not be picked any more."""

    def changed(member: Member) -> None:
        """C{member} may still be picked, but its weight is another one now."""


class IBackendPickerFactory(Interface):
    """
    What makes pickers, by name.  A Twisted plugin provides this and
    L{twisted.plugin.IPlugin}; it is shared by all pools and keeps no state.
    """

    name: str = Attribute("The name in configuration, in kebab-case: C{'round-robin'}.")

    options: Mapping[str, Option] = Attribute(
        "The options that C{build} takes, by their kebab-case names."
    )

    def build(**options: object) -> IBackendPicker:
        """
        Make a picker for one pool.

        @param options: A value for each of C{options}, under its name with
            C{-} written as C{_}; what was not given has its default.
        """


class IRouter(Interface):
    """What chooses the pool for a connection, or refuses it."""

    def route(
        connection: Connection,
    ) -> str | Backend | Awaitable[str | Backend | None] | None:
        """
        Choose where a connection belongs.

        @return: The name of a pool; or a L{Backend} that need not be in any
            pool; or L{None} to refuse; or an awaitable of one of these, which
            is given C{route-timeout} and is cancelled if the client leaves.
            Under asyncio's reactor a coroutine may await what is asyncio's, too.
        """


class IConnectionObserver(Interface):
    """
    What hears of every connection: the access log is one.  What an observer
    raises is logged and keeps nothing else from happening.
    """

    def opened(connection: Connection) -> None:
        """A client was accepted; only what is known at that moment is set."""

    def closed(connection: Connection) -> None:
        """The connection is over, told exactly once; its C{end} says why."""


class IPoolObserver(Interface):
    """
    What hears of the members of pools: the log is one, and so is each observer
    handed to a balancer that provides this interface besides
    L{IConnectionObserver}.  What it raises is logged.
    """

    def ejected(
        pool: str, member: Member, seconds: float, failures: int, reason: str
    ) -> None:
        """
        C{member} is left alone from now on.

        @param seconds: For how long.
        @param failures: How many dials in a row have failed.
        @param reason: Why the last of them did, in a few words.
        """

    def notEjected(pool: str, member: Member, share: float) -> None:
        """
        As many dials of C{member} have failed as for an ejection, but as many
        members as may be are ejected already.

        @param share: How many may be, 0 to 1 of the pool.
        """

    def returned(pool: str, member: Member, seconds: float) -> None:
        """
        C{member} may be picked again.

        @param seconds: How long it was ejected.
        """

    def nobodyLeft(pool: str, ejected: int, down: int) -> None:
        """
        No member is available from now on, and so all are tried.

        @param ejected: How many are ejected.
        @param down: How many are down.
        """

    def dialFailed(pool: str, member: Member, reason: str) -> None:
        """
        C{member} could not be connected to.

        @param reason: In a few words.
        """

    def endedEmpty(pool: str, member: Member) -> None:
        """
        C{member} ended or reset a connection before it had sent a byte, and
        before the client had ended its stream.
        """
