"""
A network in memory, for the tests of lbproxy and of plugins for it.

A whole balancer runs on it, without a socket and without waiting::

    network = MemoryNetwork()
    backend = network.backend("10.0.0.1", 80)
    balancer = LoadBalancer.fromEndpoints(network, ["tcp:8080"], ["tcp:10.0.0.1:80"])
    balancer.startService()
    client = network.client(8080)
    client.send(b"hello")
    network.settle()
    assert backend.accepted[0].received == b"hello"

L{MemoryNetwork} is a C{Clock}: its time moves only when the test moves it.
"""

from .backends import ScriptedBackend
from .network import MemoryNetwork
from .plugins import candidatesOf, checkAsyncPicker, checkPicker, connectionFrom
from .transports import Far, MemoryTransport

__all__ = [
    "Far",
    "MemoryNetwork",
    "MemoryTransport",
    "ScriptedBackend",
    "candidatesOf",
    "checkAsyncPicker",
    "checkPicker",
    "connectionFrom",
]
