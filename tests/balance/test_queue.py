"""The queue: who may wait, in which order, and what a turn without room costs."""

from __future__ import annotations

import pytest
from pooled import leased, poolOf
from twisted.internet.task import Clock

from lbproxy.balance.pool import Pool
from lbproxy.balance.queue import Place, Queue
from lbproxy.words.backend import Backend, Member

A = Member(Backend("tcp:a:80", "a"))


class Line:
    """
    A queue whose connections are known by letters.

    @ivar said: What the connections and the pool were told: a letter for a turn,
        C{"."} for room that was kept for one and may be for another.
    """

    def __init__(self, length: int, letters: str = "") -> None:
        self.queue = Queue(length)
        self.said = ""
        self.places: dict[str, Place] = {}
        for letter in letters:
            self.join(letter)

    def join(self, letter: str) -> bool:
        place = self.queue.join(
            (), None, lambda: self.say(letter), lambda: self.say(".")
        )
        if place is not None:
            self.places[letter] = place
        return place is not None

    def say(self, what: str) -> None:
        self.said += what

    def __str__(self) -> str:
        letters = {place: letter for letter, place in self.places.items()}
        return "".join(letters[place] for place in self.queue)


def test_fromTheHead() -> None:
    """Whoever came first is first; one that leaves moves nobody else."""
    line = Line(9, "abcde")
    for letter in "cea":
        line.places[letter].leave()
    line.join("f")
    assert str(line) == "bdf"


def test_noMoreThanItsLength() -> None:
    """One that comes to a full queue does not wait; when one has left, the next may."""
    line = Line(2, "ab")
    assert not line.join("c")
    line.places["a"].leave()
    assert line.join("d")
    assert str(line) == "bd"


def test_aReloadShortensIt() -> None:
    """Those that wait already go on when fewer may wait; nobody joins them."""
    line = Line(3, "abc")
    line.queue.length = 1
    line.places["a"].leave()
    assert not line.join("d")
    assert str(line) == "bc"


def test_aTurnThatCameToNothing() -> None:
    """One that finds no room after all waits in the same place, and is called again."""
    line = Line(9, "ab")
    first = line.places["a"]
    first.call()
    assert (first.called, line.queue.called, line.said) == (True, 1, "a")
    first.wait()
    assert (first.called, line.queue.called, line.said) == (False, 0, "a.")
    assert str(line) == "ab"
    first.call()
    assert (line.queue.called, line.said) == (1, "a.a")


@pytest.mark.parametrize(
    ("called", "said"), [(True, "a."), (False, "")], ids=["in its turn", "before it"]
)
def test_leaving(called: bool, said: str) -> None:
    """
    The room that was kept for one in its turn may be for the next; one that leaves
    before its turn, or twice, makes no room.
    """
    line = Line(9, "ab")
    if called:
        line.places["a"].call()
    for _ in range(3):
        line.places["a"].leave()
    assert (line.queue.called, line.said, str(line)) == (0, said, "b")


def test_itEndsInItsTurn() -> None:
    """A client that is gone as it is called keeps no room, and is called no more."""
    queue = Queue(9)
    said: list[str] = []

    def turn() -> None:
        said.append("turn")
        assert place is not None
        place.leave()

    place = queue.join((), None, turn, lambda: said.append("room"))
    assert place is not None
    place.call()
    place.wait()
    assert said == ["turn", "room"]
    assert (queue.called, list(queue)) == (0, [])


def test_leavingWhileItIsServed() -> None:
    """Whoever goes through the queue sees those that were there, come what may."""
    line = Line(9, "abc")
    seen = 0
    for place in line.queue:
        place.leave()
        seen += 1
    assert (seen, str(line)) == (3, "")


@pytest.mark.parametrize(
    ("tried", "only", "particular"),
    [((), None, 0), ((A,), None, 1), ((), A, 1), ((A,), A, 1)],
)
def test_particular(
    tried: tuple[Member, ...], only: Member | None, particular: int
) -> None:
    """
    One that may not go to each member is counted while it waits: it may not be sent
    where another could, nor the other way round.
    """
    queue = Queue(9)
    places = [
        queue.join(*what, lambda: None, lambda: None)
        for what in ((tried, only), ((), None))
    ]
    assert queue.particular == particular
    for place in places:
        assert place is not None
        place.leave()
        place.leave()
    assert queue.particular == 0


class Clients:
    """
    Clients that wait at a pool, which serves them in the next turn of a clock.

    @ivar served: Who was leased which member, in order.
    """

    def __init__(self, pool: Pool) -> None:
        self.clock = Clock()
        self.pool = pool
        self.served: list[str] = []
        pool.hasRoom = lambda: self.clock.callLater(0, self.serve)

    def serve(self) -> None:
        self.pool.callWaiting(self.clock.seconds())

    def wait(self, name: str, *tried: Member, only: Member | None = None) -> None:
        place = self.pool.wait(tried, only, lambda: self.turn(name, place))

    def turn(self, name: str, place: Place | None) -> None:
        assert place is not None
        view = self.pool.candidates(self.clock.seconds(), place.tried)
        member = place.only or view[0]
        leased(self.pool, member)
        self.served.append(f"{name} {member.name}")
        place.leave()


@pytest.mark.parametrize(
    ("freed", "served"),
    [
        ("a", ["anyone a"]),
        ("b", ["choosy b"]),
        ("ba", ["choosy b", "anyone a"]),
        ("bab", ["choosy b", "anyone a", "last b"]),
    ],
)
def test_aChoosyOneHoldsNobodyUp(freed: str, served: list[str]) -> None:
    """
    A client that waits for one member lets those behind it have the room of others,
    and is the first to get that of its own.
    """
    pool = poolOf("ab", limit=2, queueLength=9)
    members = {each.name: each for each in pool.members}
    held = {name: [leased(pool, members[name]) for _ in range(2)] for name in "ab"}
    clients = Clients(pool)
    clients.wait("choosy", only=members["b"])
    clients.wait("anyone")
    clients.wait("last", members["a"])
    clients.clock.advance(1.0)
    for name in freed:
        held[name].pop().release()
        clients.clock.advance(1.0)
    assert clients.served == served


def test_aChoosyOneNeedNotWait() -> None:
    """
    A client that may use a member that is down is served at once, behind others that
    wait until one of those that are up has room.
    """
    pool = poolOf("ab", limit=1, queueLength=9)
    a, b = pool.members
    pool.wentDown(b, 0.0, "refused")
    held = leased(pool, a)
    clients = Clients(pool)
    clients.wait("anyone")
    clients.wait("choosy", only=b)
    clients.clock.advance(1.0)
    assert clients.served == ["choosy b"]
    held.release()
    clients.clock.advance(1.0)
    assert clients.served == ["choosy b", "anyone a"]


def test_roomBesideOneThatStillChooses() -> None:
    """
    While the first client is still choosing, the next one is called as soon as there
    is room for both.
    """
    pool = poolOf("a", maxDials=2, queueLength=9)
    first, second = (leased(pool, pool.members[0]) for _ in range(2))
    called: list[str] = []
    pool.hasRoom = lambda: pool.callWaiting(0.0)
    pool.wait((), None, lambda: called.append("slow"))
    pool.wait((), None, lambda: called.append("next"))
    first.succeeded()
    assert called == ["slow"]
    second.succeeded()
    assert called == ["slow", "next"]
