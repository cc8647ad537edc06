"""A host that no socket can use is refused, with the spelling that it can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.testing import MemoryReactorClock

from lbproxy.config.endpoints import (
    checkClientDescription,
    checkServerDescription,
    clientEndpoint,
    serverEndpoint,
)
from lbproxy.config.place import ConfigurationError, Place

LISTEN = Place("lb.toml", "listener.web.listen")
CONNECT = Place("lb.toml", "pool.web.backends[0]")

PLAIN = "a host is written without blanks and brackets"


def refusal(check: Callable[..., object], text: str, place: Place) -> str:
    with pytest.raises(ConfigurationError) as raised:
        check(MemoryReactorClock(), text, place)
    return str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        r"tcp:\:\:1:9001",
        r"tcp:host=\:\:1:port=9001",
        r"tcp:\:\:1:port=9001",
        r"tcp:fe80\:\:1%eth0:9001",
        r"tcp:\:\:1:80:port=90",
        r"ssl:\:\:1:443",
        r"tls:a:443:endpoint=tcp\:\\\:\\\:1\:443",
        r"tcp:\:\:1:9001:bindAddress=\:\:1",
        "tcp:127.0.0.1:9001:bindAddress=",
        # To Twisted a port is whatever int() reads, blanks around it included.
        "tcp:127.0.0.1: 9001 ",
        "tcp:2001:9001",
        "tcp:a.example.:9001",
        "tls:127.0.0.1:443",
        "tls:127.0.0.1:443:30:10.0.0.1",
        "unix:/run/a socket[1] ",
    ],
)
def test_goodClientHost(text: str) -> None:
    """What can be connected to is left as it is."""
    checkClientDescription(MemoryReactorClock(), text)


@pytest.mark.parametrize(
    "text",
    [
        r"tcp:8080:interface=\:\:1",
        r"tcp:8080:\:\:1:50",
        r"tcp6:8080:50:\:\:",
        "tcp:8080:interface=",
        "tcp6:8080:interface=localhost",
        "tcp: 8080 :interface=127.0.0.1",
        "tcp:8080:127.0.0.1:50",
    ],
)
def test_goodInterface(text: str) -> None:
    """What can be listened on is left as it is."""
    checkServerDescription(MemoryReactorClock(), text)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        (r"tcp:[\:\:1]:9001", r"tcp:\:\:1:9001"),
        (r"TCP:[\:\:1]:9001", r"TCP:\:\:1:9001"),
        (r"tcp:host=[\:\:1]:port=9001", r"tcp:host=\:\:1:port=9001"),
        (r"ssl: \:\:1 :443", r"ssl:\:\:1:443"),
        ("tcp: 127.0.0.1:9", "tcp:127.0.0.1:9"),
        ("tcp:127.0.0.1\t: 9", "tcp:127.0.0.1: 9"),
        ("tcp:[localhost]:9", "tcp:localhost:9"),
        ("tcp: [127.0.0.1] :9", "tcp:127.0.0.1:9"),
        ("ssl:\u3000localhost:443", "ssl:localhost:443"),
        ("tls: localhost:443", "tls:localhost:443"),
        ("tls:[localhost]:443", "tls:localhost:443"),
        (
            r"tls:a:443:endpoint=tcp\:[\\\:\\\:1]\:443",
            r"tls:a:443:endpoint=tcp\:\\\:\\\:1\:443",
        ),
        (
            r"tls:a:443:endpoint=tcp\: 127.0.0.1\:443",
            r"tls:a:443:endpoint=tcp\:127.0.0.1\:443",
        ),
        (
            r"tcp:a:9:bindAddress=[\:\:1]",
            r"tcp:a:9:bindAddress=\:\:1",
        ),
        ("tls:a:443:30: 10.0.0.1", "tls:a:443:30:10.0.0.1"),
    ],
)
def test_hostWithBlanksOrBrackets(text: str, spelling: str) -> None:
    """No resolver finds such a host; the right spelling is shown."""
    line = str(CONNECT.refuse(text, f"{PLAIN}: '{spelling}'"))
    assert refusal(checkClientDescription, text, CONNECT) == line
    assert refusal(clientEndpoint, text, CONNECT) == line
    checkClientDescription(MemoryReactorClock(), spelling)


@pytest.mark.parametrize(
    "text",
    [
        "tcp:local host:9",
        r"tls:a:443:endpoint=tcp\:local host\:9",
        "tcp: :9",
        "tcp:[]:9",
        "tcp:a]:9",
        r"tcp:[[\:\:1]]:9",
    ],
)
def test_hostThatNobodyCanGuess(text: str) -> None:
    """Where it is not clear what was meant, nothing is suggested."""
    assert refusal(checkClientDescription, text, CONNECT) == str(
        CONNECT.refuse(text, PLAIN)
    )


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        (r"tcp:8080:interface=[\:\:1]", r"tcp:8080:interface=\:\:1"),
        (r"tcp:8080:[\:\:]:50", r"tcp:8080:\:\::50"),
        ("tcp:8080:interface= 127.0.0.1", "tcp:8080:interface=127.0.0.1"),
        (r"tcp6:8080:interface=[\:\:]", r"tcp6:8080:interface=\:\:"),
        (r"TCP6:8080:50:\:\: ", r"TCP6:8080:50:\:\:"),
    ],
)
def test_interfaceWithBlanksOrBrackets(text: str, spelling: str) -> None:
    """No socket can be bound to it; the right spelling is shown."""
    line = str(LISTEN.refuse(text, f"{PLAIN}: '{spelling}'"))
    assert refusal(checkServerDescription, text, LISTEN) == line
    assert refusal(serverEndpoint, text, LISTEN) == line
    checkServerDescription(MemoryReactorClock(), spelling)


def test_nestedDescriptionThatCannotBeTakenApart() -> None:
    """It is one line that says so, as for any other description."""
    text = r"tls:a:443:endpoint=tcp\:a\\"
    line = refusal(checkClientDescription, text, CONNECT)
    assert line.startswith(str(CONNECT.refuse(text, "")))
