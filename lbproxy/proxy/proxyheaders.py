"""The PROXY header that a connection to a backend begins with."""

from __future__ import annotations

from ..streams.proxyprotocol.build import LOCAL_V2, headerV1, headerV2
from ..words.connection import Address, Connection


def headerOf(connection: Connection, version: str) -> bytes:
    """
    Write the header that passes a client's addresses on.

    @param version: C{"v1"} or C{"v2"}.
    """
    write = headerV1 if version == "v1" else headerV2
    return write(connection.client, connection.local)


def headerOfOwn(local: Address, remote: Address, version: str) -> bytes:
    """
    Write the header of a connection that has no client, such as a health check.

    @param local: The connection's own address.
    @param remote: The address that it has connected to.
    @param version: C{"v1"} or C{"v2"}.
    """
    # In version 1 only the two addresses say so, since some receivers refuse UNKNOWN.
    return headerV1(local, remote) if version == "v1" else LOCAL_V2
