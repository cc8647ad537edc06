"""A description that cannot work is refused before anything listens."""

from __future__ import annotations

from contextlib import chdir, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from zope.interface.verify import verifyObject

from lbproxy.words.place import ConfigurationError, Place

from .described import checkClient, checkServer, makeServer

LISTEN = Place("lb.toml", "listener.web.listen")
CONNECT = Place("lb.toml", "pool.web.backends[0]")


@pytest.mark.parametrize(
    "text",
    [
        "tcp:8080",
        "tcp:0",
        "tcp:65535:interface=127.0.0.1",
        "tcp:port=80",
        "tcp6:8080",
        "unix:/run/web.sock:mode=660",
        "unix:address=/run/web.sock",
        "tls:DIRECTORY:443",
    ],
)
def test_goodServer(text: str, tmp_path: Path) -> None:
    """All that Twisted can listen on, lbproxy can."""
    text = text.replace("DIRECTORY", str(tmp_path))
    checkServer(MemoryReactorClock(), text)
    endpoint = makeServer(MemoryReactorClock(), text)
    assert verifyObject(IStreamServerEndpoint, endpoint)


@pytest.mark.parametrize(
    "text",
    [
        "tcp:localhost:80",
        "TCP:localhost:80",
        "tcp:host=localhost:port=80",
        "tcp:host=localhost:80",
        "tcp:localhost:port=80",
        "unix:/run/backend.sock",
        "UNIX:path=/run/backend.sock",
        "ssl:localhost:443",
        "tls:localhost:443",
        "tls:localhost:443:endpoint=tcp\\:127.0.0.1\\:443",
    ],
)
def test_goodClient(text: str) -> None:
    """All that Twisted can connect to, lbproxy can."""
    checkClient(MemoryReactorClock(), text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it does not begin with a kind of endpoint"),
        ("port=80", "it does not begin with a kind of endpoint"),
        ("tcp", 'it lacks "port"'),
        ("tcp:", '"" is not a whole number'),
        ("tcp:http", '"http" is not a whole number'),
        ("tcp:-1", "a port is 0 to 65535, not -1"),
        ("tcp:65536", "a port is 0 to 65535, not 65536"),
        ("tcp:port=65536", "a port is 0 to 65535, not 65536"),
        ("tcp:8_0", "a port is 0 to 65535, not 8_0"),
        ("tcp6:70000", "a port is 0 to 65535, not 70000"),
        ("tls:DIRECTORY:70000", "a port is 0 to 65535, not 70000"),
        ("tcp:80:interfaec=::1", '"interfaec" is not known to it'),
        ("tcp:80:1:2:3:4", "it has too many parts"),
        ("tcp:80:port=81", '"port" is given twice'),
        ("tcp:80:backlog=x", '"x" is not a whole number'),
        ("tcp:80:backlog=1:backlog=2", '"backlog" is given twice'),
        ("tcp:80\\", "a backslash at the end takes nothing literally"),
        ("unix", 'it lacks "address"'),
        ("unix:", "the path is missing"),
        ("unix:address=", "the path is missing"),
        ("unix:/" + "x" * 108, "the path of a socket has at most 107 bytes"),
        ("unix:/x:mode=9", '"9" is not an octal number'),
        ("ssl:443:privateKey=/nowhere.pem", "No such file or directory: /nowhere.pem"),
        ("ssl:443:privateKey=/", "Is a directory: /"),
        ("ssl:443:privateKey=PEM:sslmethod=x", 'OpenSSL.SSL has no "x"'),
        (
            "ssl:443:privateKey=/dev/null",
            "the certificate or the key cannot be read: it is not PEM",
        ),
        ("tls:/nowhere:443", '"/nowhere" is not a directory'),
        ("tls:path=/nowhere", '"/nowhere" is not a directory'),
        ("tls:443", '"443" is not a directory'),
        ("tls::443", '"" is not a directory'),
        # Plugins' kinds are found in any case.
        ("TLS:/nowhere:443", '"/nowhere" is not a directory'),
        ("TCP6:70000", "a port is 0 to 65535, not 70000"),
        ("Systemd:INET", "exactly one of index and name has to be given"),
        ("systemd", "the domain has to be INET, INET6 or UNIX"),
        ("systemd:NET:0", "the domain has to be INET, INET6 or UNIX"),
        ("systemd:INET", "exactly one of index and name has to be given"),
        ("systemd:INET:0:web", "exactly one of index and name has to be given"),
        ("systemd:INET:web", "an index is a whole number of 0 or more"),
        ("systemd:INET:0::x", '"x" is not known to systemd:'),
        ("systemd:INET:fd=3", '"fd" is not known to systemd:'),
    ],
)
def test_badServer(text: str, reason: str, tmp_path: Path) -> None:
    """The key, the description and the cause are named, in words of the file."""
    text = text.replace("DIRECTORY", str(tmp_path)).replace("PEM", "/dev/null")
    with pytest.raises(ConfigurationError) as raised:
        checkServer(MemoryReactorClock(), text, LISTEN)
    assert str(raised.value) == str(LISTEN.refuse(text, reason))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it does not begin with a kind of endpoint"),
        ("tcp:localhost", 'it lacks "port"'),
        ("tcp:localhost:http", '"http" is not a whole number'),
        ("tcp:localhost:0", "a port is 1 to 65535, not 0"),
        ("tcp:localhost:65536", "a port is 1 to 65535, not 65536"),
        ("tcp:host=localhost:65536", "a port is 1 to 65535, not 65536"),
        ("tcp:localhost:port=65536", "a port is 1 to 65535, not 65536"),
        ("tcp:localhost:80:port=x", "a port is 1 to 65535, not x"),
        ("TCP:localhost:65536", "a port is 1 to 65535, not 65536"),
        ("ssl:localhost:65536", "a port is 1 to 65535, not 65536"),
        ("tls:localhost:65536", "a port is 1 to 65535, not 65536"),
        (
            "tls:localhost:443:endpoint=tcp\\:localhost\\:0",
            "a port is 1 to 65535, not 0",
        ),
        ("tcp::80", "the host is missing"),
        ("tcp:host=:port=80", "the host is missing"),
        ("tcp:localhost:80:tiemout=1", '"tiemout" is not known to it'),
        ("tcp:localhost:80:timeout=x", '"x" is not a whole number'),
        ("unix", 'it lacks "path"'),
        ("unix:", "the path is missing"),
        ("unix:/" + "x" * 108, "the path of a socket has at most 107 bytes"),
        (
            "tls:localhost:443:certificate=/nowhere.pem",
            "No such file or directory: /nowhere.pem",
        ),
        ("tls:localhost:443:verify=no", '"verify" is not known to it'),
        (
            "tls:localhost:443:trustRoots=/nowhere",
            "No such file or directory: /nowhere",
        ),
    ],
)
def test_badClient(text: str, reason: str) -> None:
    """The key, the description and the cause are named, in words of the file."""
    with pytest.raises(ConfigurationError) as raised:
        checkClient(MemoryReactorClock(), text, CONNECT)
    assert str(raised.value) == str(CONNECT.refuse(text, reason))


@pytest.mark.parametrize(
    "text",
    [
        "haproxy:tcp:8080",
        "HAProxy:tcp:8080",
        "haproxy:haproxy:tcp:8080",
        "ha\\proxy:unix:/run/web.sock",
        "port=8080:haproxy:tcp",
        "haproxy:fd:3",
        "haproxy",
    ],
)
def test_haproxyIsRefused(text: str) -> None:
    """
    Twisted's own reader of PROXY headers loses what comes after the client's
    end of stream; whoever asks for it is told what will take its place.
    """
    for check in (checkServer, makeServer):
        with pytest.raises(ConfigurationError) as raised:
            check(MemoryReactorClock(), text, LISTEN)
        assert str(raised.value) == str(
            LISTEN.refuse(
                text,
                "haproxy: is not supported, since Twisted's loses what comes after "
                "the client's end of stream; PROXY headers are read with the "
                'listener\'s key "proxy-protocol"',
            )
        )


@pytest.mark.parametrize("text", ["fd:3", "carrier-pigeon:8080", "shop.example:80"])
def test_unknownKindOfServer(text: str) -> None:
    """Who forgot the kind, as older tools allowed, sees which there are."""
    with pytest.raises(ConfigurationError) as raised:
        checkServer(MemoryReactorClock(), text)
    kind = text.split(":")[0]
    known = f'unknown kind of endpoint "{kind}"; known: '
    line = str(raised.value)
    assert line.startswith(f'server endpoint: "{text}": {known}')
    listed = line.partition("; known: ")[2].split(", ")
    assert {"ssl", "systemd", "tcp", "tcp6", "tls", "unix"} <= set(listed)
    assert "haproxy" not in listed
    assert listed == sorted(listed)


@pytest.mark.parametrize("text", ["tcp6:localhost:80", "systemd:INET:0"])
def test_kindsOnlyForListening(text: str) -> None:
    """What can only listen is not offered for a backend."""
    with pytest.raises(ConfigurationError) as raised:
        checkClient(MemoryReactorClock(), text)
    listed = str(raised.value).partition("; known: ")[2].split(", ")
    assert {"ssl", "tcp", "tls", "unix"} <= set(listed)
    assert not {"tcp6", "systemd"} & set(listed)


@pytest.mark.parametrize("text", ["systemd:INET:0", "SYSTEMD:INET6:name=web"])
def test_systemdIsCheckedWithoutItsDescriptors(text: str) -> None:
    """A configuration can be checked by hand that only systemd can start."""
    checkServer(MemoryReactorClock(), text)
    with pytest.raises(ConfigurationError) as raised:
        makeServer(MemoryReactorClock(), text, LISTEN)
    assert str(raised.value) == (
        f'lb.toml: listener.web.listen = "{text}": systemd has passed no such '
        "descriptor to this process"
    )


@pytest.mark.parametrize("named", [False, True])
def test_blankBeforeAPath(named: bool) -> None:
    """A blank makes an absolute path a relative one, where there is nothing."""
    for check, place, key in (
        (checkClient, CONNECT, "path="),
        (checkServer, LISTEN, "address="),
    ):
        text = f"unix:{key if named else ''} /run/web.sock"
        with pytest.raises(ConfigurationError) as raised:
            check(MemoryReactorClock(), text, place)
        reason = "the path begins with a blank, and there is no such directory"
        assert str(raised.value) == str(place.refuse(text, reason))


def test_directoryThatBeginsWithABlank(tmp_path: Path) -> None:
    """Where there is such a directory, it is what was meant."""
    with chdir(tmp_path):
        Path(" ").mkdir()
        checkServer(MemoryReactorClock(), "unix: /web.sock")
        checkClient(MemoryReactorClock(), "unix: web.sock")


def test_whatIsNoCertificate(tmp_path: Path) -> None:
    """A file that is there, but is not PEM, is told from one that is not."""
    file = tmp_path / "key.pem"
    file.write_text("not a key")
    with pytest.raises(ConfigurationError) as raised:
        checkServer(MemoryReactorClock(), f"ssl:443:privateKey={file}")
    assert "the certificate or the key cannot be read" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "backlog"),
    [("tcp:80", 9), ("tcp6:80", 9), ("tcp:80:backlog=7", 7)],
)
def test_backlogReachesTheKernel(text: str, backlog: int) -> None:
    """The number arrives where the port is made."""
    reactor = MemoryReactorClock()
    makeServer(reactor, text, LISTEN, backlog=9).listen(Factory())
    ((_, _, asked, _),) = reactor.tcpServers
    assert asked == backlog


# Nothing that could be a directory: Twisted reads all of it for tls.
_PARTS = st.text(alphabet=":=\\a1-\0é") | st.text(
    st.characters(exclude_characters="/.", exclude_categories=[])
)
_KINDS = ["tcp:", "tcp6:", "unix:", "ssl:", "tls:x", "systemd:", "haproxy:", "x:"]


@settings(deadline=None)
@given(st.sampled_from(_KINDS), _PARTS)
def test_junkRaisesNothingElse(kind: str, rest: str) -> None:
    """No description makes Twisted's parsers raise anything else."""
    for check in (checkServer, checkClient):
        with suppress(ConfigurationError):
            check(MemoryReactorClock(), kind + rest)
