"""The parts of endpoints are found by name, whichever way they were given."""

from __future__ import annotations

import inspect

import pytest
from twisted.internet import endpoints

from lbproxy.words.endpoints import CLIENTS, SERVERS, ClientDescription
from lbproxy.words.endpoints import ServerDescription as Server


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("tcp:80", "port", "80"),
        ("TCP:80", "port", "80"),
        ("tcp:port=80", "port", "80"),
        ("tcp:80", "interface", None),
        ("tcp:80:127.0.0.1", "interface", "127.0.0.1"),
        ("tcp6:80:9", "backlog", "9"),
        ("tls:/certificates:443", "port", "443"),
        ("unix:/run/web", "address", "/run/web"),
        ("carrier-pigeon:80", "port", None),
        ("carrier-pigeon:port=80", "port", "80"),
        ("port=80", "port", "80"),
    ],
)
def test_argumentOfAServer(text: str, name: str, value: str | None) -> None:
    """An argument has one value, by name or by position, or none."""
    assert Server.parse(text).argument(name) == value


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("tcp:a:80", "a", "80"),
        ("tcp:host=a:80", "a", "80"),
        ("tcp:80:host=a", "a", "80"),
        ("tcp:a:port=80", "a", "80"),
        ("tls:a:443:endpoint=tcp\\:b\\:444", "b", "443"),
        ("unix:/run/web", None, None),
    ],
)
def test_whereAClientConnects(text: str, host: str | None, port: str | None) -> None:
    """The host is that of the innermost endpoint: the one that is looked up."""
    described = ClientDescription.parse(text)
    assert (described.host, described.argument("port")) == (host, port)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tcp:80", ("", 80)),
        ("tcp:interface=::1", None),
        ("tcp6:80", ("::", 80)),
        ("tls:/certificates", ("::", 443)),
        ("tcp:http", None),
        ("unix:80", None),
        ("systemd:INET:0", None),
    ],
)
def test_whereAServerListens(text: str, found: tuple[str, int] | None) -> None:
    """What is not given is what Twisted takes then."""
    assert Server.parse(text).interfaceAndPort == found


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ("tcp:80", "tcp:80:backlog=9"),
        ("tcp:80:127.0.0.1", "tcp:80:127.0.0.1:backlog=9"),
        ("tcp:80:127.0.0.1:7", "tcp:80:127.0.0.1:7"),
        ("tcp:80:backlog=7", "tcp:80:backlog=7"),
        ("tcp:backlog=7:80", "tcp:backlog=7:80"),
        ("TCP6:80", "TCP6:80:backlog=9"),
        ("tcp6:80:7", "tcp6:80:7"),
        ("ssl:443:a:b:c:d", "ssl:443:a:b:c:d:backlog=9"),
        ("ssl:443:a:b:c:d:7", "ssl:443:a:b:c:d:7"),
        ("systemd:INET:0", "systemd:INET:0"),
        ("stdio:", "stdio:"),
        ("a=b", "a=b"),
    ],
)
def test_aDefaultIsAdded(text: str, described: str) -> None:
    """It holds unless the description has its own, by name or by position."""
    added = Server.parse(text).withDefault("backlog", 9)
    assert added.text == described
    assert added == Server.parse(described)
    assert added.fields == Server.parse(described).fields


def test_aDefaultIsEscaped() -> None:
    """An address with colons is added as Twisted reads it."""
    added = ClientDescription.parse("tcp:a:80").withDefault("bindAddress", "::1")
    assert added.text == r"tcp:a:80:bindAddress=\:\:1"
    assert added.argument("bindAddress") == "::1"


@pytest.mark.parametrize(
    ("parser", "ordered", "before"),
    [
        (endpoints._parseTCP, SERVERS["tcp"].ordered, 1),
        (endpoints._parseSSL, SERVERS["ssl"].ordered, 1),
        (endpoints._parseUNIX, SERVERS["unix"].ordered, 1),
        (
            endpoints._TCP6ServerParser._parseServer,
            SERVERS["tcp6"].ordered,
            2,
        ),
        (endpoints._SystemdParser._parseServer, SERVERS["systemd"].ordered, 2),
        (
            endpoints._TLSServerEndpointParser._actualParseStreamServer,
            SERVERS["tls"].ordered,
            2,
        ),
        (endpoints._parseClientTLS, CLIENTS["tls"].ordered, 1),
    ],
)
def test_theOrderIsTwisteds(
    parser: object, ordered: tuple[str, ...], before: int
) -> None:
    """A release of Twisted that takes arguments in another order is noticed."""
    assert callable(parser)
    names = list(inspect.signature(parser).parameters)[before:]
    assert tuple(names[: len(ordered)]) == ordered
