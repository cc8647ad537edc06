"""Whatever a client and a backend do, over every kind of real transport."""

from __future__ import annotations

from threading import Barrier

import pytest
import pytest_twisted
from hypothesis import HealthCheck, example, given, settings
from journeys import BACKEND, CLIENT, SCHEDULES, Certificates, Journey, SocketWorld
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.protocol import ServerFactory
from twisted.internet.threads import deferToThread

from lbproxy.streams.sockets import SocketReactor, socketsOf

PAIRS = [
    ("tcp", "tcp"),
    ("unix", "unix"),
    ("tcp", "unix"),
    ("tls", "tcp"),
    ("tcp", "tls"),
    ("tls", "tls"),
    ("tcp", "table"),
    ("table", "tcp"),
    ("table", "table"),
    ("tcp", "plain"),
]


RESET_BEHIND_AN_END = (
    [(CLIENT, ("end", 0)), (CLIENT, ("settle", 0)), (BACKEND, ("reset", 0))],
    0,
)
"""Rarely found, and another thing where an end closes both directions."""


SENT_TO_ONE_THAT_IS_GONE = (
    [
        ("client", ("stall", 0)),
        ("client", ("settle", 0)),
        ("client", ("close", 0)),
        ("backend", ("send", 1)),
        ("backend", ("end", 0)),
    ],
    0,
)
"""The end that is still to be read, of the side whose bytes could not be sent on."""


def told(text: str, pickAfter: int = 0) -> tuple[list, int]:
    """
    A schedule: deeds of the client and, after a C{<}, of the backend, with a comma
    between two.
    """
    steps = []
    for each in text.split(","):
        deed, *size = each.strip(" <").split()
        side = BACKEND if "<" in each else CLIENT
        steps.append((side, (deed, int(size[0]) if size else 0)))
    return steps, pickAfter


HARD = {
    "data and end on one edge": told("send 1000, end, settle, <send 1000, <end"),
    "data and both ends at once": told("settle, send 70000, end, <send 70000, <end"),
    "all before the backend": told("send 40000, end, settle, <send 100, <end", 3),
    "end to one that stalls": told(
        "send 9, settle, <stall, send 700000, settle, send 700000, end, settle, <read,"
        "settle, <send 700000, <end"
    ),
    "end of one that stalls": told(
        "send 9, settle, stall, <send 700000, <send 700000, <end, settle, send 700000,"
        "settle, read, settle, end"
    ),
    "reset to one that stalls": told(
        "send 9, settle, <stall, send 700000, send 700000, settle, reset, settle, <read"
    ),
    "reset of the backend of one that stalls": told(
        "send 9, settle, stall, <send 700000, <send 700000, settle, <reset, settle"
    ),
    "reset of a client that stalls": told(
        "send 9, settle, stall, <send 700000, <send 700000, settle, reset, settle"
    ),
    "answer and reset at once": told("send 100, settle, <send 65536, settle, <reset"),
    "answer and reset, never asked": told("settle, <send 16384, <reset, settle"),
    "answer and reset in mid-upload": told(
        "send 700000, settle, <stall, send 700000, settle, <send 200000, settle, <reset"
    ),
    "the client ends first": told(
        "send 100, settle, end, settle, <send 200000, settle, <send 1, <end"
    ),
    "the backend ends first": told(
        "send 100, settle, <send 100, <end, settle, send 200000, settle, send 1, end"
    ),
    "bulk that stalls and goes on": told(
        "send 9, settle, <send 4000000, settle, stall, <send 12000000, settle, read,"
        "settle, <send 65537, <end, settle, end"
    ),
    "bulk both ways": told(
        "settle, stall, <stall, send 4000000, <send 4000000, settle, read, <read,"
        "settle, send 1, <send 1, settle, end, settle, <end"
    ),
    "each byte for itself": told(
        "send 1, settle, " * 9 + "<send 1, settle, " * 9 + "end, settle, <end"
    ),
    **{
        f"split behind {each} of 8": told(
            f"send {each}, settle, send {8 - each}, settle, <send {each}, settle,"
            f"<send {8 - each}, <end, settle, end"
        )
        for each in range(1, 8)
    },
}
"""Schedules that chance would hardly find, or not each time."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    # The first port that Twisted opens brings a spare descriptor along for good.
    pytest_twisted.blockon(reactor.listenTCP(0, ServerFactory()).stopListening())
    # As the first name that is looked up brings a thread, beside a journey's own.
    both = Barrier(2)
    waiting = [deferToThread(both.wait) for _ in range(2)]
    pytest_twisted.blockon(gatherResults(waiting))
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("short", [False, True], ids=["", "short-limits"])
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest_twisted.inlineCallbacks
def test_whatTheyDo(pair: tuple[str, str], short: bool, certificates: Certificates):
    """
    What arrives is a prefix of what was sent, all of it after a clean end; the
    reason is right; what is thrown away is read at a bounded pace; and no
    transport, deadline, lease, descriptor or thread is left.
    """

    @given(SCHEDULES)
    @example(RESET_BEHIND_AN_END)
    @example(SENT_TO_ONE_THAT_IS_GONE)
    @settings(
        max_examples=20 if short else 30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    def journeys(schedule) -> None:
        Journey(SocketWorld(*pair, certificates, short)).run(*schedule)

    yield deferToThread(journeys)


@pytest.mark.parametrize("hard", HARD)
@pytest.mark.parametrize("pair", [*PAIRS[:2], ("table", "table")], ids="-".join)
@pytest_twisted.inlineCallbacks
def test_hard(pair: tuple[str, str], hard: str, certificates: Certificates):
    """The same is true of what is hard for sockets that are told of edges only."""
    assert isinstance(socketsOf(reactor, "epoll"), SocketReactor)
    yield deferToThread(Journey(SocketWorld(*pair, certificates)).run, *HARD[hard])
