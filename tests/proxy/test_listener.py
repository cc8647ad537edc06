"""Addresses of clients, and the sessions of a listener."""

from __future__ import annotations

import pytest
from stories import A, B, Story
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from lbproxy import End
from lbproxy.proxy.listener import toAddress


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (IPv4Address("TCP", "192.0.2.1", 80), "192.0.2.1:80"),
        (IPv6Address("TCP", "::1", 80), "[::1]:80"),
        (UNIXAddress("/run/web.sock"), "unix:/run/web.sock"),
        (UNIXAddress(b"\0hidden"), "unix:@hidden"),
        (UNIXAddress(None), "unix:"),
        (None, "unix:"),
        ("somewhere else", "unix:somewhere else"),
    ],
)
def test_addresses(address: object, text: str) -> None:
    """Whatever an endpoint calls an address can be logged."""
    assert str(toAddress(address)) == text


def test_idsDiffer() -> None:
    """Each connection has a number of its own, and later ones have higher ones."""
    story = Story(A)
    for _ in range(3):
        story.client()
    ids = [each.id for each in story.records.opens]
    assert ids == sorted(set(ids))


def test_idsDifferInAProcess() -> None:
    """No number comes twice, with two balancers or after one was started again."""
    first, second = Story(A), Story(B)
    first.client()
    second.client()
    first.stop()
    first.balancer.startService()
    first.client()
    opened = [*first.records.opens, *second.records.opens]
    assert len({each.id for each in opened}) == 3


def test_idle() -> None:
    """A listener says when its last connection is gone."""
    story = Story(A)
    sessions = story.sessions
    assert sessions.whenIdle().called
    story.client()
    idle = sessions.whenIdle()
    assert not idle.called
    assert sessions.abort(End.DRAINED) == 1
    story.settle()
    assert idle.called
