"""What must be true when a round is over; each function yields what is not."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

from attrs import define, field, frozen
from twisted.logger import LogEvent, LogLevel, formatEvent
from zope.interface import implementer

from lbproxy import Connection, End, IConnectionObserver, Member
from lbproxy.balance.pool import Lease
from lbproxy.proxy.exchange import Exchange
from lbproxy.proxy.session import Session
from lbproxy.streams.transports import TransportStream
from lbproxy.streams.wheel import Entry, Wheel

from .peers import Peer

Fault = tuple[str, str]
"""What kind of thing is not as it should be, and what is known about it."""

_MIB = 1 << 20
_SLACK = 2 * _MIB
"""Bytes of one connection that may be on their way, in buffers of all sorts."""

_RECORD = 65536
"""Bytes that a TLS peer may have sent without knowing it yet, in its last piece."""

_SIDE = 64 * _MIB
_PROCESS = 256 * _MIB
"""Bytes a second that may be read to be thrown away."""

_SLICES = 2 / 16
"""Seconds by which a time may reach into slices of it that are counted whole."""


@implementer(IConnectionObserver)
class Records:
    """Keeps what observers are told."""

    def __init__(self) -> None:
        self.opens: list[Connection] = []
        self.closes: list[Connection] = []

    def opened(self, connection: Connection) -> None:
        """A connection came."""
        self.opens.append(connection)

    def closed(self, connection: Connection) -> None:
        """A connection is over."""
        self.closes.append(connection)


@frozen
class Holdings:
    """What a process holds, as far as it should be the same again afterwards."""

    descriptors: frozenset[str]
    threads: frozenset[str]
    readers: int
    writers: int
    calls: int

    @classmethod
    def of(cls, reactor: Any) -> Holdings:
        """Look at what there is now."""
        descriptors = set()
        for each in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{each}")
            except OSError:
                continue  # The one that lists them.
            # Twisted keeps one of these back for when it has no other.
            if target != "/dev/null":
                descriptors.add(f"{each}={target}")
        return cls(
            descriptors=frozenset(descriptors),
            threads=frozenset(each.name for each in threading.enumerate()),
            readers=len(reactor.getReaders()),
            writers=len(reactor.getWriters()),
            calls=len([each for each in reactor.getDelayedCalls() if each.active()]),
        )

    def faults(self, now: Holdings) -> Iterator[Fault]:
        """What is there now that was not there at first."""
        for what in ("descriptors", "threads"):
            more = getattr(now, what) - getattr(self, what)
            if more:
                yield what, f"left: {sorted(more)}"
        for what in ("readers", "writers", "calls"):
            before, after = getattr(self, what), getattr(now, what)
            if after > before:
                yield what, f"{after} instead of {before}"


def objects() -> Iterator[Fault]:
    """Nothing that a connection is made of is left, not even unreachable."""
    gc.collect()
    everything = gc.get_objects()
    for kind in (Session, Exchange, TransportStream, Lease):
        left = [each for each in everything if isinstance(each, kind)]
        if left:
            yield f"{kind.__name__} left", _shown(left)
    yield from leases(everything)
    wheels = [each for each in everything if isinstance(each, Wheel) and len(each)]
    if wheels:
        yield "wheel", f"{[len(each) for each in wheels]} entries"


def leases(everything: list[Any] | None = None) -> Iterator[Fault]:
    """No member is claimed by anybody."""
    for each in gc.get_objects() if everything is None else everything:
        if isinstance(each, Member) and each.active:
            yield "lease", f"{each.name} has {each.active}"


def entries() -> Iterator[Fault]:
    """No deadline of a connection is scheduled; those of logs may be."""
    for each in gc.get_objects():
        if isinstance(each, Entry) and each.scheduled:
            kind = type(each).__name__
            if kind != "Timer":
                yield "wheel", f"a {kind} is scheduled: {_shown([each])}"


def _shown(left: list[Any]) -> str:
    def slots(each: Any) -> dict[str, str]:
        names = {*getattr(each, "__dict__", ())}
        for base in type(each).__mro__:
            names.update(getattr(base, "__slots__", ()))
        return {
            name: repr(getattr(each, name))[:300]
            for name in sorted(names)
            if hasattr(each, name)
        }

    shown = "\n    ".join(f"{type(each).__name__} {slots(each)}" for each in left[:3])
    return f"{len(left)}:\n    {shown}"


def records(told: Records) -> Iterator[Fault]:
    """Every connection was told opened and closed exactly once, with a word."""
    opened = [each.id for each in told.opens]
    closed = [each.id for each in told.closes]
    if len(set(opened)) != len(opened):
        yield "opened twice", str(sorted(opened))
    twice = {each for each in closed if closed.count(each) > 1}
    if twice:
        yield "closed twice", str(twice)
    never = [each for each in told.opens if each.id not in set(closed)]
    if never:
        yield "never closed", "\n    ".join(map(str, never[:5]))
    if set(closed) - set(opened):
        yield "closed, never opened", str(set(closed) - set(opened))
    for each in told.closes:
        if not isinstance(each.end, End):
            yield "no word", str(each)
        elif each.end is End.INTERNAL_ERROR:
            yield "a mistake", str(each)


_OURS = ("lbproxy.proxy.pluginerrors",)
_ALLOWED = ("A dial could not be cancelled",)


def logged(events: list[LogEvent]) -> Iterator[Fault]:
    """Nothing was logged as failed but what plugins did."""
    for event in events:
        bad = "log_failure" in event or event.get("log_level") is LogLevel.critical
        text = formatEvent(event)
        if event.get("log_namespace", "").startswith(_OURS) or text in _ALLOWED:
            continue
        if bad:
            failure = event.get("log_failure")
            more = "" if failure is None else failure.getTraceback()
            yield "logged", f"{event.get('log_namespace')}: {text}\n{more}"


@define
class Pair:
    """
    A client, the backend that served it, and the record of their connection.

    @ivar halfClose: Whether its listener lets one direction go on alone.
    @ivar exact: Whether it went over nothing but sockets.
    """

    client: Peer
    record: Connection
    backend: Peer | None = None
    halfClose: bool = True
    exact: bool = True
    told: list[str] = field(factory=list)

    def __str__(self) -> str:
        return (
            f"{self.record}\n    plugins: {self.told}\n    client {self.client}"
            f"\n    backend {self.backend}"
        )


def heard(peers: dict[int, Peer]) -> Iterator[Fault]:
    """What arrived is a prefix of what one other peer has said, and no other's."""
    for peer in peers.values():
        ear = peer.ear
        if peer.kind == "astray" or ear.key is None:
            continue
        other = peers.get(ear.key)
        if ear.wrong:
            yield "bytes", f"{ear.wrong}: {peer}\n    {other}"
        elif other is None:
            yield "bytes", f"from nobody: {peer}"
        elif ear.heard > other.said + (_RECORD if other.kind == "tls" else 0):
            yield "bytes", f"more than was said: {peer}\n    {other}"
        elif other.ear.key not in (None, peer.key):
            yield "bytes", f"crossed: {peer}\n    {other}"


def volumes(pairs: list[Pair], seconds: float) -> Iterator[Fault]:
    """No more was read than was delivered, or may be thrown away in the time."""
    read = delivered = 0
    for pair in pairs:
        record = pair.record
        if not pair.exact or record.closed is None:
            continue
        age = record.closed - record.opened
        backend = pair.backend.ear.heard if pair.backend is not None else 0
        sides = (
            (record.bytesFromClient, backend),
            (record.bytesFromBackend, pair.client.ear.heard),
        )
        for came, went in sides:
            read, delivered = read + came, delivered + went
            if came > went + _SLACK + _SIDE * (age + _SLICES):
                yield "too much read", f"{came}, and {went} delivered: {pair}"
    most = delivered + len(pairs) * _SLACK + _PROCESS * (seconds + _SLICES)
    if read > most:
        yield "too much read", f"{read}, and {delivered} delivered, in {seconds} s"


def wholes(pairs: list[Pair]) -> Iterator[Fault]:
    """What ends in good order is all of it; a cut is seen as one."""
    for pair in pairs:
        if not pair.exact or pair.backend is None:
            continue
        both = (pair.client, pair.backend)
        sockets = {each.kind for each in both} <= {"tcp", "unix"}
        for hears, says in (both, both[::-1]):
            if not hears.sawEnd or hears.kind not in ("tcp", "tls"):
                continue
            asked = bool(hears.left) and not (sockets and pair.halfClose)
            if says.left == "reset" and says.kind != "unix" and not hears.left:
                yield "a cut looks whole", str(pair)
            elif says.left == "end" and not asked and hears.heardAtEnd != says.said:
                yield "the end of it is missing", str(pair)
