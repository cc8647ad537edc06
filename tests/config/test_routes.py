"""Routes are read, or refused in one line."""

from __future__ import annotations

import pytest

from lbproxy.balance.routing import Route
from lbproxy.config.file import configurationFromText
from lbproxy.words.networks import parseNetwork
from lbproxy.words.place import ConfigurationError

TEXT = """
[[listener]]
listen = "tcp:8080"
pool = "web"
routes = [{{ client = "::1", pool = "web" }}, {route}]
[pool.web]
backends = ["tcp:a:1"]
[pool.internal]
backends = ["tcp:a:2"]
"""


def test_read() -> None:
    """A route names networks, in a list or alone, and a pool."""
    route = '{ client = ["10.0.0.0/8", "all"], address = "unix:/x", pool = "internal" }'
    (listener,) = configurationFromText(TEXT.format(route=route), "lb.toml").listeners
    assert listener.routes == (
        Route("web", client=(parseNetwork("::1"),)),
        Route(
            "internal",
            client=(parseNetwork("10.0.0.0/8"), parseNetwork("all")),
            address=(parseNetwork("unix:/x"),),
        ),
    )


def test_readNames() -> None:
    """Names are read as clients send them, and protocols are bytes."""
    route = (
        '{ server-name = ["A.example", "*.B\u00fcro.de"], alpn = ["h2", "\u00e9"], '
        'pool = "internal" }'
    )
    (listener,) = configurationFromText(TEXT.format(route=route), "lb.toml").listeners
    assert listener.routes[1] == Route(
        "internal",
        serverName=("a.example", "*.xn--bro-hoa.de"),
        alpn=(b"h2", b"\xc3\xa9"),
    )
    assert listener.asksHello


@pytest.mark.parametrize(
    ("route", "line"),
    [
        (
            '{ client = "::1", pool = "internel" }',
            '.pool = "internel": no such pool; the nearest known one is "internal"',
        ),
        (
            '{ client = "10.0.0.0/33", pool = "web" }',
            (
                '.client = "10.0.0.0/33": expected a network or an address, such as '
                '"10.0.0.0/8" or "::1", "unix:", "unix:/path", or "all"'
            ),
        ),
        (
            '{ client = ["all", "10.1.0.0/8"], pool = "web" }',
            (
                '.client[1] = "10.1.0.0/8": expected the first address of a network, '
                'as in "10.0.0.0/8"'
            ),
        ),
        (
            '{ client = [], pool = "web" }',
            ".client = []: expected a list of at least one",
        ),
        (
            '{ pool = "web" }',
            (
                ' = { pool = "web" }: expected "client", "address", "server-name" or '
                '"alpn"; without, use the key "pool" of the listener'
            ),
        ),
        ('{ client = "all" }', ".pool: this key is required"),
        (
            '{ server-name = ["a", "*b.c"], pool = "web" }',
            (
                '.server-name[1] = "*b.c": expected a server name, such as '
                '"www.example.com", or "*.example.com" for all names below one'
            ),
        ),
        (
            '{ alpn = "", pool = "web" }',
            '.alpn = "": expected a protocol, such as "h2" or "http/1.1"',
        ),
        ("7", " = 7: expected a table, [[listener.routes]]"),
    ],
)
def test_refused(route: str, line: str) -> None:
    """The line names the file, the key, the value and what was expected."""
    with pytest.raises(ConfigurationError) as refused:
        configurationFromText(TEXT.format(route=route), "lb.toml")
    assert str(refused.value) == f"lb.toml: listener[0].routes[1]{line}"
