"""A router may return a backend with a host name, whether a pool has it or not."""

from __future__ import annotations

import gc

import pytest
from stories import A, Routes, Story, processOf

from lbproxy import Backend, End

NAMED = "tcp:web.internal:80"


def routed(connect: str = NAMED, **arguments) -> Story:
    """A balancer whose router returns one backend."""
    return Story(A, routers={"front": Routes(Backend(connect))}, **arguments)


def test_eachAddressIsTried() -> None:
    """One address refuses, and another serves."""
    story = routed()
    story.network.alias("web.internal", "10.0.1.1", "10.0.1.2", "fd00::1")
    serving = story.network.backend("10.0.1.2", 80)
    clients = [story.client(b"hello") for _ in range(4)]
    assert [each.received for each in serving.accepted] == [b"hello"] * 4
    for each in clients:
        each.reset()
    story.settle(1.0)
    assert {each.end for each in story.records.closes} == {End.CLIENT_RESET}


def test_waitsForTheLookup() -> None:
    """Clients wait for the first lookup, of which there is one for all of them."""
    story = routed(held=["web.internal"])
    clients = [story.client(b"hello") for _ in range(3)]
    story.settle(5.0)
    clients.pop().reset()
    backend = story.network.backend("10.0.1.1", 80)
    story.network.alias("web.internal", "10.0.1.1")
    story.settle()
    assert [each.received for each in backend.accepted] == [b"hello"] * 2


def test_noSuchName() -> None:
    """The record says why there was no backend."""
    story = routed()
    story.client().end()
    story.settle()
    assert (story.end.end, story.end.detail) == (
        End.NO_BACKEND,
        "web.internal: no such name",
    )


def test_isForgotten() -> None:
    """A name that is not used any more is not looked up any more."""
    story = routed()
    story.network.alias("web.internal", "10.0.1.1")
    story.network.backend("10.0.1.1", 80)
    client = story.client(b"hello")
    story.settle(30.0)
    assert processOf(story.balancer).names.known == ["web.internal"]
    client.reset()
    story.settle(1.0)
    assert story.records.closes
    gc.collect()
    story.settle(60.0)
    assert not processOf(story.balancer).names.known


@pytest.mark.parametrize("refuses", ["10.0.1.1", "10.0.1.2"])
def test_ofAPool(refuses: str) -> None:
    """A backend that a pool lists is used at each of its addresses, with its limits."""
    members = f'''
        [[pool.web.backends]]
        connect = "{A}"
        [[pool.web.backends]]
        connect = "{NAMED}"
        max-connections = 1
    '''
    backend = Backend(NAMED, maxConnections=1)
    story = Story(
        A,
        members=members,
        held=["web.internal"],
        routers={"front": Routes(backend)},
        pool="queue-length = 9",
    )
    early = story.client(b"early")
    story.settle(1.0)
    story.network.alias("web.internal", "10.0.1.1", "10.0.1.2")
    other = ({"10.0.1.1", "10.0.1.2"} - {refuses}).pop()
    serving = story.network.backend(other, 80)
    story.settle(1.0)
    assert [each.received for each in serving.accepted] == [b"early"]
    assert not story.backends[0].accepted
    late = story.client(b"late")
    story.settle(1.0)
    assert len(serving.accepted) == 1
    early.reset()
    story.settle(3.0)
    assert [each.received for each in serving.accepted] == [b"early", b"late"]
    late.reset()
    story.settle(1.0)
    assert {each.pool for each in story.records.closes} == {"web"}
