"""Each client goes to the same backend every time."""

from __future__ import annotations

from lbexample import ByClient

from lbproxy import LoadBalancer
from lbproxy.testing import MemoryNetwork, candidatesOf, checkPicker, connectionFrom

BACKENDS = [f"tcp:10.0.0.{number}:80" for number in range(1, 4)]
CLIENTS = [f"198.51.100.{number}" for number in range(1, 100)]


def test_promises() -> None:
    """It keeps every picker's promises."""
    checkPicker(ByClient(), candidatesOf(*BACKENDS))


def test_onlyTheirClientsMove() -> None:
    """When a backend goes, the clients of the others stay where they are."""
    picker, all3, two = (
        ByClient(7),
        candidatesOf(*BACKENDS),
        candidatesOf(*BACKENDS[:2]),
    )
    for client in CLIENTS:
        before = picker.pick(all3, connectionFrom(client)).name
        after = picker.pick(two, connectionFrom(client)).name
        assert after == before or before == BACKENDS[2]


def test_byItsName() -> None:
    """It is installed under its name, and a backend that refuses is passed over."""
    network = MemoryNetwork()
    backends = [network.backend(f"10.0.0.{number}", 80) for number in range(1, 4)]
    balancer = LoadBalancer.fromEndpoints(
        network, ["tcp:8080"], BACKENDS, picker="by-client:seed=7"
    )
    balancer.startService()
    for _ in range(5):
        network.client(8080, host=CLIENTS[0]).send(b"hello")
    network.settle()
    (one,) = (each for each in backends if each.accepted)
    assert len(one.accepted) == 5
    one.refuses()
    network.client(8080, host=CLIENTS[0]).send(b"hello")
    network.settle()
    assert sum(len(each.accepted) for each in backends) == 6
    balancer.stopService()
    network.settle()
