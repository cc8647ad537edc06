"""A router that sends each network to a pool of its own."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from lbproxy import Connection

POOLS = {
    ip_network("10.0.0.0/8"): "office",
    ip_network("0.0.0.0/0"): "web",
    ip_network("::/0"): "web",
}
"""Which network belongs to which pool; the first that a client is in counts."""

REFUSED = {ip_network("203.0.113.0/24")}


async def route(connection: Connection) -> str | None:
    """The pool for a connection; it is async since it could as well ask somebody."""
    client = ip_address(connection.client.host)
    if any(client in network for network in REFUSED):
        return None
    return next(pool for network, pool in POOLS.items() if client in network)
