"""What a connection costs: calls of our own, and what is left of it afterwards."""

from __future__ import annotations

import gc
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from stories import A, Story

import lbproxy
from lbproxy import Address, End, testing
from lbproxy.streams.proxyprotocol.build import headerV2

PACKAGE = str(Path(lbproxy.__file__).parent)
DOUBLES = str(Path(testing.__file__).parent)
MOST_CALLS = 90
"""
Calls of functions of lbproxy's own for a connection with one request; a budget
that was set beforehand, when a measured sketch of the same work needed far less.
"""

WATCHFUL = """
max-dials = 10
queue-length = 100
health-check = { kind = "tcp", interval = "1h" }
ejection = { empty-answer = "ok", consecutive-failures = 3 }
"""
"""The keys of a pool that looks after itself."""


def request(story: Story, header: bytes = b"") -> None:
    """One connection with one request and one answer, closed by the backend."""
    client = story.client(header + b"GET / HTTP/1.0\r\n\r\n")
    backend = story.backends[0].accepted.pop()
    assert backend.received
    backend.send(b"HTTP/1.0 200 OK\r\n\r\n")
    backend.end()
    story.settle()
    assert client.received
    client.end()
    story.settle()
    assert story.records.closes[-1].end is End.BACKEND_CLOSED


def calls(work: Callable[[], object]) -> Counter[str]:
    """How often each function of lbproxy's own is called, the doubles apart."""
    counts: Counter[str] = Counter()

    def count(frame, event, argument) -> None:
        code = frame.f_code
        if (
            event == "call"
            and code.co_filename.startswith(PACKAGE)
            and not code.co_filename.startswith(DOUBLES)
        ):
            room = code.co_filename.removeprefix(PACKAGE + "/")
            counts[f"{room}: {code.co_qualname}"] += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counts


LATENCY = 'picker = "peak-ewma"'
"""The key of a pool whose picker is told how long members take."""


@pytest.mark.parametrize(
    ("pool", "most"),
    [("", MOST_CALLS), (WATCHFUL, MOST_CALLS * 1.05), (LATENCY, MOST_CALLS * 1.2)],
)
def test_calls(pool: str, most: float) -> None:
    """
    A connection with one request stays within its budget of calls, in a balancer
    that is in use: it has another connection, too.  Checks, ejection and limits add
    no more than a twentieth; a picker that goes by latency, a fifth.
    """
    story = Story(A, pool=pool)
    story.client(b"x")
    story.backends[0].accepted.clear()
    request(story)
    counts = calls(lambda: request(story))
    dearest = "\n".join(f"{count:4} {name}" for name, count in counts.most_common())
    assert counts.total() <= most, f"{counts.total()} calls:\n{dearest}"


OPENED = """
proxy-protocol = "required"
trusted-proxies = ["192.0.2.0/24"]
routes = [{ server-name = "b.example", pool = "web" }]
"""
"""The keys of a listener that reads a header, and looks for a ClientHello."""

HEADER = headerV2(Address("198.51.100.7", 1234), Address("203.0.113.1", 443))


def test_callsForOpenings() -> None:
    """
    To read a header and to look for a ClientHello costs a third of the connection at
    most.
    """
    story = Story(A, listener=OPENED)
    story.client(HEADER + b"x")
    story.backends[0].accepted.clear()
    request(story, HEADER)
    counts = calls(lambda: request(story, HEADER))
    dearest = "\n".join(f"{count:4} {name}" for name, count in counts.most_common())
    assert counts.total() <= MOST_CALLS * 4 / 3, f"{counts.total()} calls:\n{dearest}"


@pytest.fixture
def uncollected():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def ours() -> dict[int, str]:
    """The objects of lbproxy's own that are there: what they are, by identity."""
    return {
        id(each): type(each).__qualname__
        for each in gc.get_objects()
        if str(type(each).__module__).startswith("lbproxy.")
        and not type(each).__module__.startswith(testing.__name__)
    }


def leftBy(story: Story, header: bytes = b"") -> list[str]:
    """What is left of one connection, though nothing was collected."""
    for number in range(2):
        before = ours()
        request(story, header)
        records = [weakref.ref(each) for each in story.records.closes]
        del story.records.opens[1:], story.records.closes[:]
        left = [name for key, name in ours().items() if key not in before]
        if number:
            # The first made what is made once.
            assert [record() for record in records] == [None]
    return left


@pytest.mark.parametrize("pool", ["", LATENCY])
def test_nothingLeft(uncollected, pool: str) -> None:
    """What is over leaves nothing to the cyclic collector."""
    story = Story(A, pool=pool)
    story.client(b"x")
    story.backends[0].accepted.clear()
    assert leftBy(story) == []
    del story.records.opens[1:]


def test_nothingLeftOfOpenings(uncollected) -> None:
    """Nor does what was looked at."""
    story = Story(A, listener=OPENED)
    story.client(HEADER + b"x")
    story.backends[0].accepted.clear()
    assert leftBy(story, HEADER) == []
    del story.records.opens[1:]
