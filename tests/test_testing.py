"""The network in memory behaves as Twisted's own transports and ports do."""

from __future__ import annotations

from random import Random
from tempfile import gettempdir

import pytest
from stories import A, B, Story
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTCP, IReactorUNIX, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy import Backend, End, IBackendPicker, ICandidates, LoadBalancer
from lbproxy.balance.pickers import RandomChoice, RoundRobin
from lbproxy.balance.pool import Pool
from lbproxy.testing import (
    MemoryNetwork,
    MemoryTransport,
    candidatesOf,
    checkAsyncPicker,
    checkPicker,
)

HERE = IPv4Address("TCP", "127.0.0.1", 1)


def test_interfaces() -> None:
    """They provide what they stand in for."""
    verifyObject(IReactorTCP, MemoryNetwork())
    verifyObject(IReactorUNIX, MemoryNetwork())
    transport = MemoryTransport(MemoryNetwork(), HERE, HERE)
    verifyObject(ITCPTransport, transport)
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(True)
    assert transport.getTcpNoDelay()
    assert transport.getTcpKeepAlive()
    assert transport.getHost() == transport.getPeer() == HERE


def test_theExample() -> None:
    """What the module's docstring shows is so."""
    network = MemoryNetwork()
    backend = network.backend("10.0.0.1", 80)
    balancer = LoadBalancer.fromEndpoints(network, ["tcp:8080"], ["tcp:10.0.0.1:80"])
    balancer.startService()
    client = network.client(8080)
    client.send(b"hello")
    network.settle()
    assert backend.accepted[0].received == b"hello"


def test_plainProtocol() -> None:
    """A protocol that knows no half-close is closed by the peer's end."""
    network = MemoryNetwork()
    transport = MemoryTransport(network, HERE, HERE)
    protocol = Protocol()
    transport.connect(protocol)
    transport.writeSequence([b"a", b"b"])
    transport.loseWriteConnection()
    network.settle()
    transport.write(b"too late")
    transport.far.end()
    network.settle()
    assert transport.far.received == b"ab"
    assert transport.far.closed


def test_producerKeepsItOpen() -> None:
    """As with Twisted, nothing closes while something is registered."""
    network = MemoryNetwork()
    transport = MemoryTransport(network, HERE, HERE)
    transport.connect(Protocol())
    other = MemoryTransport(network, HERE, HERE)
    other.connect(Protocol())
    transport.registerProducer(other, True)
    with pytest.raises(RuntimeError):
        transport.registerProducer(other, True)
    transport.stopProducing()
    network.settle()
    assert not transport.far.closed
    transport.unregisterProducer()
    network.settle()
    assert transport.far.closed


class Nobody(Factory):
    def buildProtocol(self, addr):
        return None


def test_ports() -> None:
    """A port is taken once; what it does not want is closed."""
    network = MemoryNetwork()
    port = network.listenTCP(80, Nobody())
    port.startListening()
    with pytest.raises(CannotListenError):
        network.listenTCP(80, Nobody())
    assert network.client(80).closed
    port.stopListening()
    with pytest.raises(KeyError):
        network.client(80)


@pytest.mark.parametrize("picker", [RoundRobin(), RandomChoice(Random(1))])
def test_builtInPickers(picker) -> None:
    """The built-in pickers keep every picker's promise."""
    pool = Pool("web", [Backend(f"tcp:10.0.0.{n}:80") for n in range(1, 4)], picker)
    checkPicker(picker, pool.candidates(0))


@implementer(IBackendPicker)
class Stranger:
    def pick(self, candidates, connection):
        return "somebody"


def test_badPicker() -> None:
    """A picker that breaks its promise is found out."""
    pool = Pool("web", [Backend("tcp:10.0.0.1:80")], Stranger())
    with pytest.raises(AssertionError, match="no member"):
        checkPicker(pool.picker, pool.candidates(0))


class Answers:
    """Answers with what a function makes of its candidates."""

    def __init__(self, answer) -> None:
        self.answer = answer

    def pick(self, candidates, connection):
        return self.answer(candidates)


def later(network: MemoryNetwork, answer) -> IBackendPicker:
    """A picker that answers after a second."""

    async def pick(candidates):
        return await deferLater(network, 1, answer, candidates)

    return implementer(IBackendPicker)(Answers)(pick)


def test_candidates() -> None:
    """Candidates are made of descriptions and of backends, and a picker is told."""
    picker = RoundRobin()
    heavy = Backend(B, name="heavy", weight=3)
    candidates = candidatesOf(A, heavy, picker=picker)
    verifyObject(ICandidates, candidates)
    assert [(each.name, each.weight) for each in candidates] == [(A, 1), ("heavy", 3)]
    assert checkPicker(picker, candidates).name == "heavy"
    with pytest.raises(ValueError):
        candidatesOf()


def test_asyncPicker() -> None:
    """A picker that waits for something is checked while time passes."""
    network = MemoryNetwork()
    candidates = candidatesOf(A, B)
    picker = later(network, lambda candidates: candidates[1])
    assert checkPicker(picker, candidates, lambda: network.settle(1)).name == B
    picker = implementer(IBackendPicker)(Answers)(lambda them: succeed(them[0]))
    assert checkPicker(picker, candidates).name == A
    first: list = []
    checkAsyncPicker(picker, candidates).addCallback(first.append)
    assert first == [candidates[0]]


def test_badAsyncPicker() -> None:
    """One that answers nonsense, fails or never answers is found out."""
    network = MemoryNetwork()
    candidates = candidatesOf(A)
    nonsense = later(network, lambda candidates: "somebody")
    with pytest.raises(AssertionError, match="no member"):
        checkPicker(nonsense, candidates, lambda: network.settle(1))
    stranger = later(network, lambda _: candidatesOf(A)[0])
    with pytest.raises(AssertionError, match="no candidate"):
        checkPicker(stranger, candidates, lambda: network.settle(1))
    fails = implementer(IBackendPicker)(Answers)(lambda _: fail(LookupError()))
    with pytest.raises(LookupError):
        checkPicker(fails, candidates)
    hangs = implementer(IBackendPicker)(Answers)(lambda _: Deferred())
    with pytest.raises(AssertionError, match="has not answered"):
        checkPicker(hangs, candidates, network.settle)


@pytest.mark.parametrize(
    ("host", "local"), [("198.51.100.7", "127.0.0.1"), ("2001:db8::7", "::1")]
)
def test_clientsHost(host: str, local: str) -> None:
    """A client comes from where the test says."""
    story = Story(A)
    story.network.client(8080, host=host)
    story.settle()
    (connection,) = story.records.opens
    assert (connection.client.host, connection.local.host) == (host, local)
    story.stop()


def test_unixSockets() -> None:
    """Clients and backends may be on UNIX sockets, of which nothing is on disk."""
    network = MemoryNetwork()
    path = f"{gettempdir()}/lbproxy-in-memory"
    backend = network.backend(f"{path}-b")
    balancer = LoadBalancer.fromEndpoints(
        network, [f"unix:{path}-a"], [f"unix:{path}-c", f"unix:{path}-b"]
    )
    balancer.startService()
    assert [str(each) for each in balancer.addresses] == [f"unix:{path}-a"]
    client = network.client(f"{path}-a")
    client.send(b"hello")
    backend.replies(b"welcome")
    network.settle()
    assert backend.accepted[0].received == b"hello"
    assert client.received == b"welcome"
    balancer.stopService()
    network.settle()
    with pytest.raises(KeyError):
        network.client(f"{path}-a")


def test_scriptedRefusal() -> None:
    """A backend refuses, after a while if need be; then it accepts, likewise."""
    story = Story(A, pool="retries = 0")
    story.backends[0].refuses(after=2)
    story.client(b"x").end()
    story.settle(1)
    assert not story.records.closes
    story.settle(1)
    assert story.end.end is End.CONNECT_FAILED
    story.backends[0].accepts(after=2)
    story.client(b"y")
    story.settle(1)
    assert not story.backends[0].accepted
    story.settle(1)
    assert story.backends[0].accepted[0].received == b"y"
    story.stop()


def test_scriptedSilence() -> None:
    """A backend that never answers a dial is given up."""
    story = Story(A, pool='retries = 0\nconnect-timeout = "3s"')
    story.backends[0].hangs()
    story.client(b"x").end()
    story.settle(3)
    assert story.end.end is End.CONNECT_FAILED
    assert "no answer in 3s" in story.end.detail
    story.stop()


def test_scriptedStall() -> None:
    """A backend that takes nothing has its connections ended."""
    story = Story(A, listener="stall-timeout = 8")
    story.backends[0].stalls()
    story.client(b"x")
    story.settle(20)
    assert story.end.end is End.STALL_TIMEOUT
    assert not story.backends[0].accepted[0].received
    story.stop()


@pytest.mark.parametrize("after", [None, 0.0, 2.0])
def test_scriptedReset(after: float | None) -> None:
    """A backend resets its connections: at once, or after the first bytes."""
    story = Story(A)
    story.backends[0].resets(after)
    story.client(b"x")
    story.settle(2.5)
    assert story.end.end is End.BACKEND_RESET
    assert story.end.closed is not None
    assert story.end.closed - story.end.opened == pytest.approx(after or 0, abs=0.1)
    story.stop()


def test_scriptedAnswer() -> None:
    """A backend answers late; a client that has left by then is no trouble."""
    story = Story(A)
    story.backends[0].replies(b"late", after=5)
    clients = [story.client(b"x"), story.client(b"y")]
    clients[1].reset()
    story.settle(4.9)
    assert not clients[0].received
    story.settle(0.2)
    assert clients[0].received == b"late"
    clients[0].end()
    story.settle(1)
    ends = {record.end for record in story.records.closes}
    assert ends == {End.CLIENT_RESET, End.BACKEND_CLOSED}
    story.stop()
