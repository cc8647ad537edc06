"""The backends of names and of services follow what resolvers answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy import Backend, IDiscovery, IDiscoveryObserver
from lbproxy.discovery.answers import HOLD, Answer, Family, Service
from lbproxy.discovery.dns import DnsDiscovery, SrvDiscovery
from lbproxy.discovery.names import LATE, Asking, Names
from lbproxy.discovery.options import DnsOptions
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import Wheel

SERVICE = "_web._tcp.internal"
NONE: Answer[Any] = Answer((), reason="no such name")
FAILED: Answer[Any] = Answer(None, reason="the server failed")
ONE_HOST = DnsOptions(name="web.internal", port=80, resolveInterval=10.0)


class Scripted:
    """
    A resolver that answers at once what the test has set, and else when it says so.

    @ivar waiting: The lookups that are under way.
    """

    def __init__(self) -> None:
        self.set: dict[str, Answer[Any]] = {}
        self.waiting: dict[str, Callable[[Answer[Any]], object]] = {}

    def addresses(
        self, name: str, family: Family, heard: Callable[[Answer[str]], object]
    ) -> None:
        if family is Family.IPV4:
            self._ask(name, heard)
        else:
            heard(NONE)

    def services(self, name: str, heard: Callable[[Answer[Service]], object]) -> None:
        self._ask(name, heard)

    def _ask(self, name: str, heard: Callable[[Answer[Any]], object]) -> None:
        assert name not in self.waiting
        self.waiting[name] = heard
        if name in self.set:
            self.answer(name, self.set[name])

    def answer(self, name: str, answer: Answer[Any]) -> None:
        """Answer a lookup that is under way, and the next ones of the name."""
        self.set[name] = answer
        self.waiting.pop(name)(answer)

    def close(self) -> None:
        """Nothing is left to do."""


@implementer(IDiscoveryObserver)
class Told:
    """A discovery by names, and what it has told of, in order."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.resolver = Scripted()
        self.names = Names(Wheel(ClockAlarm(self.clock)), lambda _: self.resolver)
        self.said: list[str] = []
        self.backends: list[Backend] = []

    def host(self) -> Told:
        self.discovery: Any = DnsDiscovery(self.names, ONE_HOST)
        self.discovery.start(self)
        return self

    def service(self, *records: Service) -> Told:
        self.resolver.set[SERVICE] = Answer(records)
        self.discovery = SrvDiscovery(self.names, SERVICE, Asking())
        self.discovery.start(self)
        return self

    def found(self, backends: Iterable[Backend], why: str = "") -> None:
        self.backends = list(backends)
        self.said.append(f"found {' '.join(self.hosts)} ({why})")

    def failed(self, reason: str) -> None:
        self.said.append(f"failed: {reason}")

    @property
    def hosts(self) -> list[str]:
        return [each.connect.removeprefix("tcp:") for each in self.backends]

    def after(self, seconds: float = 0.2) -> list[str]:
        """What it says within so many seconds."""
        self.said.clear()
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
        return self.said[:]


def good(*addresses: str) -> Answer[str]:
    return Answer(addresses)


def at(target: str, priority: int = 1, weight: int = 1, port: int = 80) -> Service:
    return Service(priority, weight, port, target)


def test_provides() -> None:
    """A pool can run both kinds."""
    assert verifyObject(IDiscovery, Told().host().discovery)
    assert verifyObject(IDiscovery, Told().service().discovery)
    assert verifyObject(IDiscoveryObserver, Told())


# A host.


def test_aHost() -> None:
    """Each address is a backend that is verified by the name of its host."""
    told = Told().host()
    assert told.said == []
    told.resolver.answer("web.internal", good("10.0.0.2", "10.0.0.1"))
    assert told.said == [
        "found 10.0.0.1:80 10.0.0.2:80 (web.internal was looked up)",
    ]
    assert {each.hostName for each in told.backends} == {"web.internal"}
    told.resolver.set["web.internal"] = good("10.0.0.2")
    assert told.after(11.0) == ["found 10.0.0.2:80 (web.internal was looked up)"]


def test_aHostOfIPv6() -> None:
    """An address of IPv6 is written as endpoints have it."""
    told = Told().host()
    told.resolver.answer("web.internal", good("fd00::1"))
    assert told.hosts == [r"fd00\:\:1:80"]
    assert told.backends[0].description.text == r"tcp:fd00\:\:1:80"


def test_aHostThatIsKnown() -> None:
    """What another pool has looked up is there at the start."""
    told = Told().host()
    told.resolver.answer("web.internal", good("10.0.0.1"))
    told.said.clear()
    told.host()
    assert told.said == ["found 10.0.0.1:80 (web.internal was looked up)"]


def test_aHostThatFails() -> None:
    """Each trouble is told of, its end too, though the addresses are the same."""
    told = Told().host()
    told.resolver.answer("web.internal", good("10.0.0.1"))
    told.resolver.set["web.internal"] = FAILED
    assert told.after(20.0) == ["failed: the server failed"]
    told.resolver.set["web.internal"] = good("10.0.0.1")
    assert told.after(20.0) == ["found 10.0.0.1:80 (web.internal was looked up)"]


def test_aHostThatIsGone() -> None:
    """It is told of first as a trouble, and later with the reason why all went."""
    told = Told().host()
    told.resolver.answer("web.internal", good("10.0.0.1"))
    told.resolver.set["web.internal"] = NONE
    assert told.after(11.0) == ["failed: no such name"]
    # Once they are gone, the trouble goes on.
    assert told.after(HOLD + 9.0) == [
        "found  (web.internal: no such name)",
        "failed: no such name",
    ]
    assert told.after(60.0) == []


def test_aHostWithoutAnAnswer() -> None:
    """Silence is told of, and a late answer counts."""
    told = Told().host()
    assert told.after(LATE + 1) == ["failed: no answer in 10s"]
    told.resolver.answer("web.internal", good("10.0.0.1"))
    assert told.hosts == ["10.0.0.1:80"]


def test_aHostThatIsStopped() -> None:
    """Nothing is told after a stop, also of a lookup that was under way."""
    told = Told().host()
    told.discovery.stop()
    told.resolver.answer("web.internal", good("10.0.0.1"))
    assert told.after(60.0) == []
    assert not told.clock.calls


# A service.


def test_aService() -> None:
    """Each address of each target is a backend, with the target's port and weight."""
    told = Told()
    told.resolver.set |= {"a": good("10.0.0.1", "10.0.0.2"), "b": good("10.0.0.3")}
    told.service(at("a", weight=5, port=81), at("b", weight=0))
    assert told.after() == [
        f"found 10.0.0.3:80 10.0.0.1:81 10.0.0.2:81 ({SERVICE} was looked up)"
    ]
    # A weight of 0 is for "hardly ever".
    assert [each.weight for each in told.backends] == [1, 5, 5]
    assert [each.hostName for each in told.backends] == ["b", "a", "a"]


def test_oneAddressOfTwoTargets() -> None:
    """It is one backend, as the target has it that is used first."""
    told = Told()
    told.resolver.set |= {"a": good("10.0.0.1"), "b": good("10.0.0.1")}
    told.service(at("a", priority=2, weight=7), at("b", priority=1, weight=3))
    told.after()
    assert told.hosts == ["10.0.0.1:80"]
    assert (told.backends[0].weight, told.backends[0].hostName) == (3, "b")
    told.resolver.set[SERVICE] = Answer((at("a", port=1), at("b", port=2)))
    told.after(11.0)
    assert told.hosts == ["10.0.0.1:1", "10.0.0.1:2"]


def test_targetsComeAndGo() -> None:
    """The names of targets that are gone are looked up no more."""
    told = Told()
    told.resolver.set |= {"a": good("10.0.0.1"), "b": good("10.0.0.2")}
    told.service(at("a")).after()
    told.resolver.set[SERVICE] = Answer((at("a"), at("b")))
    told.after(11.0)
    assert told.hosts == ["10.0.0.1:80", "10.0.0.2:80"]
    told.resolver.set[SERVICE] = Answer((at("b"),))
    told.after(11.0)
    assert told.hosts == ["10.0.0.2:80"]
    del told.resolver.set["a"]
    told.after(30.0)
    assert not told.resolver.waiting


@pytest.mark.parametrize("known", [["b"], []])
def test_allTargetsAreOthers(known: list[str]) -> None:
    """The backends of before stay until those that replace them are known."""
    told = Told()
    told.resolver.set["a"] = good("10.0.0.1")
    told.resolver.set |= {name: good("10.0.0.2") for name in known}
    told.service(at("a")).after()
    told.resolver.set[SERVICE] = Answer((at("b"), at("c")))
    told.after(11.0)
    assert told.hosts[-1] == "10.0.0.1:80"
    for name in ("b", "c"):
        if name in told.resolver.waiting:
            told.resolver.answer(name, good("10.0.0.2" if name == "b" else "10.0.0.3"))
    told.after()
    assert told.hosts == ["10.0.0.2:80", "10.0.0.3:80"]


def test_theOnlyNewTargetFails() -> None:
    """A resolver that fails takes nothing away; an answer that it is not there does."""
    told = Told()
    told.resolver.set |= {"a": good("10.0.0.1"), "b": FAILED}
    told.service(at("a")).after()
    told.resolver.set[SERVICE] = Answer((at("b"),))
    assert "failed: b: the server failed" in told.after(60.0)
    assert told.hosts == ["10.0.0.1:80"]
    told.resolver.set["b"] = NONE
    told.after(60.0)
    assert told.hosts == []


def test_oneTargetIsSilent() -> None:
    """What it replaces stays until it is known to have no answer, and no longer."""
    told = Told()
    told.resolver.set |= {"a": good("10.0.0.1"), "b": good("10.0.0.2")}
    told.service(at("a")).after()
    told.resolver.set[SERVICE] = Answer((at("b"), at("silent")))
    told.after(11.0)
    assert told.hosts == ["10.0.0.2:80", "10.0.0.1:80"]
    assert "failed: silent: no answer in 10s" in told.after(LATE)
    assert told.hosts == ["10.0.0.2:80"]


def test_aTargetWithoutAnAddress() -> None:
    """The others are used, and the trouble names it."""
    told = Told()
    told.resolver.set |= {"a": good("10.0.0.1"), "b": NONE}
    told.service(at("a"), at("b"))
    assert told.after() == [
        f"found 10.0.0.1:80 ({SERVICE}: b: no such name)",
        "failed: b: no such name",
    ]
    told.resolver.set["b"] = good("10.0.0.2")
    assert told.after(2.0) == [
        f"found 10.0.0.1:80 10.0.0.2:80 ({SERVICE} was looked up)"
    ]


def test_notOffered() -> None:
    """A service that says that it is not offered loses its backends after a while."""
    told = Told()
    told.resolver.set["a"] = good("10.0.0.1")
    told.service(at("a")).after()
    told.resolver.set[SERVICE] = Answer((), reason="the service is not offered")
    assert told.after(11.0) == ["failed: the service is not offered"]
    assert told.hosts == ["10.0.0.1:80"]
    assert told.after(HOLD + 9.0) == [
        f"found  ({SERVICE}: the service is not offered)",
        "failed: the service is not offered",
    ]


def test_portZero() -> None:
    """A record with port 0 makes no backend that could never work; it is told of."""
    told = Told()
    told.resolver.set |= {"a": good("10.0.0.1"), "b": good("10.0.0.2")}
    told.service(at("a", priority=0, port=0), at("b", priority=1))
    assert told.after() == [
        f"found 10.0.0.2:80 ({SERVICE}: a: its port is 0)",
        "failed: a: its port is 0",
    ]
    assert "a" not in told.resolver.waiting


def test_thousandsOfTargets() -> None:
    """Answers in a burst are told of together, and so are troubles, in one line."""
    told = Told()
    records = [at(f"host{number}") for number in range(2000)]
    told.service(*records).after()
    for number in range(1000):
        told.resolver.answer(
            f"host{number}", good(f"10.0.{number // 250}.{number % 250}")
        )
    assert told.said == []
    assert len(told.after()) == 1
    assert len(told.backends) == 1000
    for number in range(1000, 2000):
        told.resolver.answer(f"host{number}", FAILED)
    (said,) = told.after()
    assert said.startswith("failed: host1000: the server failed; host1001: ")
    assert said.endswith("; and 995 more")


def test_aServiceThatIsStopped() -> None:
    """Nothing is told after a stop, and no target is looked up again."""
    told = Told()
    told.resolver.set["a"] = good("10.0.0.1")
    told.service(at("a"), at("b"))
    told.discovery.stop()
    told.resolver.answer("b", good("10.0.0.2"))
    assert told.after(60.0) == []
    assert not told.resolver.waiting
    assert not told.clock.calls
