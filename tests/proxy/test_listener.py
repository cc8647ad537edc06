"""Addresses of clients, and the sessions of a listener."""

from __future__ import annotations

import pytest
from stories import A, Story
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
    """Each connection of a process has a number of its own, later ones higher."""
    stories = [Story(A), Story(A)]
    for story in (*stories, *stories):
        story.client()
    ids = [each.id for story in stories for each in story.records.opens]
    assert len(set(ids)) == 4
    assert ids[0] < ids[1]
    assert ids[2] < ids[3]
    for story in stories:
        story.stop()


def test_idle() -> None:
    """A listener says when its last connection is gone."""
    story = Story(A)
    (factory,) = story.balancer._factories
    assert factory.whenIdle().called
    story.client()
    idle = factory.whenIdle()
    assert not idle.called
    assert factory.abort(End.DRAINED) == 1
    story.settle()
    assert idle.called
    story.stop()
