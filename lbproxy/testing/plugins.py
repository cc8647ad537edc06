"""Arguments to call plugins with in tests, and checks that a picker is correct."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from ..balance.pickers import RoundRobin
from ..balance.pool import Pool
from ..interfaces import IBackendPicker, ICandidates
from ..proxy.wait import awaited
from ..words.backend import Backend, Member
from ..words.connection import Address, Connection


def connectionFrom(host: str = "192.0.2.1", port: int = 40001) -> Connection:
    """Make a connection that was just accepted, to pass to a picker or a router."""
    return Connection(1, "test", Address(host, port), Address("127.0.0.1", 8080), 0.0)


def candidatesOf(
    *backends: Backend | str, picker: IBackendPicker | None = None
) -> ICandidates:
    """
    Make the candidates of a pool in which every member is available.

    @param backends: At least one; a text is a client endpoint description.
    @param picker: The picker of the pool.  If it provides L{IMembershipObserver} it is
        told of the members.
    """
    if not backends:
        raise ValueError("a picker is never asked without candidates")
    members = [Backend(each) if isinstance(each, str) else each for each in backends]
    return Pool("test", members, picker or RoundRobin()).candidates(0)


def checkPicker(
    picker: IBackendPicker,
    candidates: ICandidates,
    settle: Callable[[], object] | None = None,
) -> Member:
    """
    Check that a picker answers with candidates only, and does not change them.

    @param picker: A picker of the kind under test, not used before.
    @param candidates: The members it may choose from; not empty.
    @param settle: For an C{async} picker that waits for something: called after each
        question, and makes it come, such as L{MemoryNetwork.settle}.
    @return: Its first choice.
    @raise AssertionError: If the picker fails the check, or has not answered.
    """
    outcome: list[Member | Failure] = []
    checkAsyncPicker(picker, candidates).addBoth(outcome.append)
    if settle is not None:
        for _ in range(_questions(candidates)):
            settle()
    assert outcome, f"{picker!r} has not answered"
    first = outcome[0]
    if isinstance(first, Failure):
        first.raiseException()
    assert isinstance(first, Member)
    return first


def checkAsyncPicker(
    picker: IBackendPicker, candidates: ICandidates
) -> Deferred[Member]:
    """
    Check a picker as L{checkPicker} does, on a reactor that runs.

    @param picker: A picker of the kind under test, not used before.
    @param candidates: The members it may choose from; not empty.
    @return: Its first choice, or an L{AssertionError} if it fails the check.
    """
    return Deferred.fromCoroutine(_check(picker, candidates))


def _questions(candidates: ICandidates) -> int:
    return 2 * len(candidates) + 1


async def _check(picker: IBackendPicker, candidates: ICandidates) -> Member:
    verifyObject(IBackendPicker, picker)
    before = list(candidates)
    first = await _ask(picker, candidates, connectionFrom())
    for number in range(1, _questions(candidates)):
        await _ask(picker, candidates, connectionFrom(port=40000 + number))
    assert list(candidates) == before, "a picker changed its candidates"
    return first


async def _ask(
    picker: IBackendPicker, candidates: ICandidates, connection: Connection
) -> Member:
    answer: object = picker.pick(candidates, connection)
    if not isinstance(answer, Member) and isinstance(answer, Awaitable):
        answer = await awaited(answer)
    assert isinstance(answer, Member), f"{answer!r} is no member"
    assert answer in candidates, f"{answer!r} is no candidate"
    return answer
