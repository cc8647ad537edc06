"""What happens to one client's connection, from its coming to its record."""

from __future__ import annotations

import asyncio

import pytest
from stories import A, B, C, Picks, Routes, Story
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from lbproxy import (
    Backend,
    End,
    IBackendPicker,
    IConnectionObserver,
    IMembershipObserver,
    Standing,
)
from lbproxy.testing import Far


def fails(*_):
    raise LookupError("no such thing")


def test_relayedBothWays() -> None:
    """What either side says reaches the other, and the record says how much."""
    story = Story(A)
    client = story.client(b"question")
    (backend,) = story.backends[0].accepted
    assert backend.received == b"question"
    backend.send(b"the answer")
    story.settle(2)
    assert client.received == b"the answer"
    client.end()
    story.settle()
    assert backend.hasEnd
    backend.end()
    story.settle()
    record = story.end
    assert record.end is End.CLIENT_CLOSED
    assert (record.bytesFromClient, record.bytesFromBackend) == (8, 10)
    assert (record.opened, record.connected, record.closed) == (0, 0, 2)
    assert record.backend == Backend(A)


def test_nextMemberUnnoticed() -> None:
    """A client does not notice that the first two backends could not be reached."""
    story = Story(A, B, C)
    story.backends[0].answer = "refuse"
    story.backends[1].answer = "hang"
    client = story.client(b"early")
    story.settle(5)
    assert story.backends[2].accepted[0].received == b"early"
    client.reset()
    story.settle(1)
    assert [each.connect for each in story.end.tried] == [A, B]
    assert story.end.end is End.CLIENT_RESET
    assert story.backends[2].accepted[0].wasReset


def test_nobodyCanBeReached() -> None:
    """When all have been tried the client is closed, and the record says why."""
    story = Story(A, B)
    for backend in story.backends:
        backend.answer = "refuse"
    client = story.client()
    assert not client.hasEnd
    story.settle(1)
    assert client.hasEnd
    client.end()
    story.settle()
    assert story.end.end is End.CONNECT_FAILED
    assert [each.connect for each in story.end.tried] == [A, B, A, B]
    assert story.end.detail == f"{A}: connection refused; {B}: connection refused"


def test_retriesAreCounted() -> None:
    """With retries = 1 two members are tried, and not the third."""
    story = Story(A, B, C, pool="retries = 1")
    for backend in story.backends:
        backend.answer = "refuse"
    story.client().end()
    story.settle()
    assert [backend.dials for backend in story.backends] == [1, 1, 0]


def test_dialDeadline() -> None:
    """All tries together take no longer than dial-deadline."""
    story = Story(A, B, pool='connect-timeout = "4s"\ndial-deadline = "6s"')
    for backend in story.backends:
        backend.answer = "hang"
    client = story.client()
    story.settle(4)
    story.settle(2)
    assert client.hasEnd
    client.end()
    story.settle()
    assert story.end.end is End.DIAL_DEADLINE
    assert len(story.end.tried) == 2


def test_backendThatComesBack() -> None:
    """A backend that was down is used again as soon as it is up."""
    story = Story(A)
    story.backends[0].answer = "refuse"
    for _ in range(7):
        story.client().end()
        story.settle()
    story.backends[0].answer = "accept"
    story.client()
    assert len(story.backends[0].accepted) == 1


@pytest.mark.parametrize(
    ("answer", "end", "detail"),
    [
        (None, End.REFUSED_BY_PICKER, ""),
        ("a", End.PICK_FAILED, "type str"),
        (fails, End.PICK_FAILED, "LookupError: no such thing"),
        (lambda _: Deferred(), End.PICK_FAILED, "Unanswered"),
    ],
)
def test_picksOfNoUse(answer, end: End, detail: str) -> None:
    """A picker that refuses, raises, hangs or answers nonsense ends one client."""
    story = Story(A, pickers={"web": Picks(answer)})
    client = story.client()
    client.end()
    story.settle(10)
    story.settle()
    assert client.hasEnd
    assert story.end.end is end
    assert detail in story.end.detail


def test_strangerPicked() -> None:
    """A picker that insists on a member of another pool is given up on."""
    other = Story(A)
    stranger = other.pool.members[0]
    story = Story(B, pickers={"web": Picks(stranger)})
    story.client().end()
    story.settle()
    assert story.end.end is End.PICK_FAILED
    assert "no candidate" in story.end.detail


async def later(candidates):
    return candidates[-1 % len(candidates)]


def test_coroutinePick() -> None:
    """An async picker is awaited."""
    story = Story(A, B, pickers={"web": Picks(later)})
    story.client(b"x")
    assert story.backends[1].accepted[0].received == b"x"


@pytest.mark.parametrize("leave", ["reset", "end"])
def test_clientLeavesWhilePicked(leave: str) -> None:
    """The pick is cancelled when its client is gone, and a late answer ignored."""
    cancelled: list = []
    pick: Deferred = Deferred(cancelled.append)
    story = Story(A, listener="half-close = false", pickers={"web": Picks(pick)})
    client = story.client(b"x")
    getattr(client, leave)()
    story.settle()
    assert cancelled == [pick]
    pick.addErrback(lambda failure: failure.trap(CancelledError))
    assert story.backends[0].dials == 0
    expected = End.CLIENT_RESET if leave == "reset" else End.CLIENT_CLOSED
    assert story.end.end is expected


def test_endIsRememberedWhilePicked() -> None:
    """A client that has said all it will say still gets its answer."""
    pick: Deferred = Deferred()
    members = []

    def answer(candidates):
        members.append(candidates[0])
        return pick

    story = Story(A, pickers={"web": Picks(answer)})
    client = story.client(b"question")
    client.end()
    story.settle()
    pick.callback(members[0])
    story.settle()
    (backend,) = story.backends[0].accepted
    assert backend.received == b"question"
    assert backend.hasEnd
    backend.send(b"answer")
    backend.end()
    story.settle()
    assert client.received == b"answer"


@pytest.mark.parametrize(
    ("answer", "end", "detail"),
    [
        (None, End.REFUSED_BY_ROUTER, ""),
        ("nowhere", End.ROUTE_FAILED, "no pool 'nowhere'"),
        (7, End.ROUTE_FAILED, "type int"),
        (fails, End.ROUTE_FAILED, "LookupError"),
        (Deferred, End.ROUTE_FAILED, "Unanswered"),
        (Backend("bogus:1"), End.CONNECT_FAILED, "bogus"),
    ],
)
def test_routesOfNoUse(answer, end: End, detail: str) -> None:
    """A router that refuses, raises, hangs or answers nonsense ends one client."""
    story = Story(A, routers={"front": Routes(answer)})
    story.client().end()
    story.settle(10)
    story.settle()
    assert story.end.end is end
    assert detail in story.end.detail


@pytest.mark.parametrize("answer", ["web", Backend(A)])
def test_routes(answer: str | Backend) -> None:
    """A router names a pool, or a backend that need not be in any."""
    story = Story(A, routers={"front": Routes(answer)})
    story.client(b"x").end()
    story.settle()
    (backend,) = story.backends[0].accepted
    assert backend.received == b"x"
    backend.end()
    story.settle()
    assert story.end.pool == "web"


def test_routedToAStranger() -> None:
    """A backend that no pool has gets one of its own while it is in use."""
    story = Story(A, routers={"front": Routes(Backend(B))})
    backend = story.network.backend("10.0.0.2", 80)
    story.client(b"x").end()
    story.settle()
    assert backend.accepted[0].received == b"x"
    backend.accepted[0].end()
    story.settle()
    assert story.end.pool == "direct"


def test_routedToAMemberOfAPool() -> None:
    """A router that names a member's backend means that member, and is counted."""
    story = Story(A, B, routers={"front": Routes(Backend(B))})
    for _ in range(3):
        story.client(b"x")
    assert [member.active for member in story.pool.members] == [0, 3]


def cancels(*_):
    raise asyncio.CancelledError


@implementer(IConnectionObserver)
class Cancels:
    opened = closed = cancels


@pytest.mark.parametrize(
    ("plugins", "end"),
    [
        ({"pickers": {"web": Picks(cancels)}}, End.PICK_FAILED),
        ({"routers": {"front": Routes(cancels)}}, End.ROUTE_FAILED),
        ({"pickers": {"web": Picks(lambda _: Deferred(cancels))}}, End.PICK_FAILED),
        ({"routers": {"front": Routes(lambda: Deferred(cancels))}}, End.ROUTE_FAILED),
        ({"observers": [Cancels()]}, End.CLIENT_CLOSED),
    ],
    ids=["picker", "router", "pick's canceller", "route's canceller", "observer"],
)
def test_whatIsNoException(plugins, end: End) -> None:
    """
    What asyncio raises for something cancelled is no C{Exception}; a plugin that
    lets it through ends its client as with any other mistake, and hangs none.
    """
    story = Story(A, **plugins)
    client = story.client()
    client.end()
    story.settle(10)
    if story.backends[0].accepted:
        story.backends[0].accepted[0].end()
    story.settle(1)
    assert story.end.end is end


@implementer(IBackendPicker, IMembershipObserver)
class BadWatcher:
    """A picker that cannot bear changes."""

    def __init__(self) -> None:
        self.angry = False

    def pick(self, candidates, connection):
        return candidates[0]

    def added(self, member) -> None:
        if self.angry:
            fails()

    def removed(self, member) -> None:
        fails()

    def changed(self, member) -> None:
        fails()


def test_pickerThatCannotBearChanges() -> None:
    """Its trouble ends no connection that could be made, and hangs none."""
    picker = BadWatcher()
    story = Story(A, B, pickers={"web": picker})
    story.backends[0].answer = "refuse"
    for _ in range(6):
        story.client().end()
        story.settle()
    assert len(story.backends[1].accepted) == 6
    picker.angry = True
    story.backends[0].answer = "accept"
    story.settle(31)
    story.client().end()
    story.settle()
    assert len(story.backends[0].accepted) == 1


def test_pickerThatCannotBearTheFirstMembers(loggedFailures) -> None:
    """A picker that fails while its pool is made does not keep it from serving."""
    picker = BadWatcher()
    picker.angry = True
    story = Story(A, pickers={"web": picker})
    story.client(b"x").reset()
    story.settle()
    assert len(story.backends[0].accepted) == 1
    assert loggedFailures


@pytest.mark.parametrize(
    ("listener", "seconds", "end"),
    [
        ('idle-timeout = "9s"', 9, End.IDLE_TIMEOUT),
        ('max-lifetime = "8s"', 8, End.MAX_LIFETIME),
    ],
)
def test_deadlines(listener: str, seconds: float, end: End) -> None:
    """A connection is cut off when its time is up, not before."""
    story = Story(A, listener=listener)
    client = story.client(b"x")
    story.settle(seconds - 0.5)
    assert not story.records.closes
    story.settle(0.5 + seconds / 8)
    assert story.end.end is end
    assert client.wasReset
    assert story.backends[0].accepted[0].wasReset


def test_bytesPutIdleOff() -> None:
    """Each byte starts the idle time again."""
    story = Story(A, listener='idle-timeout = "9s"')
    client = story.client(b"x")
    for _ in range(5):
        story.settle(8)
        client.send(b"x")
        story.settle()
    story.settle(8.9)
    assert not story.records.closes
    story.settle(0.1 + 9 / 8)
    assert story.end.end is End.IDLE_TIMEOUT


def test_stall() -> None:
    """A side that takes nothing while there is something for it is cut off."""
    story = Story(A, listener='stall-timeout = "60s"')
    client = story.client(b"x")
    client.stall()
    (backend,) = story.backends[0].accepted
    for _ in range(4):
        backend.send(b"y" * 65536)
    story.settle(59)
    assert not story.records.closes
    story.settle(1 + 60 / 8)
    assert story.end.end is End.STALL_TIMEOUT
    assert story.end.bytesFromBackend == 2 * 65536


def test_halfCloseTimeout() -> None:
    """One side has ended and the other makes no progress."""
    story = Story(A, listener='half-close-timeout = "30s"')
    client = story.client(b"x")
    client.end()
    story.settle(20)
    story.backends[0].accepted[0].send(b"y")
    story.settle(29)
    assert not story.records.closes
    story.settle(1 + 30 / 8)
    assert story.end.end is End.HALF_CLOSE_TIMEOUT


def test_bothEndedAndNotTaken() -> None:
    """What is left to deliver is given close-timeout, from each byte accepted."""
    story = Story(A, process='close-timeout = "5s"')
    client = story.client(b"x")
    client.end()
    client.stall()
    story.settle()
    (backend,) = story.backends[0].accepted
    for _ in range(3):
        backend.send(b"y" * 65536)
    backend.end()
    story.settle(1)
    client.take(140_000)
    story.settle(4.5)
    assert not story.records.closes
    story.settle(5)
    story.settle()
    assert story.end.end is End.STALL_TIMEOUT


@pytest.mark.parametrize("first", ["client", "backend"])
def test_withoutHalfClose(first: str) -> None:
    """With half-close = false either end closes both, in good order."""
    story = Story(A, listener="half-close = false")
    client = story.client(b"x")
    (backend,) = story.backends[0].accepted
    one, other = (client, backend) if first == "client" else (backend, client)
    one.send(b"last words")
    one.end()
    story.settle()
    assert other.received.endswith(b"last words")
    assert other.hasEnd
    other.send(b"to nobody")
    other.end()
    story.settle()
    assert str(story.end.end) == f"{first}-closed"


def test_peerThatNeverEnds() -> None:
    """Nor does a side that never ends its stream keep a connection open."""
    story = Story(A, listener="half-close = false", process='close-timeout = "5s"')
    client = story.client(b"x")
    client.end()
    story.settle()
    assert not story.records.closes
    for _ in range(120):
        assert not story.records.closes
        story.backends[0].accepted[0].send(b"on and on")
        story.settle(0.25)
    story.settle(0.1)
    assert story.end.end is End.CLIENT_CLOSED


@pytest.mark.parametrize(
    ("who", "end"), [("client", End.CLIENT_RESET), ("backend", End.BACKEND_RESET)]
)
def test_resetsArePassedOn(who: str, end: End) -> None:
    """A reset arrives as one, behind what came before it."""
    story = Story(A)
    client = story.client(b"x")
    (backend,) = story.backends[0].accepted
    one, other = (client, backend) if who == "client" else (backend, client)
    one.send(b"half a mess")
    one.reset()
    story.settle()
    story.settle(1)
    assert other.received.endswith(b"half a mess")
    assert other.wasReset
    assert not other.hasEnd
    assert story.end.end is end


def test_stopCutsOff() -> None:
    """When the service stops, connections in every state are cut off."""
    held: Deferred = Deferred()
    story = Story(A, B, pickers={"web": Picks(lambda c: held if len(c) < 2 else c[0])})
    relayed = story.client(b"x")
    story.backends[0].answer = "refuse"
    waiting = story.client(b"x")
    story.stop()
    assert relayed.wasReset
    assert waiting.wasReset
    assert {each.end for each in story.records.closes} == {End.DRAINED}


@pytest.mark.parametrize("kind", ["router", "picker"])
def test_pluginThatStopsTheServiceAndRaises(kind: str, logged) -> None:
    """It cuts its own client off, and that is no mistake of lbproxy's."""

    def stops(*_):
        story.balancer.stopService()
        return fails()

    if kind == "router":
        story = Story(A, routers={"front": Routes(stops)})
    else:
        story = Story(A, pickers={"web": Picks(stops)})
    assert story.client().wasReset
    assert story.end.end is End.DRAINED
    assert not [event for event in logged if "mistake" in event["log_format"]]


def test_waitingClientIsReadToALimit() -> None:
    """A client that waits is read, but into one small buffer."""
    pick: Deferred = Deferred()
    story = Story(A, pickers={"web": Picks(lambda candidates: pick)})
    client = story.client()
    for _ in range(5):
        client.send(b"z" * 50_000)
    story.settle()
    (session,) = story.sessions
    assert session.client is not None
    assert session.client.received == 100_000
    pick.callback(story.pool.members[0])
    story.settle()
    assert len(story.backends[0].accepted[0].received) == 250_000


def test_ourOwnMistake(loggedFailures) -> None:
    """A mistake of ours ends one connection with its own word, and is logged."""

    @implementer(IBackendPicker)
    class Saboteur:
        def pick(self, candidates, connection):
            connection.tried = None
            return candidates[0]

    story = Story(A, pickers={"web": Saboteur()})
    story.backends[0].answer = "refuse"
    client = story.client()
    story.settle()
    assert client.wasReset
    assert story.end.end is End.INTERNAL_ERROR
    story.stop()
    assert loggedFailures


def test_emptyAnswers() -> None:
    """
    A backend that accepts and closes is ejected where an empty answer is a
    failure, and answers with something in between take that back.
    """
    pool = '[pool.web.ejection]\nempty-answer = "failure"\nconsecutive-failures = 3'
    story = Story(A, B, pool=pool)
    sick, well = story.backends
    for said in (b"", b"", b"something", b"", b""):
        story.client(b"x")
        (far,) = sick.accepted
        sick.accepted.clear()
        if said:
            far.send(said)
        far.end()
        story.settle()
        story.client(b"x")
    assert len(well.accepted) == 5
    story.client(b"x")
    sick.accepted[0].end()
    story.settle()
    for _ in range(4):
        story.client(b"x")
    assert len(sick.accepted) == 1
    assert len(well.accepted) == 9
    story.stop()


def ofFirst(story: Story) -> Far:
    """The next connection that the first of two members gets."""
    accepted = story.backends[0].accepted
    for _ in range(2):
        if not accepted:
            story.client(b"x")
    return accepted.pop()


def endsEmpty(story: Story) -> None:
    ofFirst(story).end()
    story.settle()


EMPTY_FAILS = '[pool.web.ejection]\nempty-answer = "failure"\nconsecutive-failures = 3'


def isEjected(story: Story) -> bool:
    return story.pool.members[0].standing is Standing.EJECTED


def test_oldConnectionsEndWell() -> None:
    """
    A member that accepts and closes is ejected, though connections that it had before
    get their answers, and end well.
    """
    story = Story(A, B, pool=EMPTY_FAILS)
    old = ofFirst(story)
    endsEmpty(story)
    between = ofFirst(story)
    endsEmpty(story)
    for each in (old, between):
        each.send(b"all that was asked for")
        each.end()
        story.settle()
    assert not isEjected(story)
    endsEmpty(story)
    assert isEjected(story)
    story.stop()


def test_newConnectionIsAnswered() -> None:
    """
    A member is well again with the first byte for a client that came after the
    failures, long before that connection ends.
    """
    story = Story(A, B, pool=EMPTY_FAILS)
    (member, _) = story.pool.members
    endsEmpty(story)
    endsEmpty(story)
    new = ofFirst(story)
    new.send(b"some")
    endsEmpty(story)
    endsEmpty(story)
    assert not isEjected(story)
    new.send(b" more")
    endsEmpty(story)
    assert isEjected(story)
    story.settle(31)
    # It is on probation: one answer takes the ejection back, too.
    ofFirst(story).send(b"well")
    story.settle()
    assert (member.ejections, member.consecutiveFailures) == (0, 0)
    story.stop()


def test_emptyAnswersAreNoFailure() -> None:
    """By default they only are in the log."""
    story = Story(A, B, pool="ejection.consecutive-failures = 1")
    for _ in range(6):
        story.client(b"x")
        for backend in story.backends:
            for far in backend.accepted:
                far.end()
    assert [len(backend.accepted) for backend in story.backends] == [3, 3]
    story.stop()
