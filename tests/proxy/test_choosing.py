"""How connections wait for a member: for room, for another try, in order."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from lbproxy.interfaces import IBackendPicker
from lbproxy.words.backend import Backend
from lbproxy.words.connection import End

from ..stories import A, B, Routes, Story  # type: ignore[import-not-found]


def members(*tables: str) -> str:
    """The long form of the backends, each with some keys."""
    return "".join(
        f'\n[[pool.web.backends]]\nname = "b{at}"\nconnect = "{connect}"\n{keys}'
        for at, (connect, keys) in enumerate(zip((A, B), tables, strict=False), 1)
    )


def one(pool: str = "queue-length = 2", keys: str = "max-connections = 1") -> Story:
    """A pool of one member that takes one connection at a time."""
    return Story(A, pool=pool, members=members(keys))


def words(story: Story) -> list[End | None]:
    return [each.end for each in story.records.closes]


def turnedAway(story: Story) -> list[End | None]:
    """Let a client come that is closed at once; return the words of all so far."""
    client = story.client(b"x")
    assert client.hasEnd
    client.end()
    story.settle()
    return words(story)


def test_firstComeFirstServed() -> None:
    """Who waits is served in order, as soon as one before has left."""
    story = one()
    backend = story.backends[0]
    first, second, third = (story.client(each) for each in (b"1", b"2", b"3"))
    assert [each.received for each in backend.accepted] == [b"1"]
    for client in (first, second, third):
        client.reset()
        story.settle()
    assert [each.received for each in backend.accepted] == [b"1", b"2", b"3"]
    assert words(story) == [End.CLIENT_RESET] * 3


def test_leavesTheQueue() -> None:
    """One that leaves while it waits does not disturb the order of the others."""
    story = one("queue-length = 3")
    first, second, third, _ = (story.client(each) for each in (b"1", b"2", b"3", b"4"))
    third.reset()
    story.settle()
    first.reset()
    story.settle()
    second.reset()
    story.settle()
    assert [each.received for each in story.backends[0].accepted] == [b"1", b"2", b"4"]


@pytest.mark.parametrize(("pool", "waiting"), [("queue-length = 2", 2), ("", 0)])
def test_queueIsFull(pool: str, waiting: int) -> None:
    """
    More than may wait are closed at once, with a word of their own; by default nobody
    waits.
    """
    story = one(pool)
    for _ in range(1 + waiting):
        story.client(b"x")
    assert turnedAway(story) == [End.QUEUE_FULL]


def test_waitsNoLongerThanItMay() -> None:
    """Turns that come to nothing do not make a wait longer."""
    story = one('queue-length = 5\nqueue-timeout = "3s"')
    story.client(b"x")
    waits = story.client(b"x")
    story.settle(2.9)
    assert not waits.hasEnd
    story.settle(0.2)
    assert waits.hasEnd
    waits.end()
    story.settle()
    assert words(story) == [End.QUEUE_TIMEOUT]


def test_burst() -> None:
    """However many come at once, no member has more than it may have."""
    limited = "max-connections = 3"
    story = Story(A, B, pool="queue-length = 50", members=members(limited, limited))
    for _ in range(20):
        story.client(b"x")
    served = 0
    while served < 20:
        active = [each.active for each in story.pool.members]
        assert active == [min(3, (20 - served) // 2)] * 2
        for backend in story.backends:
            backend.accepted.pop().reset()
            served += 1
        story.settle()
    assert words(story) == [End.BACKEND_RESET] * 20


def test_noStormOfDials() -> None:
    """A member that is slow to accept is dialled by as many as C{max-dials} at once."""
    story = Story(A, pool='max-dials = 2\nqueue-length = 10\nqueue-timeout = "20s"')
    backend = story.backends[0]
    backend.answer = "hang"
    clients = [story.client(b"x") for _ in range(6)]
    assert backend.dials == 2
    backend.answer = "accept"
    # The two dials that hang end at their timeout; their clients dial again.
    story.settle(20)
    assert len(backend.accepted) == 6
    for client in clients:
        client.reset()


def test_dialsThatWereGivenUpCountNoLonger() -> None:
    """A client that leaves during its dial makes room for the next one's."""
    story = Story(A, pool="max-dials = 1\nqueue-length = 10")
    backend = story.backends[0]
    backend.answer = "hang"
    first = story.client(b"1")
    story.client(b"2")
    backend.answer = "accept"
    first.reset()
    story.settle()
    assert [each.received for each in backend.accepted] == [b"2"]
    assert story.pool.members[0].dials == 0


def test_aPoolOfOneSurvivesARestart() -> None:
    """While its only member restarts, a client waits, and is served."""
    story = Story(A)
    backend = story.backends[0]
    backend.answer = "refuse"
    client = story.client(b"x")
    story.settle(1.5)
    assert backend.dials == 2
    backend.answer = "accept"
    story.settle(0.5)
    assert backend.accepted[0].received == b"x"
    client.reset()
    story.settle()
    assert [str(each) for each in story.end.tried] == [A, A]


def test_leavesWhileItRests() -> None:
    """A client that leaves before the next try causes none."""
    story = Story(A)
    backend = story.backends[0]
    backend.answer = "refuse"
    story.client(b"x").reset()
    story.settle(5)
    assert backend.dials == 1
    assert words(story) == [End.CLIENT_RESET]


@pytest.mark.parametrize("state", ["drain", "maintenance"])
def test_setAside(state: str) -> None:
    """What was set aside gets no connection, even if nobody else is left."""
    story = Story(A, B, members=members(f'state = "{state}"', ""))
    story.backends[1].answer = "refuse"
    client = story.client(b"x")
    story.settle(4)
    assert client.hasEnd
    assert story.backends[0].dials == 0
    assert story.backends[1].dials == 4


def test_allSetAside() -> None:
    """A pool whose members are all set aside refuses at once."""
    story = Story(A, members=members('state = "drain"'))
    assert turnedAway(story) == [End.NO_BACKEND]


def test_refuses() -> None:
    """With C{when-all-down = "refuse"} a client need not wait to hear it."""
    ejection = 'ejection = {consecutive-failures = 1, max-ejected = "100%"}'
    story = Story(A, pool=f'when-all-down = "refuse"\nretries = 0\n{ejection}')
    story.backends[0].answer = "refuse"
    for _ in range(2):
        story.client(b"x").end()
        story.settle()
    assert words(story) == [End.CONNECT_FAILED, End.NO_BACKEND]


def test_backups() -> None:
    """A backup is used when no other member is available, and no longer."""
    pool = 'ejection = {consecutive-failures = 1, max-ejected = "100%"}'
    story = Story(A, B, pool=pool, members=members("", "backup = true"))
    first, backup = story.backends
    story.client(b"1").reset()
    story.settle()
    assert (first.dials, backup.dials) == (1, 0)
    first.answer = "refuse"
    story.client(b"2").reset()
    story.settle()
    assert backup.dials == 1
    first.answer = "accept"
    story.settle(31)
    story.client(b"3").reset()
    story.settle()
    assert (first.dials, backup.dials) == (3, 1)


def test_fullIsNotGone() -> None:
    """That the others are full does not open the backups: a client waits."""
    tables = members("max-connections = 1", "backup = true")
    story = Story(A, B, pool="queue-length = 1", members=tables)
    story.client(b"1")
    story.client(b"2")
    assert [each.dials for each in story.backends] == [1, 0]


def test_endOfAnEjectionEndsTheWait() -> None:
    """
    A client that waits because the rest are full is served when an ejection ends,
    although nothing else happens then.
    """
    keys = (
        'queue-length = 1\nqueue-timeout = "60s"\nejection = {consecutive-failures = 1}'
    )
    tables = members("max-connections = 1", "max-connections = 1")
    story = Story(A, B, pool=keys, members=tables)
    first, second = story.backends
    first.answer = "refuse"
    story.client(b"1")
    first.answer = "accept"
    waits = story.client(b"2")
    assert (first.dials, second.dials) == (1, 1)
    story.settle(30.5)
    assert [each.received for each in first.accepted] == [b"2"]
    waits.reset()


@implementer(IBackendPicker)
class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Deferred, object]] = []

    def pick(self, candidates, connection):
        answer: Deferred = Deferred()
        self.asked.append((answer, candidates[0]))
        return answer

    def answer(self) -> None:
        answer, member = self.asked.pop(0)
        answer.callback(member)


def test_slowPicks() -> None:
    """
    With a picker that takes its time, no more are picking at once than there is room
    for; and who finds no room after all has not lost its place.
    """
    picker = Slow()
    story = Story(
        A,
        pool="queue-length = 5",
        members=members("max-connections = 1"),
        pickers={"web": picker},
    )
    clients = [story.client(b"%d" % number) for number in range(4)]
    backend = story.backends[0]
    assert len(picker.asked) == 4  # There was room when each of them came.
    picker.answer()
    story.settle()
    for _ in range(3):
        picker.answer()  # What it names is full by now.
    story.settle()
    assert [each.received for each in backend.accepted] == [b"0"]
    for number in range(3):
        clients[number].reset()
        story.settle()
        assert len(picker.asked) == 1
        picker.answer()
        story.settle()
    assert [each.received for each in backend.accepted] == [b"0", b"1", b"2", b"3"]
    clients[3].reset()


def test_routersBackendWaitsForIt() -> None:
    """A client that a router sends to one member waits for that member alone."""
    limited = "max-connections = 1"
    backend = Backend(A, name="b1", maxConnections=1)
    story = Story(
        A,
        B,
        pool="queue-length = 5",
        members=members(limited, limited),
        routers={"front": Routes(backend)},
    )
    first = story.client(b"1")
    story.client(b"2")
    assert [each.dials for each in story.backends] == [1, 0]
    first.reset()
    story.settle()
    assert [each.dials for each in story.backends] == [2, 0]


def test_stopWhileTheyWait() -> None:
    """A stop ends those that wait, too."""
    story = one("queue-length = 5")
    for _ in range(4):
        story.client(b"x")
    story.stop()
    assert words(story) == [End.DRAINED] * 4
