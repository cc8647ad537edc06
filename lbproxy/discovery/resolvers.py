"""The resolvers that a reactor can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from .answers import Answer, Family, Resolver, Service
from .dnsclient import DnsResolver
from .names import Servers
from .system import SystemResolver

_Kind = type[IPv4Address] | type[IPv6Address]

_KINDS: Mapping[Family, _Kind] = {Family.IPV4: IPv4Address, Family.IPV6: IPv6Address}


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

    def addresses(
        self, name: str, family: Family, heard: Callable[[Answer[str]], object]
    ) -> None:
        """Look up the addresses of a host; see L{Resolver.addresses}."""
        reason = "this reactor looks up no names"
        if IReactorPluggableNameResolver.providedBy(self._reactor):
            kind = _KINDS[family]
            receiver = _Receiver(kind, lambda found: self._closed or heard(found))
            try:
                self._reactor.nameResolver.resolveHostName(
                    receiver, name, addressTypes=[kind]
                )
            except Exception as error:
                # A name without any answer would not be looked up again.
                reason = str(error) or type(error).__name__
            else:
                return
        heard(Answer(None, reason=reason))

    def services(self, name: str, heard: Callable[[Answer[Service]], object]) -> None:
        """A reactor's resolver knows nothing of services."""
        raise NotImplementedError

    def close(self) -> None:
        """Tell nobody any more."""
        self._closed = True


@implementer(IResolutionReceiver)
class _Receiver:
    """Gathers the addresses of one kind that a resolver tells of, one by one."""

    def __init__(self, kind: _Kind, heard: Callable[[Answer[str]], object]) -> None:
        self._kind = kind
        self._heard = heard
        self._found: list[str] = []

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """Nothing is known yet."""

    def addressResolved(self, address: IAddress) -> None:
        """There is an address."""
        # A resolver may tell of the other kind too.
        if isinstance(address, self._kind):
            self._found.append(address.host)

    def resolutionComplete(self) -> None:
        """There are no more."""
        self._heard(Answer(tuple(self._found), reason="no such name"))
