"""A host that no socket can use is refused, with the spelling that it can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.testing import MemoryReactorClock

from lbproxy.words.place import ConfigurationError, Place

from .described import checkClient, checkServer, makeServer

LISTEN = Place("lb.toml", "listener.web.listen")
CONNECT = Place("lb.toml", "pool.web.backends[0]")

PLAIN = "a host is written without blanks and brackets"
COLONS = "each colon of an IPv6 address needs a backslash before it"
NAMED = "the host of tls: is the name in the certificate, not an IPv6 address"


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
        "tcp:b\u00fccher.example:9001",
        "tcp:a_b:9001",
        r"tcp:fe80\:\:1%a..b:9001",
        "tls:127.0.0.1:443",
        "tls:127.0.0.1:443:30:10.0.0.1",
        "unix:/run/a socket[1] ",
    ],
)
def test_goodClientHost(text: str) -> None:
    """What can be connected to is left as it is."""
    checkClient(MemoryReactorClock(), text)


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
    checkServer(MemoryReactorClock(), text)


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
    assert refusal(checkClient, text, CONNECT) == line
    checkClient(MemoryReactorClock(), spelling)


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
    assert refusal(checkClient, text, CONNECT) == str(CONNECT.refuse(text, PLAIN))


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
    assert refusal(checkServer, text, LISTEN) == line
    assert refusal(makeServer, text, LISTEN) == line
    checkServer(MemoryReactorClock(), spelling)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("tcp:[::1]:9001", r"tcp:\:\:1:9001"),
        ("tcp:::1:9001", r"tcp:\:\:1:9001"),
        ("tcp:::1:9001:timeout=3", r"tcp:\:\:1:9001:timeout=3"),
        ("tcp:timeout=3:::1:9001", r"tcp:timeout=3:\:\:1:9001"),
        ("tcp: [::1]:9001", r"tcp:\:\:1:9001"),
        ("tcp:[::1%eth0]:9001", r"tcp:\:\:1%eth0:9001"),
        ("tcp:fe80::1:2:9001", r"tcp:fe80\:\:1\:2:9001"),
        ("tcp:1:2:3:4:5:6:7:8:9001", r"tcp:1\:2\:3\:4\:5\:6\:7\:8:9001"),
        ("tcp:[::ffff:10.0.0.1]:9001", r"tcp:\:\:ffff\:10.0.0.1:9001"),
        ("tcp:::1:port=9001", r"tcp:\:\:1:port=9001"),
        ("tcp:port=9001:::1", r"tcp:port=9001:\:\:1"),
        ("tcp:host=::1:port=9001", r"tcp:host=\:\:1:port=9001"),
        ("tcp:host=[::1]:port=9001", r"tcp:host=\:\:1:port=9001"),
        ("tcp:host=::1:9001", r"tcp:host=\:\:1:9001"),
        ("tcp:9001:host=::1", r"tcp:9001:host=\:\:1"),
        (
            "tcp:host=2001:db8:0:0:0:0:0:1:port=9001",
            r"tcp:host=2001\:db8\:0\:0\:0\:0\:0\:1:port=9001",
        ),
        ("ssl:[::1]:443", r"ssl:\:\:1:443"),
        ("tcp:host=a:port=9:bindAddress=::1", r"tcp:host=a:port=9:bindAddress=\:\:1"),
        ("tcp:a:9:bindAddress=[::1]", r"tcp:a:9:bindAddress=\:\:1"),
        (
            r"tls:a:443:endpoint=tcp\:[\:\:1]\:443",
            r"tls:a:443:endpoint=tcp\:\\\:\\\:1\:443",
        ),
    ],
)
def test_hostWithBareColons(text: str, spelling: str) -> None:
    """Whoever writes an IPv6 address as everywhere else sees how it is here."""
    line = str(CONNECT.refuse(text, f"{COLONS}: '{spelling}'"))
    assert refusal(checkClient, text, CONNECT) == line
    checkClient(MemoryReactorClock(), spelling)


@pytest.mark.parametrize("text", ["tcp:[::1]", "tcp:::1", "tcp:host=::1"])
def test_hostWithBareColonsAndNoPort(text: str) -> None:
    """That the port is missing is seen in the same line."""
    named = "host=" if "host=" in text else ""
    assert refusal(checkClient, text, CONNECT) == str(
        CONNECT.refuse(text, rf"{COLONS}: 'tcp:{named}\:\:1:PORT'")
    )


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("tcp:8080:interface=::1", r"tcp:8080:interface=\:\:1"),
        ("tcp:8080:interface=[::1]", r"tcp:8080:interface=\:\:1"),
        ("tcp:8080:interface=::", r"tcp:8080:interface=\:\:"),
        ("tcp:8080:[::1]:50", r"tcp:8080:\:\:1:50"),
        ("tcp:8080:::1", r"tcp:8080:\:\:1"),
        ("tcp6:8080:interface=fe80::1%eth0", r"tcp6:8080:interface=fe80\:\:1%eth0"),
        ("tcp6:interface=::1:8080", r"tcp6:interface=\:\:1:8080"),
        ("tcp6:interface=::1:port=8080", r"tcp6:interface=\:\:1:port=8080"),
        ("tcp6:8080:interface=[::1]:50", r"tcp6:8080:interface=\:\:1:50"),
        ("tcp6:8080:interface=::1%lo:50", r"tcp6:8080:interface=\:\:1%lo:50"),
        ("TCP6:8080:50:[::]", r"TCP6:8080:50:\:\:"),
    ],
)
def test_interfaceWithBareColons(text: str, spelling: str) -> None:
    """So does whoever listens on one."""
    line = str(LISTEN.refuse(text, f"{COLONS}: '{spelling}'"))
    assert refusal(checkServer, text, LISTEN) == line
    checkServer(MemoryReactorClock(), spelling)


@pytest.mark.parametrize("text", ["ssl:443:interface=[::1]", "tls:/d:443:interface=::"])
def test_interfaceOfTLS(text: str) -> None:
    """The address is seen before the certificates are looked for."""
    assert COLONS in refusal(checkServer, text, LISTEN)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("tls:[::1]:443", r"tls:NAME:443:endpoint=tcp\:\\\:\\\:1\:443"),
        ("tls:::1:443", r"tls:NAME:443:endpoint=tcp\:\\\:\\\:1\:443"),
        (r"tls:\:\:1:443", r"tls:NAME:443:endpoint=tcp\:\\\:\\\:1\:443"),
        (
            r"tls:host=\:\:1:port=443:timeout=3",
            r"tls:host=NAME:port=443:timeout=3:endpoint=tcp\:\\\:\\\:1\:443",
        ),
        (
            r"tls:[::1]:443:endpoint=tcp\:a\:443",
            r"tls:NAME:443:endpoint=tcp\:a\:443",
        ),
        ("tls:::1", r"tls:NAME:PORT:endpoint=tcp\:\\\:\\\:1\:PORT"),
    ],
)
def test_hostOfTLSIsAName(text: str, spelling: str) -> None:
    """Twisted verifies a name; the address goes into the endpoint below."""
    assert refusal(checkClient, text, CONNECT) == str(
        CONNECT.refuse(text, f"{NAMED}: '{spelling}'")
    )
    if "PORT" not in spelling:
        checkClient(MemoryReactorClock(), spelling)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tcp::9001", "the host is missing"),
        ("tcp:a:b:9001", 'it lacks "host" and "port"'),
        ("tcp:[::g]:9001", PLAIN),
        ("tcp:[a:9001", PLAIN),
    ],
)
def test_colonsThatAreNoAddress(text: str, reason: str) -> None:
    """No IPv6 address is seen where there is none."""
    assert refusal(checkClient, text, CONNECT) == str(CONNECT.refuse(text, reason))


@pytest.mark.parametrize("host", ["a..b", ".a", "..", "a" * 64, "a." + "b" * 64])
def test_nameThatCannotBeLookedUp(host: str) -> None:
    """No resolver takes it, and Twisted's does not even say so."""
    reason = f'"{host}" cannot be the name of a host'
    for text in (f"tcp:{host}:9", f"ssl:host={host}:port=9"):
        assert refusal(checkClient, text, CONNECT) == str(CONNECT.refuse(text, reason))
    text = f"tcp:8080:interface={host}"
    assert refusal(checkServer, text, LISTEN) == str(LISTEN.refuse(text, reason))


def test_nestedDescriptionThatCannotBeTakenApart() -> None:
    """It is one line that says so, as for any other description."""
    text = r"tls:a:443:endpoint=tcp\:a\\"
    line = refusal(checkClient, text, CONNECT)
    assert line.startswith(str(CONNECT.refuse(text, "")))
