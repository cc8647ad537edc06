"""TLS to backends that have the table C{tls}: verified, with certificates, as told."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from shutil import which
from subprocess import DEVNULL, Popen

import pytest
import trustme
from handshakes import authority, issued, written

from .conftest import StartWith
from .daemon import eventually, freePort, listens
from .peers import Backend, Conversation, asks, drain, echo, names, readExactly
from .test_early_answers import ANSWER, refuse, upload

SOCKETS = ["epoll", "reactor"]
SECURE = Callable[..., Backend]


def serverContext(
    certificate: trustme.LeafCert, version: str = "1.3"
) -> ssl.SSLContext:
    """The TLS of a backend."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if version == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def secured(context: ssl.SSLContext, conversation: Conversation) -> Conversation:
    """A conversation over TLS; without one if the handshake fails."""

    def converse(connected: socket.socket) -> None:
        try:
            secure = context.wrap_socket(connected, server_side=True)
        except OSError:
            return
        # Or an answer would wait for the session tickets to be acknowledged,
        # and be dropped by a close with input unread.
        if connected.family != socket.AF_UNIX:
            secure.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with secure:
            conversation(secure)

    return converse


@pytest.fixture
def ca(tmp_path: Path) -> str:
    """The file of the authority that is trusted."""
    return written(tmp_path, "ca.pem", authority("ours").cert_pem)


def pool(*backends: tuple[Backend | str, str], lines: str = "") -> str:
    """The lines of a pool: its backends, each with the keys of its table C{tls}."""
    text = lines
    for at, (backend, keys) in enumerate(backends):
        connect = backend if isinstance(backend, str) else backend.connect
        text += f'\n[[pool.web.backends]]\nconnect = "{connect}"\nname = "b{at}"\n'
        text += f"tls = {{ {keys} }}\n"
    return text


@pytest.mark.parametrize("sockets", SOCKETS)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_bothWays(
    startWith: StartWith,
    serve: Callable[..., Backend],
    ca: str,
    version: str,
    sockets: str,
) -> None:
    """Two megabytes each way, and then the end of both streams."""
    context = serverContext(issued("a.internal"), version)
    versions: list[str | None] = []

    def converse(connected: socket.socket) -> None:
        assert isinstance(connected, ssl.SSLSocket)
        versions.append(connected.version())
        echo(connected)

    backend = serve(secured(context, converse))
    keys = f'server-name = "a.internal", ca = "{ca}"'
    daemon = startWith(
        pool=pool((backend, keys)), process=f'sockets = "{sockets}"', listen="tcp:0"
    )
    part = bytes(range(256)) * 200
    with daemon.connect() as client:
        for _ in range(40):
            assert asks(client, part) == part
    assert daemon.record().end == "client-closed"
    assert versions == [f"TLSv{version}"]


@pytest.mark.parametrize("sockets", SOCKETS)
@pytest.mark.parametrize(
    ("certificate", "keys", "reason"),
    [
        (
            issued("b.internal"),
            'server-name = "a.internal", ca = "{ca}"',
            "its certificate is not for a.internal but for b.internal",
        ),
        (
            issued("a.internal"),
            'ca = "{ca}"',
            "its certificate is not for 127.0.0.1 but for a.internal",
        ),
        (
            issued("127.0.0.1", by="a stranger"),
            'ca = "{ca}"',
            "unknown ca",
        ),
        (issued("127.0.0.1"), "", "unknown ca"),
        (
            issued("127.0.0.1", begins=-9, ends=-2),
            'ca = "{ca}"',
            "certificate expired",
        ),
    ],
    ids=["name", "address", "stranger", "system", "expired"],
)
def test_refused(
    startWith: StartWith,
    serve: Callable[..., Backend],
    ca: str,
    certificate: trustme.LeafCert,
    keys: str,
    reason: str,
    sockets: str,
) -> None:
    """
    A backend whose certificate is refused gets no byte; another one does, and if there
    is none, log and record say why.
    """
    heard: list[bytes] = []
    impostor = serve(
        secured(
            serverContext(certificate),
            lambda connected: heard.append(connected.recv(100)),
        )
    )
    right = serve(secured(serverContext(issued("127.0.0.1")), echo))
    lines = 'picker = "first"\nretries = 1'
    bad = impostor, keys.format(ca=ca)
    process = f'sockets = "{sockets}"'
    daemon = startWith(
        pool=pool(bad, (right, f'ca = "{ca}"'), lines=lines), process=process
    )
    with daemon.connect() as client:
        assert asks(client, b"secret") == b"secret"
    daemon.stop()
    daemon = startWith(pool=pool(bad), process=process)
    with daemon.connect() as client:
        assert client.recv(1) == b""
    ended = daemon.record()
    assert (ended.end, ended.detail) == ("connect-failed", f"b0: {reason}")
    daemon.says(reason)
    assert impostor.accepted >= 2
    assert not any(heard)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_clientCertificate(
    startWith: StartWith,
    serve: Callable[..., Backend],
    ca: str,
    tmp_path: Path,
    version: str,
) -> None:
    """A backend that requires a certificate is shown one; without, it is no backend."""
    context = serverContext(issued("127.0.0.1"), version)
    context.verify_mode = ssl.CERT_REQUIRED
    authority("clients").configure_trust(context)

    def introduce(connected: socket.socket) -> None:
        assert isinstance(connected, ssl.SSLSocket)
        certificate = connected.getpeercert()
        assert certificate
        connected.sendall(repr(certificate["subjectAltName"]).encode())

    backend = serve(secured(context, introduce))
    own = issued("lbproxy.internal", by="clients")
    both = written(tmp_path, "own.pem", own.private_key_and_cert_chain_pem)
    daemon = startWith(pool=pool((backend, f'ca = "{ca}", chain = "{both}"')))
    with daemon.connect() as client:
        assert b"lbproxy.internal" in client.recv(1000)
    daemon.stop()
    daemon = startWith(pool=pool((backend, f'ca = "{ca}"')))
    with daemon.connect() as client:
        client.sendall(b"hello")
        with suppress(ConnectionResetError):
            assert client.recv(100) == b""
    ended = daemon.record()
    if version == "1.2":
        assert ended.end == "connect-failed"
        assert ended.detail.startswith("b0: TLS: ")
    else:
        # The handshake is complete before the backend has looked.
        required = "TLS: tlsv13 alert certificate required"
        assert (ended.end, ended.detail) == ("backend-reset", required)


def test_alpn(startWith: StartWith, serve: Callable[..., Backend], ca: str) -> None:
    """The protocols are offered, and the backend chooses among them."""
    context = serverContext(issued("127.0.0.1"))
    context.set_alpn_protocols(["http/1.1", "other"])

    def say(connected: socket.socket) -> None:
        assert isinstance(connected, ssl.SSLSocket)
        connected.sendall(str(connected.selected_alpn_protocol()).encode())

    backend = serve(secured(context, say))
    for keys, chosen in ('alpn = ["h2", "http/1.1"], ', b"http/1.1"), ("", b"None"):
        daemon = startWith(pool=pool((backend, f'{keys}ca = "{ca}"')))
        with daemon.connect() as client:
            assert readExactly(client, len(chosen)) == chosen
        daemon.stop()


def test_unverified(startWith: StartWith, serve: Callable[..., Backend]) -> None:
    """With C{verify = false} anybody will do."""
    context = serverContext(issued("b.internal", by="a stranger", begins=-9, ends=-2))
    daemon = startWith(pool=pool((serve(secured(context, echo)), "verify = false")))
    with daemon.connect() as client:
        assert asks(client, b"hello") == b"hello"


def test_unix(
    startWith: StartWith, serve: Callable[..., Backend], ca: str, short: str
) -> None:
    """TLS is spoken over a socket of the file system as well."""
    context = serverContext(issued("a.internal"))
    backend = serve(secured(context, echo), f"{short}/back")
    keys = f'ca = "{ca}", server-name = "a.internal"'
    daemon = startWith(pool=pool((backend, keys)))
    for _ in range(3):
        with daemon.connect() as client:
            assert asks(client, b"hello") == b"hello"


@pytest.mark.parametrize("sockets", SOCKETS)
def test_earlyAnswer(
    startWith: StartWith, serve: Callable[..., Backend], ca: str, sockets: str
) -> None:
    """An answer arrives whole from a backend that closes with input unread."""
    backend = serve(secured(serverContext(issued("127.0.0.1")), refuse))
    keys = f'ca = "{ca}"'
    daemon = startWith(pool=pool((backend, keys)), process=f'sockets = "{sockets}"')
    with ThreadPoolExecutor(3) as clients:
        answers = list(clients.map(upload, [daemon] * 60))
    assert [answer for answer in answers if answer != ANSWER] == []


@pytest.mark.parametrize("sockets", SOCKETS)
def test_cutOff(
    startWith: StartWith, serve: Callable[..., Backend], ca: str, sockets: str
) -> None:
    """An answer that ends without a close_notify was cut off; a client sees that."""

    def cut(connected: socket.socket) -> None:
        connected.sendall(b"half of it")
        connected.recv(1)
        # An SSLSocket is closed without a close_notify, which only unwrap would send.

    backend = serve(secured(serverContext(issued("127.0.0.1")), cut))
    keys = f'ca = "{ca}"'
    daemon = startWith(pool=pool((backend, keys)), process=f'sockets = "{sockets}"')
    with daemon.connect() as client:
        assert readExactly(client, 10) == b"half of it"
        client.sendall(b"!")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert daemon.record()[2:] == ("backend-reset", "truncated")


def test_silentHandshake(
    startWith: StartWith, serve: Callable[..., Backend], ca: str
) -> None:
    """The handshake is a part of the dial: C{connect-timeout} holds for both."""
    silent = serve(drain)
    right = serve(secured(serverContext(issued("127.0.0.1")), echo))
    keys = f'ca = "{ca}"'
    daemon = startWith(
        pool=pool(
            (silent, keys),
            (right, keys),
            lines='picker = "first"\nconnect-timeout = "500ms"',
        )
    )
    with daemon.connect() as client:
        assert asks(client, b"hello") == b"hello"
    assert silent.accepted == 1
    daemon.says("dial of web/b0 failed: no answer in 500ms")


def test_noTLS(startWith: StartWith, serve: Callable[..., Backend], ca: str) -> None:
    """A backend that speaks no TLS is a failed dial."""
    daemon = startWith(pool=pool((serve(names(b"220 mail\r\n")), f'ca = "{ca}"')))
    with daemon.connect() as client:
        assert client.recv(1) == b""
    assert daemon.record()[2:] == ("connect-failed", "b0: TLS: wrong version number")


def test_sessions(startWith: StartWith, serve: Callable[..., Backend], ca: str) -> None:
    """Connections one after the other go on with one session."""
    reused: list[bool | None] = []

    def converse(connected: socket.socket) -> None:
        assert isinstance(connected, ssl.SSLSocket)
        reused.append(connected.session_reused)
        echo(connected)

    backend = serve(secured(serverContext(issued("127.0.0.1")), converse))
    daemon = startWith(pool=pool((backend, f'ca = "{ca}"')))
    for count in range(1, 5):
        with daemon.connect() as client:
            assert asks(client, b"hello") == b"hello"
        daemon.records(count)
    assert reused == [False, True, True, True]


def test_reload(
    startWith: StartWith, serve: Callable[..., Backend], ca: str, tmp_path: Path
) -> None:
    """
    Other authorities count from the next connection on; those under way go on.  Files
    that cannot be used change nothing.
    """
    backend = serve(secured(serverContext(issued("127.0.0.1")), echo))
    daemon = startWith(pool=pool((backend, f'ca = "{ca}"')))
    with daemon.connect() as before:
        assert asks(before, b"hello") == b"hello"
        written(tmp_path, "ca.pem", authority("a stranger").cert_pem)
        with daemon.connect() as client:
            assert asks(client, b"not reloaded yet") == b"not reloaded yet"
        daemon.process.send_signal(signal.SIGHUP)

        def refuses() -> bool:
            with daemon.connect() as client:
                client.sendall(b"?")
                return client.recv(1) == b""

        eventually(refuses, "the old authority is trusted still")
        assert asks(before, b"goes on") == b"goes on"
        daemon.says("unknown ca")
        Path(ca).write_text("nothing")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.says("it has no certificate in PEM")
        written(tmp_path, "ca.pem", authority("ours").cert_pem)
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: not refuses(), "the new authority is not trusted")
        assert asks(before, b"goes on") == b"goes on"


@pytest.mark.skipif(which("openssl") is None, reason="needs openssl")
def test_openssl(startWith: StartWith, ca: str, tmp_path: Path) -> None:
    """OpenSSL's own server, with TLS 1.2 and a page."""
    port = freePort()
    own = issued("a.internal")
    both = written(tmp_path, "server.pem", own.private_key_and_cert_chain_pem)
    command = ["openssl", "s_server", "-www", "-tls1_2", "-accept", str(port)]
    with Popen([*command, "-cert", both], stdin=DEVNULL, stdout=DEVNULL) as server:
        try:
            eventually(lambda: listens(port), "it does not listen")
            keys = f'ca = "{ca}", server-name = "a.internal"'
            daemon = startWith(pool=pool((f"tcp:127.0.0.1:{port}", keys)))
            with daemon.connect() as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                page = readExactly(client, 100000)
            assert page.startswith(b"HTTP/1.0 200 ok")
            assert b"TLSv1.2" in page
            assert page.rstrip().endswith(b"</HTML>") or b"</pre>" in page
        finally:
            server.kill()


@pytest.mark.parametrize("kind", ["tls", "http", "exchange"])
def test_checks(
    startWith: StartWith,
    serve: Callable[..., Backend],
    ca: str,
    tmp_path: Path,
    kind: str,
) -> None:
    """
    A member whose certificate has expired is down for that reason, and up again when it
    has another one.
    """
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def answer(connected: socket.socket) -> None:
        # A check that asks nothing closes at once.
        with suppress(ssl.SSLError):
            connected.sendall(page)
            drain(connected)

    contexts = [serverContext(issued("127.0.0.1", begins=-9, ends=-1))]

    def converse(connected: socket.socket) -> None:
        secured(contexts[-1], answer)(connected)

    keys = {"exchange": '\nexpect = "200 OK"'}.get(kind, "")
    lines = f'''
        [pool.web.health-check]
        kind = "{kind}"
        interval = "100ms"
        fall = 2
        rise = 2{keys}
    '''
    backend = serve(converse)
    daemon = startWith(pool=pool((backend, f'ca = "{ca}"'), lines="") + lines)
    daemon.says("member web/b0 is down: certificate expired")
    contexts.append(serverContext(issued("127.0.0.1")))
    daemon.says("member web/b0 is up after")
    with daemon.connect() as client:
        assert readExactly(client, len(page)) == page
