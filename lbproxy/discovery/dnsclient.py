"""Looks names up by asking DNS servers, without a thread for those that are slow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Any

from attrs import evolve
from twisted.internet.defer import DeferredSemaphore
from twisted.names import dns

from ..streams.wheel import TICKS, Timer, Wheel
from .answers import Answer, Family, Service
from .dnsmessages import Alias, Question
from .dnsservers import DnsServer, Inquiry
from .hostsfile import HostsFile
from .resolvconf import Server

TOTAL = 10.0
"""Seconds that one lookup may take, with all servers, tries and aliases."""

_ALIASES = 8
"""How often a lookup asks on about a name that an answer leads to."""

_CONNECTIONS = 4
"""TCP connections at once; few answers are too long for a datagram."""

_BURST = 10
"""
Lookups that begin in one tick of the wheel: 1,280 a second.  With ten times as many, a
server on the same machine, written in Python, had read 487 of 2,000 questions before
the first was sent again; with these it read all of them.
"""

_KINDS = {Family.IPV4: dns.A, Family.IPV6: dns.AAAA}

_NOT_A_NAME: Answer[Any] = Answer(None, reason="it cannot be the name of a host")
_NOT_IN_FILE: Answer[Any] = Answer((), reason="the hosts file has other addresses")
_TOO_MANY: Answer[Any] = Answer(None, reason="its aliases lead on to too many others")


class DnsResolver:
    """
    Asks DNS servers about names, after the hosts file.

    A name that the hosts file has is not asked about at all, as with the system's
    resolver; its addresses have no TTL.  All names are absolute.  A server that fails
    or refuses is followed by the next one at once, and one that is silent after a
    second; after 10 s a lookup has failed.  Answers that are too long for UDP are asked
    for again by TCP.
    """

    def __init__(
        self,
        reactor: Any,
        wheel: Wheel,
        servers: Sequence[Server],
        hostsFile: str = "/etc/hosts",
    ) -> None:
        """
        @param reactor: It watches descriptors and connects.
        @param servers: They are asked in this order.
        @param hostsFile: The path of the hosts file.
        """
        places = DeferredSemaphore(_CONNECTIONS)
        self._servers = [DnsServer(reactor, each, places) for each in servers]
        self._wheel = wheel
        self._hosts = HostsFile(hostsFile)
        self._lookups: set[_Lookup] = set()
        self._waiting = 0
        self._closed = False

    def addresses(
        self, name: str, family: Family, heard: Callable[[Answer[str]], object]
    ) -> None:
        """
        Look up the addresses of a host, of one family.

        @param name: With or without a dot at its end.
        @param heard: Called once, and not within this call.
        """
        self._add(_Lookup(name, _KINDS[family], heard))

    def services(self, name: str, heard: Callable[[Answer[Service]], object]) -> None:
        """
        Look up where a service is.

        @param name: With the labels of service and protocol: C{_http._tcp.example.org}.
        @param heard: Called once, and not within this call.
        """
        self._add(_Lookup(name, dns.SRV, heard))

    def close(self) -> None:
        """
        Give up all lookups.

        Nothing is heard any more, and all sockets are closed, TCP connections in the
        reactor's next turn.
        """
        self._closed = True
        while self._lookups:
            self._lookups.pop().stop()

    def _add(self, lookup: _Lookup) -> None:
        """Begin a lookup soon: never within the call that asks for it."""
        if not self._closed:
            self._lookups.add(lookup)
            delay = self._waiting // _BURST / TICKS
            self._waiting += 1
            lookup.timer = self._wheel.call(delay, partial(self._begin, lookup))

    def _begin(self, lookup: _Lookup) -> None:
        self._waiting -= 1
        told = partial(self._have, lookup)
        known = self._known(lookup)
        if known is not None:
            told(known)
            return
        until = self._wheel.now() + TOTAL
        lookup.chase = _Chase(self._servers, self._wheel, until, told)
        lookup.chase.ask(Question.about(lookup.name, lookup.kind))

    def _known(self, lookup: _Lookup) -> Answer[Any] | None:
        """What is known of a name without asking for it."""
        try:
            Question.about(lookup.name, dns.A)
        except ValueError:
            return _NOT_A_NAME
        hosts = {} if lookup.kind == dns.SRV else self._hosts.addresses(lookup.name)
        if not hosts:
            return None
        for family, found in hosts.items():
            if _KINDS[family] == lookup.kind:
                return Answer(found)
        return _NOT_IN_FILE

    def _have(self, lookup: _Lookup, answer: Answer[Any]) -> None:
        self._lookups.discard(lookup)
        lookup.chase = None
        lookup.heard(answer)


class _Lookup:
    """
    One lookup of a name.

    @ivar kind: The kind of records that are looked up.
    @ivar heard: Called with the answer.
    """

    def __init__(
        self, name: str, kind: int, heard: Callable[[Answer[Any]], object]
    ) -> None:
        self.name = name
        self.kind = kind
        self.heard = heard
        self.chase: _Chase | None = None
        self.timer: Timer | None = None

    def stop(self) -> None:
        """Give it up."""
        if self.timer is not None:
            self.timer.cancel()
        if self.chase is not None:
            self.chase.stop()


class _Chase:
    """Asks for one kind of records, and on as long as names are aliases."""

    def __init__(
        self,
        servers: Sequence[DnsServer],
        wheel: Wheel,
        until: float,
        told: Callable[[Answer[Any]], object],
    ) -> None:
        self._servers = servers
        self._wheel = wheel
        self._until = until
        self._told = told
        self._inquiry: Inquiry | None = None
        self._aliases = 0
        self._ttl = inf

    def ask(self, question: Question) -> None:
        """Ask a question, the first one or a further one."""
        self._inquiry = Inquiry(
            self._servers, self._wheel, question, self._until, self._heard
        )
        self._inquiry.begin()

    def stop(self) -> None:
        """Ask no more."""
        if self._inquiry is not None:
            self._inquiry.stop()

    def _heard(self, answer: Answer[Any] | Alias) -> None:
        self._inquiry = None
        if isinstance(answer, Answer):
            ttl = None if answer.ttl is None else min(answer.ttl, self._ttl)
            self._told(evolve(answer, ttl=ttl))
        elif self._aliases < _ALIASES:
            self._aliases += 1
            self._ttl = min(self._ttl, answer.ttl)
            self.ask(answer.question)
        else:
            self._told(_TOO_MANY)
