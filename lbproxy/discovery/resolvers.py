"""The resolvers that a reactor can have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IReactorPluggableNameResolver,
    IReactorThreads,
    IResolutionReceiver,
)
from zope.interface import implementer

from ..streams.wheel import Wheel
from .answers import Addresses, Answer, Family, Resolver, Service
from .dnsclient import DnsResolver
from .names import Servers
from .system import SystemResolver


def resolverFor(reactor: Any, wheel: Wheel, servers: Servers | None) -> Resolver:
    """
    Make a resolver.

    @param servers: The DNS servers to ask; L{None} for the system's resolver, or for
        that of a reactor without threads.
    """
    if servers is not None:
        return DnsResolver(reactor, wheel, servers)
    if IReactorThreads.providedBy(reactor):
        return SystemResolver(reactor)
    return ReactorResolver(reactor)


class ReactorResolver:
    """Looks up addresses with the resolver of a reactor, as far as it has one."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._closed = False

    def addresses(self, name: str, heard: Callable[[Addresses], object]) -> None:
        """Look up the addresses of a host; see L{Resolver.addresses}."""
        if IReactorPluggableNameResolver.providedBy(self._reactor):
            receiver = _Receiver(lambda found: self._closed or heard(found))
            self._reactor.nameResolver.resolveHostName(receiver, name)
        else:
            none: Answer[str] = Answer(None, reason="this reactor looks up no names")
            heard(dict.fromkeys(Family, none))

    def services(self, name: str, heard: Callable[[Answer[Service]], object]) -> None:
        """A reactor's resolver knows nothing of services."""
        raise NotImplementedError

    def close(self) -> None:
        """Tell nobody any more."""
        self._closed = True


@implementer(IResolutionReceiver)
class _Receiver:
    """Gathers the addresses that a reactor's resolver tells of, one by one."""

    def __init__(self, heard: Callable[[Addresses], object]) -> None:
        self._heard = heard
        self._found: dict[Family, list[str]] = {each: [] for each in Family}

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """Nothing is known yet."""

    def addressResolved(self, address: IAddress) -> None:
        """There is an address."""
        if isinstance(address, IPv4Address):
            self._found[Family.IPV4].append(address.host)
        elif isinstance(address, IPv6Address):
            self._found[Family.IPV6].append(address.host)

    def resolutionComplete(self) -> None:
        """There are no more."""
        self._heard(
            {
                family: Answer(tuple(found), reason="no such name")
                for family, found in self._found.items()
            }
        )
