"""Each reactor has a resolver that suits it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IReactorPluggableNameResolver,
    IReactorThreads,
    IResolutionReceiver,
)
from twisted.internet.task import Clock
from zope.interface import alsoProvides, implementer
from zope.interface.verify import verifyObject

from lbproxy.discovery.answers import Answer, Family
from lbproxy.discovery.dnsclient import DnsResolver
from lbproxy.discovery.resolvers import ReactorResolver, resolverFor
from lbproxy.discovery.system import SystemResolver
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import Wheel
from lbproxy.testing import MemoryNetwork

THREADED = Clock()
"""A reactor that says that it has threads; none is needed here."""

alsoProvides(THREADED, IReactorThreads)


@pytest.mark.parametrize(
    ("reactor", "servers", "kind"),
    [
        (THREADED, None, SystemResolver),
        (THREADED, (("10.0.0.2", 53),), DnsResolver),
        (MemoryNetwork(), None, ReactorResolver),
        (Clock(), None, ReactorResolver),
    ],
)
def test_whichResolver(reactor: Clock, servers: Any, kind: type) -> None:
    """Servers are asked if there are some; else the system, or the reactor."""
    resolver = resolverFor(reactor, Wheel(ClockAlarm(reactor)), servers)
    assert type(resolver) is kind
    resolver.close()


@implementer(IReactorPluggableNameResolver)
class Naming(Clock):
    """
    A reactor that looks names up when the test says so.

    @ivar asked: The names, and who is to be told.
    """

    def __init__(self, fails: Exception | None = None) -> None:
        super().__init__()
        self.fails = fails
        self.asked: list[tuple[str, Any]] = []

    @property
    def nameResolver(self) -> Naming:
        return self

    def installNameResolver(self, resolver: Any) -> Any:
        raise NotImplementedError

    def resolveHostName(
        self, receiver: Any, name: str, addressTypes: list[type]
    ) -> None:
        assert verifyObject(IResolutionReceiver, receiver)
        if self.fails is not None:
            raise self.fails
        receiver.resolutionBegan(None)
        assert addressTypes == [IPv4Address]
        self.asked.append((name, receiver))


def test_addresses() -> None:
    """The addresses of one kind are heard; what is of another is passed over."""
    reactor, heard = Naming(), list[Answer[str]]()
    ReactorResolver(reactor).addresses("a", Family.IPV4, heard.append)
    ((name, receiver),) = reactor.asked
    receiver.addressResolved(IPv6Address("TCP", "::1", 0))
    receiver.addressResolved(HostnameAddress(b"a", 0))
    receiver.addressResolved(IPv4Address("TCP", "10.0.0.1", 0))
    assert (name, heard) == ("a", [])
    receiver.resolutionComplete()
    (answer,) = heard
    assert answer.found == ("10.0.0.1",)


def test_noAddresses() -> None:
    """A name without addresses is an answer."""
    reactor, heard = Naming(), list[Answer[str]]()
    ReactorResolver(reactor).addresses("a", Family.IPV4, heard.append)
    reactor.asked[0][1].resolutionComplete()
    (answer,) = heard
    assert (answer.found, answer.reason) == ((), "no such name")


@pytest.mark.parametrize("fails", [UnicodeError("label too long"), OSError(1, "It")])
def test_fails(fails: Exception) -> None:
    """A reactor that cannot look a name up at all has failed, and says so."""
    heard: list[Answer[str]] = []
    ReactorResolver(Naming(fails)).addresses("a", Family.IPV4, heard.append)
    (answer,) = heard
    assert (answer.found, answer.reason) == (None, str(fails))


def test_closed() -> None:
    """What is found after a stop is told to nobody."""
    reactor, heard = Naming(), list[Answer[str]]()
    resolver = ReactorResolver(reactor)
    resolver.addresses("a", Family.IPV4, heard.append)
    resolver.close()
    reactor.asked[0][1].resolutionComplete()
    assert heard == []


def test_noNames() -> None:
    """A reactor that looks up no names fails at each, which is said."""
    heard: list[Answer[str]] = []
    ReactorResolver(Clock()).addresses("a", Family.IPV4, heard.append)
    (answer,) = heard
    assert (answer.found, answer.reason) == (None, "this reactor looks up no names")


def test_noServices() -> None:
    """A reactor's resolver knows nothing of services."""
    with pytest.raises(NotImplementedError):
        ReactorResolver(Clock()).services("_web._tcp.internal", print)
