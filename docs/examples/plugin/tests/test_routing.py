"""Each network has a pool of its own."""

from __future__ import annotations

from lbproxy import LoadBalancer, configurationFromMapping
from lbproxy.testing import MemoryNetwork

CONFIGURATION = configurationFromMapping(
    {
        "listener": [
            {"listen": "tcp:8080", "pool": "web", "router": "python:lbexample.route"}
        ],
        "pool": {
            "office": {"backends": ["tcp:10.0.0.1:80"]},
            "web": {"backends": ["tcp:10.0.0.2:80"]},
        },
    }
)


def test_networks() -> None:
    """The office is served by its own pool, one network by none."""
    network = MemoryNetwork()
    office, web = network.backend("10.0.0.1", 80), network.backend("10.0.0.2", 80)
    balancer = LoadBalancer(network, CONFIGURATION)
    balancer.startService()
    network.client(8080, host="10.9.9.9").send(b"from the office")
    network.client(8080, host="198.51.100.7").send(b"from the web")
    network.client(8080, host="2001:db8::7").send(b"from the new web")
    refused = network.client(8080, host="203.0.113.7")
    network.settle()
    assert [far.received for far in office.accepted] == [b"from the office"]
    assert [far.received for far in web.accepted] == [
        b"from the web",
        b"from the new web",
    ]
    assert refused.hasEnd
    balancer.stopService()
    network.settle()
