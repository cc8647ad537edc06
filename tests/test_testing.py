"""The network in memory behaves as Twisted's own transports and ports do."""

from __future__ import annotations

from random import Random

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTCP, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy import Backend, IBackendPicker, LoadBalancer
from lbproxy.balance.pickers import RandomChoice, RoundRobin
from lbproxy.balance.pool import Pool
from lbproxy.testing import MemoryNetwork, MemoryTransport, checkPicker

HERE = IPv4Address("TCP", "127.0.0.1", 1)


def test_interfaces() -> None:
    """They provide what they stand in for."""
    verifyObject(IReactorTCP, MemoryNetwork())
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
