"""Plugins that raise, hang or break their promises end no connection but one."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from stories import A, B, Picks, Routes, Story
from twisted.internet.defer import Deferred, succeed
from twisted.plugins.misbehaving_endpoints import Misbehaves, cannotBeCancelled

from lbproxy import Backend, End
from lbproxy.balance.pool import Pool
from lbproxy.proxy.dialer import DialOptions
from lbproxy.testing import Far
from lbproxy.words.backend import Member

pytestmark = pytest.mark.usefixtures("loggedFailures")

RAISES, HANGS, BARE = "misbehaves:raises:1", "misbehaves:hangs:1", "misbehaves:bare:1"


def hangs(*_) -> Deferred:
    """An answer that never comes, and that cannot be cancelled."""
    return Deferred(cannotBeCancelled)


@pytest.fixture(autouse=True)
def made() -> Iterator[list]:
    """What endpoints that misbehave have made: transports, with their protocols."""
    yield Misbehaves.made
    Misbehaves.made.clear()
    Misbehaves.depths.clear()


WAITS = {
    "picker": lambda **how: Story(A, pickers={"web": Picks(hangs)}, **how),
    "router": lambda **how: Story(A, routers={"front": Routes(hangs)}, **how),
    "endpoint": lambda **how: Story(HANGS, pool="retries = 0", **how),
}


@pytest.mark.parametrize("what", WAITS)
@pytest.mark.parametrize("ends", ["reset", "timeout", "lifetime", "stop"])
def test_cannotBeCancelled(what: str, ends: str) -> None:
    """
    An answer whose canceller raises is given up all the same: its connection
    ends, and is told of once, and the service stops at once.
    """
    expected = {
        "reset": {End.CLIENT_RESET},
        "timeout": {End.PICK_FAILED, End.ROUTE_FAILED, End.CONNECT_FAILED},
        "lifetime": {End.MAX_LIFETIME},
        "stop": {End.DRAINED},
    }
    lifetime = "max-lifetime = 3" if ends == "lifetime" else ""
    story = WAITS[what](listener=lifetime)
    members = story.pool.members
    client = story.client(b"x")
    if ends == "reset":
        client.reset()
        story.settle()
    elif ends == "timeout":
        client.end()
        story.settle(11)
    elif ends == "lifetime":
        story.settle(3)
    story.stop()
    assert story.end.end in expected[ends]
    assert not any(member.active for member in members)


def test_endpointThatRaises() -> None:
    """It is passed over, as one that refuses is."""
    story = Story(RAISES, B)
    client = story.client(b"x")
    assert story.backends[1].accepted[0].received == b"x"
    client.reset()
    story.settle(1)
    assert [each.connect for each in story.end.tried] == [RAISES]


def test_endpointThatIsAlone() -> None:
    """The record says what it raised."""
    story = Story(RAISES)
    story.client(b"x").end()
    story.settle(4)
    assert story.end.end is End.CONNECT_FAILED
    assert "no such place" in story.end.detail


def bare(**how) -> tuple[Story, Far, Any, Any]:
    """A client that is joined to a transport which never says that it is gone."""
    story = Story(BARE, process='close-timeout = "5s"', **how)
    client = story.client(b"hello")
    ((transport, protocol),) = Misbehaves.made
    protocol.dataReceived(b"who is there?")
    story.settle()
    assert transport.written == b"hello"
    assert client.received == b"who is there?"
    return story, client, transport, protocol


@pytest.mark.parametrize(
    ("leaves", "seconds", "end"),
    [("reset", 5, End.CLIENT_RESET), ("end", 35, End.HALF_CLOSE_TIMEOUT)],
)
def test_bareTransport(leaves: str, seconds: float, end: End) -> None:
    """
    A transport that can only write and close, and never says that it is gone, is
    given up when C{close-timeout} is over; its connection is told of once.
    """
    story, client, transport, protocol = bare(listener="half-close-timeout = 30")
    getattr(client, leaves)()
    story.settle()
    assert transport.losing
    story.settle(seconds - 1)
    assert not story.records.closes
    story.settle(1 + 30 / 8)
    story.settle(0.1)
    assert story.end.end is end
    protocol.dataReceived(b"still there")


def test_bareTransportAndStop() -> None:
    """The service stops within C{close-timeout}, though it never says so."""
    story, _, _, _ = bare()
    stopped = story.balancer.stopService()
    story.settle(4)
    assert not stopped.called
    story.settle(2)
    assert stopped.called
    assert story.end.end is End.DRAINED
    assert not story.network.getDelayedCalls()


def test_manyFailAtOnce() -> None:
    """
    Two hundred and fifty members that fail at once, before the dial returns, need
    no deeper stack than one.
    """
    story = Story(
        *(f"misbehaves:raises:{number}" for number in range(250)),
        pool="retries = 249",
    )
    story.client(b"x").end()
    story.settle()
    assert len(story.end.tried) == 250
    depths = Misbehaves.depths
    assert len(depths) == 250
    assert max(depths) == min(depths)


def test_oneAnswerForTwo() -> None:
    """A picker or a router may give several connections the same Deferred."""
    pick: Deferred = Deferred()
    route: Deferred = Deferred()
    story = Story(A, B, pickers={"web": Picks(pick)}, routers={"front": Routes(route)})
    story.client(b"x")
    story.client(b"y")
    route.callback("web")
    pick.callback(story.pool.members[1])
    story.settle()
    assert [far.received for far in story.backends[1].accepted] == [b"x", b"y"]


def test_observerThatRaises(logged: list) -> None:
    """It has one traceback in the log, however many connections it is told of."""

    class Raises:
        def opened(self, connection) -> None: ...

        def closed(self, connection) -> None:
            raise RuntimeError("no")

    story = Story(A, observers=[Raises()])
    for _ in range(40):
        story.client(b"x").reset()
        story.settle(0.1)
    assert len(story.records.closes) == 40
    story.settle(60)
    story.stop()
    (failed,) = (event for event in logged if "log_failure" in event)
    assert "Raises.closed" in failed["plugin"]
    (more,) = (
        event["more"] for event in logged if "more" in event and "plugin" in event
    )
    assert more == 39


def test_pickerThatRaises(logged: list) -> None:
    """It has one traceback in the log, with its name."""

    class Raises(Picks):
        def pick(self, candidates, connection):
            raise LookupError("no such thing")

    story = Story(A, pickers={"web": Raises(None)})
    for _ in range(40):
        story.client(b"x").end()
        story.settle(0.1)
    assert {record.end for record in story.records.closes} == {End.PICK_FAILED}
    story.stop()
    (failed,) = (event for event in logged if "log_failure" in event)
    assert "Raises.pick" in failed["plugin"]


@pytest.mark.parametrize("what", ["picker", "router"])
def test_asyncThatRaises(what: str, logged: list) -> None:
    """An answer that is awaited and fails has its traceback in the log as well."""

    async def raises(*_):
        await succeed(None)
        raise LookupError("no such thing")

    plugins: dict[str, Any] = {
        "picker": {"pickers": {"web": Picks(raises)}},
        "router": {"routers": {"front": Routes(raises)}},
    }
    story = Story(A, **plugins[what])
    story.client(b"x").end()
    story.settle()
    assert story.end.end in (End.PICK_FAILED, End.ROUTE_FAILED)
    (failed,) = (event for event in logged if "log_failure" in event)
    assert failed["plugin"] in ("stories.Picks.pick", "stories.Routes.route")
    assert "raises" in failed["log_failure"].getTraceback()
    story.stop()


def test_functionThatRaises(logged: list) -> None:
    """The log names the function that a router is."""

    def choose(connection):
        raise LookupError("no such thing")

    story = Story(A, routers={"front": choose})
    story.client(b"x").end()
    story.settle()
    (failed,) = (event for event in logged if "log_failure" in event)
    assert failed["plugin"].endswith(".choose.route")
    story.stop()


def test_eachPlaceIsShownOnce(logged: list) -> None:
    """
    An observer that fails in two places has two tracebacks, and no more when it
    goes on failing for hours: then each minute has one line for each place.
    """

    class Fails:
        def opened(self, connection) -> None:
            if connection.id % 2:
                raise LookupError("odd")
            raise LookupError("even")

        def closed(self, connection) -> None: ...

    story = Story(A, observers=[Fails()])
    for _ in range(3):
        for _ in range(4):
            story.client(b"x").reset()
        story.settle(3600)
    failures = [event for event in logged if "log_failure" in event]
    assert [str(each["log_failure"].value) for each in failures] in (
        ["odd", "even"],
        ["even", "odd"],
    )
    lines = [event for event in logged if "more" in event and "plugin" in event]
    assert [event["more"] for event in lines] == [1, 1, 2, 2, 2, 2]
    assert all("LookupError at " in event["error"] for event in lines)
    story.stop()


def test_tooManyPlaces(logged: list) -> None:
    """What fails in ever new places, as generated code may, is counted in the end."""
    numbers = count()

    def generated(candidates):
        source = "def pick(): raise LookupError\npick()"
        exec(compile(source, f"generated-{next(numbers)}", "exec"))

    story = Story(A, pickers={"web": Picks(generated)})
    for _ in range(120):
        story.client(b"x").end()
        story.settle()
    assert len([event for event in logged if "log_failure" in event]) == 100
    story.stop()
    (more,) = (
        event["more"] for event in logged if "more" in event and "plugin" in event
    )
    assert more == 20


def test_manyBackendsOfARouter() -> None:
    """
    A router that names five hundred backends, one after the other, leaves none
    of their pools, members and endpoints behind.
    """

    def left() -> dict[type, int]:
        gc.collect()
        kinds = (Backend, Member, Pool, Misbehaves, DialOptions)
        everything = gc.get_objects()
        return {kind: sum(type(o) is kind for o in everything) for kind in kinds}

    numbers = count()
    story = Story(
        A,
        routers={
            "front": Routes(lambda: Backend(f"misbehaves:raises:{next(numbers)}"))
        },
    )

    def come(clients: int) -> None:
        for _ in range(clients):
            story.client(b"x").end()
        story.settle(4)  # Each is dialled four times, with a second in between.
        story.records.closes.clear()
        story.records.opens.clear()

    come(10)
    before = left()
    come(500)
    assert len(Misbehaves.depths) == 4 * 510
    after = left()
    assert all(after[kind] <= before[kind] for kind in before), (before, after)


def test_routersBackendIsThePools() -> None:
    """
    A router that names a backend of a pool means that pool's member, equal as it
    is: its connections count there, and so do its failures.
    """
    story = Story(A, B, routers={"front": Routes(lambda: Backend(B))})
    story.client(b"x")
    story.client(b"x")
    assert [member.active for member in story.pool.members] == [0, 2]
    story.backends[1].answer = "refuse"
    for _ in range(5):
        story.client(b"x").end()
        story.settle()
    available = story.pool.candidates(story.network.seconds())
    assert [member.backend.connect for member in available] == [A]
