"""
The interfaces of lbproxy.

A program or a plugin provides one of these to change what lbproxy does.  A picker
chooses a backend.  A router chooses a pool.  An observer is told of each connection's
opening and end.
"""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from .words.backend import Backend, Member
    from .words.connection import Connection
    from .words.options import Option


class ICandidates(Interface):
    """
    The members that may be picked right now, as a read-only view.

    The pool keeps the view up to date, and never copies it for a pick.  A picker that
    remembers members for longer than one call provides L{IMembershipObserver} as well.
    """

    version: int = Attribute(
        """
        A number that changes whenever the members of this view, or the weight
        of one of them, change.  Comparable only between two looks at the same
        view object.
        """
    )

    def __len__() -> int:
        """How many members may be picked; at least one when a picker is called."""

    def __getitem__(index: int) -> Member:
        """
        The member at a position.

        This is O(1) for the first pick of a connection, and O(t) after t members have
        been tried.

        @param index: 0 to C{len(candidates) - 1}.
        @raise IndexError: If there is no such position.
        """

    def __iter__() -> Iterator[Member]:
        """Iterate over the members.  The order changes only when C{version} does."""

    def __contains__(member: object) -> bool:
        """Whether C{member} may be picked, in O(1)."""


class IBackendPicker(Interface):
    """The policy that chooses among the available members of one pool."""

    def pick(
        candidates: ICandidates, connection: Connection
    ) -> Member | Awaitable[Member | None] | None:
        """
        Choose the member that a connection goes to.

        This is called again each time a dial fails.  The members that failed are then
        no longer in C{candidates}.

        @param candidates: Never empty.
        @param connection: What is known about the client; C{connection.tried} names the
            backends whose dials have failed so far.
        @return: One of C{candidates}; or L{None} to refuse the connection; or an
            awaitable (L{twisted.internet.defer.Deferred} or coroutine) of either.  An
            awaitable has C{pick-timeout} to answer.  If the client leaves before that,
            it is cancelled.  Under asyncio's reactor a coroutine may also await
            asyncio's awaitables.
        """


class IMembershipObserver(Interface):
    """
    Told which members may be picked, for a picker that keeps its own list of them.

    It is told before the next pick.  A member that is full is not removed: it is not
    among the candidates for a while, but keeps its place; see L{ICapacityObserver}.
    """

    def added(member: Member) -> None:
        """C{member} may be picked from now on."""

    def removed(member: Member) -> None:
        """C{member} may not be picked any more."""

    def changed(member: Member) -> None:
        """C{member} may still be picked, but its effective weight has changed."""


class ICapacityObserver(Interface):
    """
    Told which of the members that were added are full, for a picker that passes over
    full members and must not search for the others.

    A member is full while it has as many connections, or dials under way, as it may
    have.
    """

    def filled(member: Member) -> None:
        """C{member} is full: it is not among the candidates until it is freed."""

    def freed(member: Member) -> None:
        """C{member} has room again."""


class ILoadObserver(Interface):
    """Told of each change of load, for a picker that compares loads."""

    def loadChanged(member: Member) -> None:
        """C{member.active} is one more or one less than before."""


class ILatencyObserver(Interface):
    """
    Told how long members take to answer, for a picker that goes by that.

    Each lease ends in one of C{answered}, C{failed} and C{waited}.  All times are in
    the seconds of one clock that never goes back.
    """

    def picking(now: float) -> None:
        """It is C{now}, and a member is picked next."""

    def answered(member: Member, seconds: float, now: float) -> None:
        """
        The first byte of C{member} has come.

        @param seconds: How long it took to connect; and, if the client had sent
            something, from the first byte of that to the first one of the answer.  It
            is not known what a member has waited for that speaks first.
        """

    def failed(member: Member, seconds: float, now: float) -> None:
        """
        A dial of C{member} has failed; or it ended the connection without a byte,
        before the client ended its stream.

        @param seconds: How long that took.
        """

    def waited(member: Member, seconds: float, now: float) -> None:
        """
        The connection is over, and C{member} was not at fault, or that is not known.

        @param seconds: How long it took to connect, or was dialled; and how long the
            client has waited for an answer.  The whole would have taken longer.
        """


class IFailureReporter(Interface):
    """
    Reports what it has caught, for a picker that calls code from elsewhere, such as a
    function that makes keys, and goes on without it.
    """

    def reportTo(failed: Callable[[object, str], object]) -> None:
        """
        Report failures from now on; called before the first pick.

        @param failed: Called while the exception is handled, with the object that
            raised it and the name of what it was called for.  It logs the exception.
        """


class IConfigurationObserver(Interface):
    """
    Told which members are configured, whether they may be picked or not, for a picker
    that places them by a hash.
    """

    def configured(members: Sequence[Member]) -> None:
        """
        These are all members of the pool now.

        It is called when the pool is made, and again when a member is added or removed,
        or its configured weight changes.

        @param members: In the order of configuration.
        """


class IBackendPickerFactory(Interface):
    """
    Makes pickers by name.

    A Twisted plugin provides this and L{twisted.plugin.IPlugin}.  It is shared by all
    pools and keeps no state.
    """

    name: str = Attribute("The name in configuration, in kebab-case: C{'round-robin'}.")

    options: Mapping[str, Option] = Attribute(
        "The options that C{build} takes, by their kebab-case names."
    )

    def build(**options: object) -> IBackendPicker:
        """
        Make a picker for one pool.

        @param options: A value for each of C{options}, under its name with C{-} written
            as C{_}; an option that was not given has its default.
        """


class IHealthProbe(Interface):
    """One kind of health check, as it is configured for one pool."""

    def probe(backend: Backend) -> Awaitable[None]:
        """
        Check a backend once.

        @param backend: What to check.  Its C{connect} may differ from the configured
            one, if the check has an address or a port of its own.
        @return: An awaitable (L{twisted.internet.defer.Deferred} or coroutine) of
            L{None}, which means that the check has passed.  A failure means that it has
            failed; its text becomes the reason in the log.  It has C{timeout} to
            answer, and is then cancelled.
        """


class IHealthProbeFactory(Interface):
    """
    Makes health probes by name.

    A Twisted plugin provides this and L{twisted.plugin.IPlugin}.  It is shared by all
    pools and keeps no state.
    """

    name: str = Attribute("The kind in configuration, in kebab-case: C{'http'}.")

    options: Mapping[str, Option] = Attribute(
        "The options that C{build} takes, by their kebab-case names."
    )

    def build(reactor: Any, **options: object) -> IHealthProbe:
        """
        Make a probe for one pool.

        @param reactor: The reactor to connect with.
        @param options: A value for each of C{options}, under its name with C{-} written
            as C{_}; an option that was not given has its default.
        """


class IDiscovery(Interface):
    """Finds the backends of one pool, and goes on looking."""

    def start(observer: IDiscoveryObserver) -> None:
        """
        Begin to look for the backends.

        @param observer: Called with what is found, in the reactor's thread, as often as
            it changes, until C{stop} is called.  It may be called at once.
        """

    def stop() -> None:
        """Look no longer.  This is called once at most, and only after C{start}."""


class IDiscoveryObserver(Interface):
    """Told by an L{IDiscovery} of what it has found; lbproxy provides it."""

    def found(backends: Iterable[Backend], why: str = "") -> None:
        """
        The backends are these, and no others.

        Those that are gone keep their connections, as after a reload.  What a backend
        leaves at its default, such as its weight, is taken from C{member} of the
        configuration.

        @param backends: Their names are distinct.
        @param why: What has changed, in a few words, for the log.
        """

    def failed(reason: str) -> None:
        """
        It cannot be found out now which backends there are; the last ones stay.

        @param reason: Why, in a few words, for the log.
        """


class IDiscoveryFactory(Interface):
    """
    Makes the discoveries of one kind.

    It is shared between pools, and keeps no state.  A Twisted plugin that provides this
    and L{twisted.plugin.IPlugin} can be named as the C{kind} of a pool's discovery.
    """

    name: str = Attribute("The kind, as the configuration names it.")
    options: Mapping[str, Option] = Attribute("The options, by kebab-case names.")

    def build(reactor: Any, **options: object) -> IDiscovery:
        """
        Make the discovery of one pool.

        @param reactor: The reactor that it runs with.
        @param options: The value of each option, its name written with C{_}.
        @raise ValueError: If the options do not go together.
        """


class IRouter(Interface):
    """Chooses the pool of a connection, or refuses the connection."""

    def route(
        connection: Connection,
    ) -> str | Backend | Awaitable[str | Backend | None] | None:
        """
        Choose the pool or the backend that a connection goes to.

        @return: The name of a pool; or a L{Backend} that need not be in any pool; or
            L{None} to refuse; or an awaitable of one of these.  An awaitable has
            C{route-timeout} to answer, and is cancelled if the client leaves.  Under
            asyncio's reactor a coroutine may also await asyncio's awaitables.
        """


class IConnectionObserver(Interface):
    """
    Told of every connection; the access log is one.

    An exception that it raises is logged, and affects nothing else.
    """

    def opened(connection: Connection) -> None:
        """A client was accepted.  Only what is known at that moment is set."""

    def closed(connection: Connection) -> None:
        """The connection is over.  This is called exactly once; C{end} says why."""


class IPoolObserver(Interface):
    """
    Told what happens to the members of pools.  The log is one; so is each observer
    of a balancer that provides this interface besides L{IConnectionObserver}.  What
    it raises is logged.
    """

    def ejected(
        pool: str, member: Member, seconds: float, failures: int, reason: str
    ) -> None:
        """
        C{member} was ejected: it is not picked for some time.

        @param seconds: For how long.
        @param failures: How many dials in a row have failed.
        @param reason: Why the last dial failed, in a few words.
        """

    def notEjected(pool: str, member: Member, share: float) -> None:
        """
        C{member} was not ejected, because too many members are ejected already.

        As many of its dials have failed as for an ejection.

        @param share: How much of the pool may be ejected, 0 to 1.
        """

    def returned(pool: str, member: Member, seconds: float) -> None:
        """
        C{member} may be picked again.

        @param seconds: How long it was ejected.
        """

    def wentDown(pool: str, member: Member, reason: str) -> None:
        """
        C{member} is down: its health checks have failed.

        @param reason: Why the last check failed, in a few words.
        """

    def wentUp(pool: str, member: Member, seconds: float) -> None:
        """
        C{member} is up again: its health checks have passed.

        @param seconds: How long it was down.
        """

    def stateSet(pool: str, member: Member, before: str) -> None:
        """
        C{member} was set to another state, C{member.state}, by a program or by a
        configuration that was loaded again.

        @param before: The state that it had before.
        """

    def nobodyLeft(pool: str, ejected: int, down: int, tryingAll: bool) -> None:
        """
        No member is available any more.

        @param ejected: How many are ejected.
        @param down: How many are down.
        @param tryingAll: Whether these are tried from now on; else connections are
            refused.
        """

    def tierChanged(pool: str, backups: int) -> None:
        """
        Backups are picked from now on, or other ones than before, or none any more.

        @param backups: Their tier, while no member of a lower one is available: 1 for
            those with C{backup = true}.  0 if those picked are no backups: they are of
            the lowest tier that the pool has.
        """

    def dialFailed(pool: str, member: Member, reason: str) -> None:
        """
        A dial of C{member} failed.

        @param reason: Why, in a few words.
        """

    def endedEmpty(pool: str, member: Member) -> None:
        """
        C{member} ended or reset a connection before it had sent a byte.

        The client had not ended its stream yet.
        """
