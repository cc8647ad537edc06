"""The connections that took longest are remembered."""

from __future__ import annotations

from lbexample import Slowest

from lbproxy import LoadBalancer
from lbproxy.testing import MemoryNetwork


def test_slowest() -> None:
    """Of several connections the two that took longest are there."""
    network, slowest = MemoryNetwork(), Slowest(2)
    backend = network.backend("10.0.0.1", 80)
    balancer = LoadBalancer.fromEndpoints(
        network, ["tcp:8080"], ["tcp:10.0.0.1:80"], observers=[slowest]
    )
    balancer.startService()
    for seconds in (1, 5, 3):
        backend.replies(b"answer", after=seconds)
        client = network.client(8080)
        client.send(b"question")
        network.settle(seconds)
        client.end()
        network.settle(1)
    took = [each.closed - each.opened for each in slowest.connections if each.closed]
    assert [round(each) for each in took] == [5, 3]
    balancer.stopService()
    network.settle()
