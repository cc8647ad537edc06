"""Routes, as clients notice them."""

from __future__ import annotations

import pytest
from stories import A, B, Routes, Story

from lbproxy import End

ROUTES = 'routes = [{ client = "10.0.0.0/8", pool = "other" }]'
OTHER = f'[pool.other]\nbackends = ["{B}"]'


def story(**arguments) -> Story:
    """A balancer whose internal clients go to pool C{other}, at C{B}."""
    return Story(listener=ROUTES, pool=f'backends = ["{A}"]\n{OTHER}', **arguments)


@pytest.mark.parametrize(
    ("host", "pool"),
    [("10.1.2.3", "other"), ("::ffff:10.1.2.3", "other"), ("192.0.2.7", "web")],
)
def test_byClient(host: str, pool: str) -> None:
    """Who matches a route goes to its pool, and all others to the listener's."""
    told = story()
    places = {
        "web": told.network.backend("10.0.0.1", 80),
        "other": told.network.backend("10.0.0.2", 80),
    }
    told.network.client(8080, host=host).send(b"x")
    told.settle()
    (accepted,) = places[pool].accepted
    assert accepted.received == b"x"
    assert [each.pool for each in told.records.opens] == [pool]


def test_beforeTheRouter() -> None:
    """The router is asked only about those that match no route."""
    told = story(routers={"front": Routes(None)})
    other = told.network.backend("10.0.0.2", 80)
    told.network.client(8080, host="10.1.2.3").send(b"x")
    told.settle()
    assert other.accepted[0].received == b"x"
    told.network.client(8080, host="192.0.2.7").end()
    told.settle()
    assert told.end.end is End.REFUSED_BY_ROUTER
