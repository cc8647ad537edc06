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

PAIRS = [
    ("tcp", "tcp"),
    ("unix", "unix"),
    ("tcp", "unix"),
    ("tls", "tcp"),
    ("tcp", "tls"),
    ("tls", "tls"),
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
