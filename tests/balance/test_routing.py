"""The first route that a connection matches names its pool."""

from __future__ import annotations

import pytest

from lbproxy.balance.routing import Route, Routes
from lbproxy.words.connection import Address, Connection
from lbproxy.words.networks import parseNetwork

ROUTES = Routes(
    [
        Route(
            "both",
            client=(parseNetwork("10.1.0.0/16"),),
            address=(parseNetwork("192.0.2.1"),),
        ),
        Route("internal", client=(parseNetwork("10.0.0.0/8"), parseNetwork("::1"))),
        Route("local", address=(parseNetwork("unix:/run/x.sock"),)),
        Route("never", client=(parseNetwork("10.1.0.0/16"),)),
    ]
)

PUBLIC = Address("198.51.100.7", 443)
ONE = Address("192.0.2.1", 443)


@pytest.mark.parametrize(
    ("client", "local", "pool"),
    [
        (Address("10.1.2.3", 9), ONE, "both"),
        (Address("10.1.2.3", 9), PUBLIC, "internal"),
        (Address("::ffff:10.2.0.1", 9), ONE, "internal"),
        (Address("::1", 9), PUBLIC, "internal"),
        (Address("", None), Address("/run/x.sock", None), "local"),
        (Address("", None), Address("/run/y.sock", None), None),
        (Address("203.0.113.5", 9), ONE, None),
    ],
)
def test_first(client: Address, local: Address, pool: str | None) -> None:
    """Client and address have to match, where a route names both."""
    connection = Connection(1, "front", client, local, 0.0)
    assert ROUTES.poolOf(connection) == pool
