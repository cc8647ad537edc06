"""All clients of one network are served by one backend."""

from ipaddress import ip_network

from lbproxy import Connection


def byNetwork(connection: Connection) -> str:
    """The network of the client: 24 bits of an IPv4 address, 48 of an IPv6 one."""
    host = connection.client.host
    bits = 48 if ":" in host else 24
    return str(ip_network(f"{host}/{bits}", strict=False))
