"""
Every state of a session has limits that end it: in time, by themselves, and with
the right word.

The table is walked: each way into a state is a scene, and each limit of that
state is tried in it alone, with every other limit off, and together with others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from stories import A, B, Picks, Routes, Story
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred

from lbproxy import End
from lbproxy.proxy.choosing import RETRY_AFTER
from lbproxy.proxy.policy import SessionOptions
from lbproxy.proxy.states import LIMITS, State
from lbproxy.streams.kinds import declare, kindOf
from lbproxy.streams.limits import LINGER, Limit
from lbproxy.testing import MemoryTransport
from lbproxy.testing.backends import Answer

OFF = {
    "idle-timeout": 0.0,
    "stall-timeout": 0.0,
    "half-close-timeout": 0.0,
    "max-lifetime": 0.0,
}
NEVER = 1e6
"""Seconds for the limits that cannot be switched off."""

KEYS = {
    Limit.LIFETIME: ("listener", "max-lifetime"),
    Limit.IDLE: ("listener", "idle-timeout"),
    Limit.STALL: ("listener", "stall-timeout"),
    Limit.HALF_CLOSE: ("listener", "half-close-timeout"),
    Limit.HEADER: ("listener", "proxy-header-timeout"),
    Limit.HELLO: ("listener", "client-hello-timeout"),
    Limit.ROUTE: ("process", "route-timeout"),
    Limit.PICK: ("process", "pick-timeout"),
    Limit.QUEUE: ("pool", "queue-timeout"),
    Limit.DELIVERY: ("process", "close-timeout"),
    Limit.GIVE_UP: ("process", "close-timeout"),
    Limit.CONNECT: ("pool", "connect-timeout"),
    Limit.DIAL: ("pool", "dial-deadline"),
}

FIXED = {
    Limit.LINGER: LINGER,
    Limit.HANDSHAKE: SessionOptions().handshakeTimeout,
    Limit.RETRY: RETRY_AFTER,
}
"""Those that no key sets, in seconds."""

IN_GOOD_ORDER = {
    *(Limit.ROUTE, Limit.PICK, Limit.QUEUE, Limit.RETRY, Limit.CONNECT, Limit.DIAL)
}
"""Those after which the client is closed in good order."""

EIGHTH = {Limit.IDLE, Limit.STALL, Limit.HALF_CLOSE, Limit.DELIVERY}
"""Those that are found out by looking, and so up to an eighth late."""


def hangs(*_) -> Deferred:
    return Deferred()


class Scene:
    """A session in one state, and since when; then nothing more happens."""

    def __init__(
        self,
        limits: dict[Limit, float],
        retries: int = 1,
        listener: str = "",
        **arguments,
    ) -> None:
        sections: dict[str, dict[str, float]] = {
            "listener": OFF
            | dict.fromkeys(("proxy-header-timeout", "client-hello-timeout"), NEVER),
            "process": dict.fromkeys(
                ("route-timeout", "pick-timeout", "close-timeout"), NEVER
            ),
            "pool": dict.fromkeys(
                ("connect-timeout", "dial-deadline", "queue-timeout"), NEVER
            ),
        }
        sections["pool"] |= {"retries": retries, "queue-length": 1}
        for limit, seconds in limits.items():
            if limit in KEYS:
                section, key = KEYS[limit]
                sections[section][key] = seconds
        texts = {
            section: "\n".join(f"{key} = {value}" for key, value in keys.items())
            for section, keys in sections.items()
        }
        texts["listener"] += f"\n{listener}"
        self.story = Story(A, B, **texts, **arguments)
        self.story.backends[1].answer = "refuse"

    def wait(self, answer: Answer) -> Scene:
        self.story.backends[0].answer = answer
        self.client = self.story.client(b"x")
        return self

    def relay(self) -> Scene:
        self.wait("accept")
        (self.backend,) = self.story.backends[0].accepted
        self.backend.send(b"y")
        self.story.settle()
        return self


class Shaking(MemoryTransport):
    """A transport that begins with a handshake, which never comes to its end."""


class _ShakingKind(type(kindOf(MemoryTransport))):  # type: ignore[misc]
    shakes = True


declare(Shaking, _ShakingKind())


def arriving(limits) -> Scene:
    scene = Scene(limits)
    network = scene.story.network
    here = IPv4Address("TCP", "127.0.0.1", 8080)
    near = Shaking(network, here, here)
    protocol = network._listening[8080].buildProtocol(here)
    assert protocol is not None
    near.connect(protocol)
    scene.client = near.far
    scene.story.settle()
    return scene


def headed(limits) -> Scene:
    """A trusted proxy has sent a part of its header."""
    keys = 'proxy-protocol = "required"\ntrusted-proxies = ["all"]'
    scene = Scene(limits, listener=keys)
    scene.client = scene.story.client(b"P")
    return scene


def greeting(limits) -> Scene:
    """A client has sent a part of its ClientHello."""
    scene = Scene(limits, listener="require-tls = true")
    scene.client = scene.story.client(b"\x16")
    return scene


def pickingAgain(limits) -> Scene:
    """The first try failed, and the picker thinks about the second."""
    answers = [lambda candidates: candidates[0], hangs]
    picks = Picks(lambda candidates: answers.pop(0)(candidates))
    return Scene(limits, pickers={"web": picks}).wait("refuse")


def routing(limits) -> Scene:
    return Scene(limits, routers={"front": Routes(hangs)}).wait("accept")


def picking(limits) -> Scene:
    return Scene(limits, pickers={"web": Picks(hangs)}).wait("accept")


def dialling(limits) -> Scene:
    return Scene(limits).wait("hang")


def expecting(limits) -> Scene:
    """The host of its only member is being looked up."""
    members = '\n[[pool.web.backends]]\nconnect = "tcp:web.internal:80"'
    return Scene(limits, members=members, held=["web.internal"]).wait("accept")


def full(limits, *members: int) -> Scene:
    """Some of its two members are full; the others refuse."""
    tables = [
        f'[[pool.web.backends]]\nconnect = "{each}"\nmax-connections = 1'
        for each in (A, B)
    ]
    scene = Scene(limits, members="\n".join(["", *tables]))
    for at in members:
        assert scene.story.pool.lease(scene.story.pool.members[at])
    return scene.wait("refuse")


def queued(limits) -> Scene:
    return full(limits, 0, 1)


def queuedAfterATry(limits) -> Scene:
    return full(limits, 0)


def resting(limits) -> Scene:
    """Both were tried; the dial after the rest is the last."""
    return Scene(limits, retries=2).wait("refuse")


def restingLate(limits) -> Scene:
    """The first dial has taken nearly all the time that there is."""
    connect = min(limits.values()) - 0.5
    return Scene({**limits, Limit.CONNECT: connect}, retries=3).wait("hang")


def relaying(limits) -> Scene:
    return Scene(limits).relay()


def stalled(limits) -> Scene:
    scene = Scene(limits).relay()
    scene.client.stall()
    scene.backend.send(b"z" * 1000)
    scene.story.settle()
    return scene


def halfClosed(limits) -> Scene:
    scene = Scene(limits).relay()
    scene.client.end()
    scene.story.settle()
    return scene


def halfClosedStalled(limits) -> Scene:
    scene = Scene(limits).relay()
    scene.client.end()
    scene.client.stall()
    scene.backend.send(b"z" * 1000)
    scene.story.settle()
    return scene


def deaf(limits) -> Scene:
    scene = Scene(limits).relay()
    scene.backend.failure = BrokenPipeError(32, "Broken pipe")
    scene.client.send(b"more")
    scene.story.settle()
    return scene


def undelivered(limits) -> Scene:
    scene = Scene(limits).relay()
    scene.client.stall()
    scene.backend.send(b"z" * 1000)
    scene.client.end()
    scene.backend.end()
    scene.story.settle()
    return scene


def lingering(limits) -> Scene:
    """Refused: its answer is delivered, and it does not end its own stream."""
    return Scene(limits, routers={"front": Routes(None)}).wait("accept")


def resetting(limits) -> Scene:
    scene = Scene(limits).relay()
    scene.client.stall()
    scene.backend.send(b"z" * 1000)
    scene.story.settle()
    scene.backend.reset()
    scene.story.settle()
    return scene


def deadTransport(limits) -> Scene:
    """Aborted, and its transport never says that it is gone."""
    scene = Scene(limits, routers={"front": Routes(hangs)}).wait("accept")
    (session,) = scene.story.sessions
    assert session.client is not None
    session.client.transport.abortConnection = lambda: None
    session.abort(End.DRAINED)
    return scene


WALK: list[tuple[State, Limit, Callable[..., Scene], End]] = [
    (State.HEADER, Limit.HEADER, headed, End.BAD_PROXY_HEADER),
    (State.HEADER, Limit.LIFETIME, headed, End.MAX_LIFETIME),
    (State.HELLO, Limit.HELLO, greeting, End.BAD_CLIENT_HELLO),
    (State.HELLO, Limit.LIFETIME, greeting, End.MAX_LIFETIME),
    (State.ARRIVING, Limit.HANDSHAKE, arriving, End.TLS_FAILED),
    (State.ARRIVING, Limit.LIFETIME, arriving, End.MAX_LIFETIME),
    (State.ROUTING, Limit.ROUTE, routing, End.ROUTE_FAILED),
    (State.ROUTING, Limit.LIFETIME, routing, End.MAX_LIFETIME),
    (State.PICKING, Limit.PICK, picking, End.PICK_FAILED),
    (State.PICKING, Limit.DIAL, pickingAgain, End.DIAL_DEADLINE),
    (State.PICKING, Limit.LIFETIME, picking, End.MAX_LIFETIME),
    (State.EXPECTING, Limit.DIAL, expecting, End.DIAL_DEADLINE),
    (State.EXPECTING, Limit.LIFETIME, expecting, End.MAX_LIFETIME),
    (State.QUEUED, Limit.QUEUE, queued, End.QUEUE_TIMEOUT),
    (State.QUEUED, Limit.DIAL, queuedAfterATry, End.DIAL_DEADLINE),
    (State.QUEUED, Limit.LIFETIME, queued, End.MAX_LIFETIME),
    (State.RESTING, Limit.RETRY, resting, End.CONNECT_FAILED),
    (State.RESTING, Limit.DIAL, restingLate, End.DIAL_DEADLINE),
    (State.RESTING, Limit.LIFETIME, restingLate, End.MAX_LIFETIME),
    (State.DIALLING, Limit.CONNECT, dialling, End.CONNECT_FAILED),
    (State.DIALLING, Limit.DIAL, dialling, End.DIAL_DEADLINE),
    (State.DIALLING, Limit.LIFETIME, dialling, End.MAX_LIFETIME),
    (State.RELAYING, Limit.IDLE, relaying, End.IDLE_TIMEOUT),
    (State.RELAYING, Limit.IDLE, stalled, End.IDLE_TIMEOUT),
    (State.RELAYING, Limit.STALL, stalled, End.STALL_TIMEOUT),
    (State.RELAYING, Limit.LIFETIME, relaying, End.MAX_LIFETIME),
    (State.HALF_CLOSED, Limit.IDLE, halfClosed, End.IDLE_TIMEOUT),
    (State.HALF_CLOSED, Limit.IDLE, deaf, End.IDLE_TIMEOUT),
    (State.HALF_CLOSED, Limit.HALF_CLOSE, halfClosed, End.HALF_CLOSE_TIMEOUT),
    (State.HALF_CLOSED, Limit.HALF_CLOSE, deaf, End.HALF_CLOSE_TIMEOUT),
    (State.HALF_CLOSED, Limit.STALL, halfClosedStalled, End.STALL_TIMEOUT),
    (State.HALF_CLOSED, Limit.LIFETIME, halfClosed, End.MAX_LIFETIME),
    (State.CLOSING, Limit.DELIVERY, undelivered, End.STALL_TIMEOUT),
    (State.CLOSING, Limit.DELIVERY, resetting, End.BACKEND_RESET),
    (State.CLOSING, Limit.LIFETIME, undelivered, End.MAX_LIFETIME),
    (State.CLOSING, Limit.LIFETIME, lingering, End.REFUSED_BY_ROUTER),
    (State.CLOSING, Limit.LIFETIME, resetting, End.BACKEND_RESET),
    (State.CLOSING, Limit.LINGER, lingering, End.REFUSED_BY_ROUTER),
    (State.CLOSING, Limit.GIVE_UP, deadTransport, End.DRAINED),
]


def test_theWholeTable() -> None:
    """No state, and no limit of it, is left out of the walk."""
    walked = {(state, limit) for state, limit, *_ in WALK}
    assert walked == {(state, limit) for state in LIMITS for limit in LIMITS[state]}


def ends(scene: Scene, limit: Limit, seconds: float, end: End) -> None:
    """Nothing ends it before its time; an eighth later it is over, with its word."""
    story = scene.story
    story.settle(seconds - 0.1)
    assert not story.records.closes
    late = seconds / 8 if limit in EIGHTH else 0.0
    # Looking begins a few milliseconds after a close does.
    story.settle(0.1 + late + 0.05)
    for backend in story.backends[0].accepted:
        backend.take()
    scene.client.take()
    if limit in IN_GOOD_ORDER:
        scene.client.end()  # These close it in good order.
    story.settle(0.5)
    assert story.end.end is end, story.end


@pytest.mark.parametrize(("state", "limit", "scene", "end"), WALK)
@pytest.mark.parametrize("seconds", [4.0, 60.0])
def test_alone(state: State, limit: Limit, scene, end: End, seconds: float) -> None:
    """With every other limit off, this one ends the session."""
    if limit in FIXED:
        seconds = FIXED[limit]
    elif scene in (arriving, expecting, lingering):
        seconds = 4.0  # Or the limit that no key sets would come first.
    ends(scene({limit: seconds}), limit, seconds, end)


@pytest.mark.parametrize(("state", "limit", "scene", "end"), WALK)
def test_firstOfSeveral(state: State, limit: Limit, scene, end: End) -> None:
    """The others of its state, being longer, change nothing."""
    seconds = FIXED.get(limit, 4.0)
    mine = KEYS.get(limit)
    longer = {
        other: 400.0 for other in LIMITS[state] if other in KEYS and KEYS[other] != mine
    }
    ends(scene({**longer, limit: seconds}), limit, seconds, end)


def test_whatIsDeliveredIsProgress() -> None:
    """
    With the stall limit off, a reader that takes a little now and then is not
    idle, although nothing new is sent to it.
    """
    scene = stalled({Limit.IDLE: 8.0})
    for _ in range(10):
        scene.story.settle(6)
        scene.client.take(50)
        assert not scene.story.records.closes
    scene.story.settle(9.1)
    scene.story.settle(0.1)
    assert scene.story.end.end is End.IDLE_TIMEOUT


def test_whatIsThrownAwayPutsNothingOff() -> None:
    """A refused client that goes on sending is closed as soon as a silent one."""
    scene = lingering({})
    for _ in range(2 * int(LINGER) - 1):
        scene.story.settle(0.5)
        scene.client.send(b"z" * 1000)
        assert not scene.story.records.closes
    scene.story.settle(0.6)
    assert scene.story.end.end is End.REFUSED_BY_ROUTER


def test_trickle() -> None:
    """A side that takes nothing is found out even while more is sent to it."""
    scene = stalled({Limit.STALL: 8.0})
    for _ in range(18):
        scene.backend.send(b".")
        scene.story.settle(0.5)
    scene.story.settle(0.1)
    assert scene.story.end.end is End.STALL_TIMEOUT


@pytest.mark.parametrize("limit", [None, Limit.LIFETIME])
@pytest.mark.parametrize("scene", [lingering, undelivered, resetting])
def test_deadTransportWhileClosing(scene, limit: Limit | None) -> None:
    """
    A client is given up that is cut off in the middle of its close, and whose
    transport never says that it is gone.
    """
    limits = {Limit.GIVE_UP: 4.0} if limit is None else {limit: 2.0, Limit.GIVE_UP: 4.0}
    story = scene(limits).story
    (session,) = story.sessions
    session.client.transport.abortConnection = lambda: None
    cut = 2.0 if limit else {lingering: LINGER}.get(scene, 4.0)
    story.settle(cut + 3.9)
    assert not story.records.closes
    story.settle(0.7)
    assert story.records.closes


@pytest.mark.parametrize(
    ("limit", "end"),
    [(Limit.IDLE, End.IDLE_TIMEOUT), (Limit.LIFETIME, End.MAX_LIFETIME)],
)
def test_cutOffInAWhile(limit: Limit, end: End, logged) -> None:
    """
    Transports that say they are gone in a later turn of the reactor, as those on
    sockets do, are cut off without an error in the log.
    """
    scene = relaying({limit: 4.0})
    story = scene.story
    (session,) = story.sessions
    for stream in session.watch.streams:
        transport = stream.transport
        transport.abortConnection = partial(
            story.network.callLater, 0, transport.abortConnection
        )
    story.settle(5)
    assert story.end.end is end
    assert not [event for event in logged if "log_failure" in event]


def test_everythingOff(logged) -> None:
    """
    A session without limits goes on, and costs no delayed call once the time is
    over that its backend had to accept.
    """
    scene = relaying({})
    scene.story.settle(1e7)
    assert not scene.story.records.closes
    assert not scene.story.network.getDelayedCalls()
    assert not [event for event in logged if "log_failure" in event]


def test_lingeringIsNotLookedAt() -> None:
    """To wait for a refused client's own end takes no look in between."""
    scene = lingering({})
    network, fired = scene.story.network, 0
    until = network.seconds() + LINGER - 1
    while network.calls and network.calls[0].getTime() <= until:
        network.advance(network.calls[0].getTime() - network.seconds())
        fired += 1
    # The wheel comes by a few times on its way from wide slots to narrow ones.
    assert fired <= 6
    scene.story.settle(until + 2 - network.seconds())
    assert scene.story.end.end is End.REFUSED_BY_ROUTER


def test_blamedForAFullTryOnly() -> None:
    """
    A member that had but the rest of C{dial-deadline} for its try is not passed
    over for it, however often that happens; one that had its full time is.
    """
    story = Story(A, B, pool='connect-timeout = "4s"\ndial-deadline = "6s"')
    for backend in story.backends:
        backend.answer = "hang"
    first, second = story.pool.members
    picks = Picks(lambda candidates: candidates[0])
    story.pool.picker = picks
    for _ in range(5):
        client = story.client(b"x")
        story.settle(6.1)
        client.end()
        story.settle(0.1)
    assert {record.end for record in story.records.closes} == {End.DIAL_DEADLINE}
    assert [backend.dials for backend in story.backends] == [5, 5]
    available = story.pool.candidates(story.network.seconds())
    assert second in available
    assert first not in available
