"""Names are looked up with real DNS servers, good ones and bad ones."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread

from lbproxy.discovery.answers import Answer, Family, Resolver, Service
from lbproxy.discovery.dnsclient import TOTAL, DnsResolver
from lbproxy.streams.alarm import ClockAlarm, alarmFor
from lbproxy.streams.wheel import Wheel

from .daemon import PATIENCE
from .nameserver import (
    Misbehaviour,
    NameServer,
    cutOff,
    garbage,
    otherName,
    wrongNumber,
)

NAME = "web.test"
SERVICE = "_http._tcp.web.test"
MANY = [f"10.0.{n // 256}.{n % 256}" for n in range(4000)]

Looking = Callable[..., DnsResolver]


def held() -> tuple[int, int]:
    """What a resolver may hold: descriptors, and delayed calls of the reactor."""
    return len(os.listdir("/dev/fd")), len(reactor.getDelayedCalls())


def until(happened: Callable[[], object], clock: Clock | None = None) -> Deferred[None]:
    """Let the reactor run until something has happened, and time pass."""

    @pytest_twisted.inlineCallbacks
    def wait():
        for _ in range(int(PATIENCE / 0.005)):
            if happened():
                return
            if clock is not None:
                clock.advance(1 / 16)
            yield deferLater(reactor, 0.005)
        raise AssertionError("it does not happen")

    return wait()


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """The hosts file."""
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n192.0.2.1 here.test\n::1 six.test\n")
    return path


@pytest.fixture
def looking(hosts: Path) -> Iterator[Looking]:
    """Make resolvers, which hold nothing while they do nothing, and after the test."""
    wheel = Wheel(alarmFor(reactor))
    # The reactor opens some descriptors when it begins to run.
    pytest_twisted.blockon(deferLater(reactor, 0))
    before = held()
    made: list[DnsResolver] = []

    def looking(*servers: Any, wheel: Wheel = wheel) -> DnsResolver:
        addresses = [getattr(each, "address", each) for each in servers]
        made.append(DnsResolver(reactor, wheel, addresses, str(hosts)))
        return made[-1]

    yield looking
    wheel.close()
    # Whoever serves has a socket for each TCP connection until it has seen the end.
    pytest_twisted.blockon(until(lambda: held() == before))
    for each in made:
        each.close()
    assert held() == before


def addresses(resolver: Resolver, name: str = NAME) -> Deferred[dict[str, Answer[str]]]:
    """Look addresses up; the answers by the names of the families."""
    heard: Deferred[Any] = Deferred()
    answers: dict[str, Answer[str]] = {}

    def have(family: Family, answer: Answer[str]) -> None:
        assert family not in answers
        answers[family] = answer
        if len(answers) == len(Family):
            heard.callback(answers)

    for family in Family:
        resolver.addresses(name, family, partial(have, family))
    assert not answers
    return heard.addTimeout(PATIENCE, reactor)


def services(resolver: Resolver, name: str = SERVICE) -> Deferred[Answer[Service]]:
    """Look services up."""
    heard: Deferred[Any] = Deferred()
    resolver.services(name, heard.callback)
    assert not heard.called
    return heard.addTimeout(PATIENCE, reactor)


@pytest_twisted.inlineCallbacks
def test_addresses(looking: Looking, nameserver: NameServer):
    """Both families are found, each with its own TTL; a change is seen at once."""
    resolver = looking(nameserver)
    nameserver.answer(NAME, "A", "10.0.0.1", "10.0.0.2", ttl=7)
    nameserver.answer(NAME, "AAAA", "2001:db8::1", ttl=9)
    assert (yield addresses(resolver, "Web.Test.")) == {
        Family.IPV4: Answer(("10.0.0.1", "10.0.0.2"), 7),
        Family.IPV6: Answer(("2001:db8::1",), 9),
    }
    nameserver.answer(NAME, "A", "10.0.0.3", ttl=1)
    nameserver.answer(NAME, "AAAA")
    assert (yield addresses(resolver)) == {
        Family.IPV4: Answer(("10.0.0.3",), 1),
        Family.IPV6: Answer((), 60, "it has no AAAA records"),
    }
    assert nameserver.asked(NAME) == 4
    assert nameserver.asked(NAME, "A", "udp") == 2


@pytest_twisted.inlineCallbacks
def test_services(looking: Looking, nameserver: NameServer):
    """Services are found with all that their records say."""
    resolver = looking(nameserver)
    nameserver.answer(
        SERVICE, "SRV", (10, 5, 80, "A.test"), (20, 0, 81, "b.test"), ttl=5
    )
    assert (yield services(resolver)) == Answer(
        (Service(10, 5, 80, "a.test"), Service(20, 0, 81, "b.test")), 5
    )
    nameserver.answer(SERVICE, "SRV", (0, 0, 0, ""), ttl=5)
    assert (yield services(resolver)) == Answer((), 5, "the service is not offered")
    nameserver.forget(SERVICE)
    assert (yield services(resolver)) == Answer((), 60, "there is no such name")


@pytest_twisted.inlineCallbacks
def test_aliases(looking: Looking, nameserver: NameServer):
    """Aliases are followed, whether the answer has their end or not."""
    resolver = looking(nameserver)
    nameserver.answer("www.test", "CNAME", "mid.test", ttl=50)
    nameserver.answer("mid.test", "CNAME", NAME, ttl=3)
    nameserver.answer(NAME, "A", "10.0.0.1", ttl=20)
    for recursive in (True, False):
        nameserver.recursive = recursive
        found = yield addresses(resolver, "www.test")
        assert found[Family.IPV4] == Answer(("10.0.0.1",), 3)
        assert found[Family.IPV6] == Answer((), 3, "it has no AAAA records")
        assert nameserver.asked("mid.test", "A") == int(not recursive)
        assert nameserver.asked(NAME, "A") == int(not recursive)
    # That there is nothing does not hold for longer than the aliases.
    nameserver.forget(NAME)
    found = yield addresses(resolver, "www.test")
    assert found[Family.IPV4] == Answer((), 3, "there is no such name")


@pytest.mark.parametrize("recursive", [True, False])
@pytest_twisted.inlineCallbacks
def test_circles(looking: Looking, nameserver: NameServer, recursive: bool):
    """Aliases that lead in a circle, or on and on, end as a failure."""
    resolver = looking(nameserver)
    nameserver.recursive = recursive
    nameserver.answer("a.test", "CNAME", "b.test")
    nameserver.answer("b.test", "CNAME", "a.test")
    for number in range(30):
        nameserver.answer(f"n{number}.test", "CNAME", f"n{number + 1}.test")
    found = yield addresses(resolver, "a.test")
    assert found[Family.IPV4].found is None
    assert "its aliases lead" in found[Family.IPV4].reason
    assert nameserver.asked("a.test", "A") <= 5
    if not recursive:
        found = yield addresses(resolver, "n0.test")
        assert found[Family.IPV4].found is None
        assert nameserver.asked("n8.test", "A") == 1
        assert nameserver.asked("n9.test", "A") == 0


@pytest_twisted.inlineCallbacks
def test_nothing(looking: Looking, nameserver: NameServer):
    """That there is nothing is an answer, which holds as long as the SOA says."""
    resolver = looking(nameserver)
    for ttl in (12, None):
        nameserver.negativeTtl = ttl
        for family in (yield addresses(resolver)).values():
            assert family == Answer((), ttl, "there is no such name")
        nameserver.answer(NAME, "A")
        found = yield addresses(resolver)
        assert found[Family.IPV4] == Answer((), ttl, "it has no A records")
        nameserver.forget(NAME)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("SERVFAIL", "the server failed"),
        ("REFUSED", "the server refused to answer"),
        ("FORMERR", "the server did not understand the question"),
        ("NOTIMP", "the server does not answer such questions"),
    ],
)
@pytest_twisted.inlineCallbacks
def test_failures(looking: Looking, nameserver: NameServer, code: str, reason: str):
    """A failure is no answer; the next server is asked at once, if there is one."""
    nameserver.fail(NAME, code)
    for family in (yield addresses(looking(nameserver))).values():
        assert family == Answer(None, None, reason)
    assert nameserver.asked(NAME, "A") == 1
    with NameServer() as other:
        other.answer(NAME, "A", "10.0.0.9")
        found = yield addresses(looking(nameserver, other))
        assert found[Family.IPV4].found == ("10.0.0.9",)
        other.fail(NAME)
        found = yield addresses(looking(nameserver, other))
    reasons = dict.fromkeys([reason, "the server failed"])
    assert found[Family.IPV4] == Answer(None, None, ", ".join(reasons))


@pytest_twisted.inlineCallbacks
def test_oneFamilyFails(looking: Looking, nameserver: NameServer):
    """What is found of one family counts although the other one fails."""

    def onlyA(question: Any, right: bytes) -> bytes:
        return right if question.queries[0].type == 1 else cutOff(question, right)

    resolver = looking(nameserver)
    nameserver.answer(NAME, "A", "10.0.0.1")
    nameserver.misbehave(NAME, onlyA)
    assert (yield addresses(resolver)) == {
        Family.IPV4: Answer(("10.0.0.1",), 60),
        Family.IPV6: Answer(None, None, "the server's answer makes no sense"),
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest_twisted.inlineCallbacks
def test_nobodyThere(looking: Looking, host: str):
    """A port that nobody listens on is a failure at once; the next server is asked."""
    with NameServer(host) as gone:
        pass
    found = yield addresses(looking(gone))
    assert found[Family.IPV6] == Answer(None, None, "connection refused")
    with NameServer(host) as other:
        other.answer(NAME, "A", "10.0.0.9")
        found = yield addresses(looking(gone, other))
        assert found[Family.IPV4].found == ("10.0.0.9",)
        assert found[Family.IPV6].found == ()


@pytest.mark.parametrize(
    "how", [None, garbage, wrongNumber, otherName], ids=lambda how: str(how)[:20]
)
@pytest_twisted.inlineCallbacks
def test_silence(looking: Looking, nameserver: NameServer, how: Misbehaviour | None):
    """
    Who says nothing, or nothing to the question, is asked again; another server after
    a second; and then it is over.
    """
    clock = Clock()
    if how is None:
        nameserver.silent(NAME)
    else:
        nameserver.answer(NAME, "A", "192.0.2.66")
        nameserver.misbehave(NAME, how)
    lonely = looking(nameserver, wheel=Wheel(ClockAlarm(clock)))
    heard = addresses(lonely)
    yield until(lambda: heard.called, clock)
    found = yield heard
    assert found == dict.fromkeys(Family, Answer(None, None, "no answer in 10s"))
    assert TOTAL <= clock.seconds() < TOTAL + 0.1
    assert nameserver.asked(NAME, "A") == nameserver.asked(NAME, "AAAA") == 4
    assert not clock.getDelayedCalls()
    with NameServer() as other:
        other.answer(NAME, "A", "10.0.0.9")
        found = yield addresses(looking(nameserver, other))
        assert found[Family.IPV4].found == ("10.0.0.9",)


@pytest_twisted.inlineCallbacks
def test_latecomers(looking: Looking, nameserver: NameServer):
    """A question that gets lost is asked again; one slow name holds up no other."""
    resolver = looking(nameserver)
    nameserver.silent(NAME)
    nameserver.answer("fast.test", "A", "10.0.0.1")
    heard = addresses(resolver)
    yield until(lambda: nameserver.asked(NAME) == 2)
    found = yield addresses(resolver, "fast.test")
    assert found[Family.IPV4].found == ("10.0.0.1",)
    assert not heard.called
    nameserver.answer(NAME, "A", "10.0.0.2")
    assert (yield heard)[Family.IPV4].found == ("10.0.0.2",)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest_twisted.inlineCallbacks
def test_long(looking: Looking, host: str):
    """An answer that is too long for a datagram is asked for by TCP, whole."""
    with NameServer(host) as server:
        server.answer(NAME, "A", *MANY, ttl=8)
        server.answer(SERVICE, "SRV", *((n, 1, n, "a.test") for n in range(900)))
        resolver = looking(server)
        found = yield addresses(resolver)
        assert found[Family.IPV4] == Answer(tuple(MANY), 8)
        assert len((yield services(resolver)).found) == 900
        # More of them than there are connections at once.
        many = yield gatherResults([addresses(resolver) for _ in range(9)])
        assert all(each[Family.IPV4] == found[Family.IPV4] for each in many)
        assert server.asked(NAME, "A", "tcp") == 10


@pytest_twisted.inlineCallbacks
def test_longTroubles(looking: Looking, nameserver: NameServer):
    """A server that fails by TCP has failed, for that answer."""

    def onlyUdp(question: Any, right: bytes) -> bytes:
        return right if len(right) <= 512 else cutOff(question, right)

    nameserver.answer(NAME, "A", *MANY[:100])
    nameserver.misbehave(NAME, onlyUdp)
    found = yield addresses(looking(nameserver))
    assert found[Family.IPV4].reason == "the server's answer makes no sense"
    assert found[Family.IPV6].found == ()


@pytest.mark.parametrize(
    ("listens", "reason"),
    [
        (False, "connection refused (by TCP)"),
        (True, "it closed without an answer (by TCP)"),
    ],
)
@pytest_twisted.inlineCallbacks
def test_onlyUdp(looking: Looking, listens: bool, reason: str):
    """A server that cuts its answers off and has none by TCP has failed."""
    # A port that is free for TCP is seldom taken for UDP; the other way round, it is
    # often one of a connection that was closed a while ago.
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(tcp.getsockname())
        if listens:
            tcp.listen()
        heard = services(looking(udp.getsockname()))
        question, peer = yield deferToThread(udp.recvfrom, 512)
        udp.sendto(question[:2] + b"\x83\x80" + question[4:], peer)
        if listens:
            connected, _ = yield deferToThread(tcp.accept)
            yield deferToThread(connected.recv, 512)
            connected.close()
        assert (yield heard) == Answer(None, None, reason)


@pytest_twisted.inlineCallbacks
def test_hostsFile(looking: Looking, nameserver: NameServer, hosts: Path):
    """Names of the hosts file are not asked about, as with the system's resolver."""
    resolver = looking(nameserver)
    nameserver.answer("here.test", "AAAA", "2001:db8::1")
    nameserver.answer("six.test", "A", "10.0.0.1")
    other: Answer[str] = Answer((), None, "the hosts file has other addresses")
    assert (yield addresses(resolver, "here.test")) == {
        Family.IPV4: Answer(("192.0.2.1",)),
        Family.IPV6: other,
    }
    assert (yield addresses(resolver, "Six.Test.")) == {
        Family.IPV4: other,
        Family.IPV6: Answer(("::1",)),
    }
    found = yield addresses(resolver, "localhost")
    assert found[Family.IPV4].found == ("127.0.0.1",)
    assert not nameserver.asked("here.test") + nameserver.asked("six.test")
    hosts.write_text("")
    found = yield addresses(resolver, "six.test")
    assert found[Family.IPV4].found == ("10.0.0.1",)


@pytest.mark.parametrize(
    "name", ["", ".", "a..test", ".test", "a" * 64 + ".test", "a b.test", "a." * 128]
)
@pytest_twisted.inlineCallbacks
def test_noNames(looking: Looking, nameserver: NameServer, name: str):
    """What DNS can have no name of is not asked about."""
    reason = "it cannot be the name of a host"
    resolver = looking(nameserver)
    found = yield addresses(resolver, name)
    assert found == dict.fromkeys(Family, Answer(None, None, reason))
    assert (yield services(resolver, name)).reason == reason


@pytest_twisted.inlineCallbacks
def test_noServers(looking: Looking):
    """Without servers there is no answer, and that is said."""
    found = yield addresses(looking())
    assert found == dict.fromkeys(
        Family, Answer(None, None, "there is no server to ask")
    )


@pytest.mark.parametrize("name", [NAME, "long.test"])
@pytest_twisted.inlineCallbacks
def test_close(looking: Looking, nameserver: NameServer, name: str):
    """A resolver that is closed has no socket, and says no more."""

    def onlyUdp(question: Any, right: bytes) -> bytes:
        return right if len(right) <= 512 else b""

    nameserver.silent(NAME)
    nameserver.answer("long.test", "A", *MANY[:100])
    nameserver.answer("long.test", "AAAA", *(f"2001:db8::{n}" for n in range(1, 100)))
    nameserver.misbehave("long.test", onlyUdp)
    clock = Clock()
    resolver = looking(nameserver, wheel=Wheel(ClockAlarm(clock)))
    heard: list[object] = []
    before = held()
    for _ in range(9):
        for family in Family:
            resolver.addresses(name, family, heard.append)
    clock.advance(0.1)
    yield until(lambda: nameserver.asked(name, over="udp") == 18)
    if name != NAME:
        yield until(lambda: nameserver.asked(name, over="tcp") == 4)
    resolver.addresses("later.test", Family.IPV4, heard.append)
    assert held() > before
    resolver.close()
    resolver.close()
    assert not clock.getDelayedCalls()
    resolver.addresses("never.test", Family.IPV4, heard.append)
    yield until(lambda: held() == before)
    clock.advance(60)
    assert not heard
    assert not nameserver.asked("later.test") + nameserver.asked("never.test")


@pytest_twisted.inlineCallbacks
def test_closeWhenHeard(looking: Looking, nameserver: NameServer):
    """Whoever hears an answer may close the resolver, or look up the next name."""
    resolver = looking(nameserver)
    heard: list[object] = []

    def again(answers: object) -> None:
        heard.append(answers)
        resolver.addresses(NAME, Family.IPV4, heard.append)
        resolver.close()

    resolver.addresses("here.test", Family.IPV4, heard.append)
    resolver.addresses(NAME, Family.IPV4, again)
    resolver.addresses("six.test", Family.IPV4, heard.append)
    yield until(lambda: len(heard) == 3)


@pytest_twisted.inlineCallbacks
def test_closeOnError(looking: Looking):
    """An error that is one of several lookups ends none that were given up on it."""
    with NameServer() as gone:
        pass
    resolver = looking(gone)
    heard: list[object] = []

    def close(answer: Answer[Service]) -> None:
        heard.append(answer.reason)
        resolver.close()

    resolver.services(SERVICE, close)
    resolver.addresses(NAME, Family.IPV4, heard.append)
    resolver.services("other.test", heard.append)
    yield until(lambda: heard)
    yield deferLater(reactor, 0.05)
    assert heard == ["connection refused"]


def test_noDescriptors(looking: Looking, nameserver: NameServer):
    """Without a descriptor left, a lookup fails at once, and says why."""
    clock = Clock()
    resolver = looking(nameserver, wheel=Wheel(ClockAlarm(clock)))
    heard: list[Any] = []
    resolver.addresses(NAME, Family.IPV4, heard.append)
    resolver.services(SERVICE, heard.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        clock.advance(0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    failed: Answer[Any] = Answer(None, None, "too many open files")
    assert heard == [failed, failed]


@pytest_twisted.inlineCallbacks
def test_thousand(looking: Looking, nameserver: NameServer):
    """A thousand names are looked up at once, over one socket."""
    resolver = looking(nameserver)
    yield addresses(resolver)
    nameserver.silent(NAME)
    (before, _), asked = held(), nameserver.asked(NAME)
    heard = gatherResults([addresses(resolver) for _ in range(1000)])
    # None of them is over: the socket is open as long as one is under way.
    yield until(lambda: nameserver.asked(NAME) - asked >= 2000)
    descriptors, _ = held()
    assert descriptors == before + 1
    nameserver.answer(NAME, "A", "10.0.0.1")
    for found in (yield heard):
        assert found[Family.IPV4].found == ("10.0.0.1",)
