"""TLS that a listener terminates, with the clients that people have."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from configured import configured
from OpenSSL import SSL
from securing import Files

from lbproxy.streams.tlsfacts import tlsFacts
from lbproxy.streams.tlsoptions import ServerTLSOptions
from lbproxy.streams.tlsserver import ServerTLS

from .conftest import StartWith
from .daemon import LOOPBACK, PATIENCE, Daemon, eventually, freePort, run
from .peers import Backend, Web, asks, drain, echo, names, readExactly

LISTENER_TLS = """
[listener.tls]
certificates = [{certificates}]
{more}
"""

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> Files:
    directory = tmp_path / "pem"
    directory.mkdir()
    return Files(directory, authority)


def tls(files: Files, *names: str, more: str = "") -> str:
    """The lines of a listener that has a certificate for each of some names."""
    certificates = ", ".join(
        f'{{ chain = "{made.chain}", key = "{made.key}" }}'
        for made in (files.issue(each) for each in names or ("localhost",))
    )
    return LISTENER_TLS.format(certificates=certificates, more=more)


def ran(program: str, *arguments: str, said: str = "") -> str:
    """What a program writes; without it, the test is skipped."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [program, *arguments],
        input=said,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr


def curl(daemon: Daemon, files: Files, *options: str, name: str = "localhost") -> str:
    """The page that curl gets, or its error."""
    return ran(
        "curl",
        *("--silent", "--show-error", "--ipv4", "--cacert", files.root),
        *("--resolve", f"{name}:{daemon.port}:127.0.0.1", *options),
        f"https://{name}:{daemon.port}/page",
    )


def s_client(daemon: Daemon, files: Files, *options: str) -> str:
    """What C{openssl s_client} says, which asks for a page."""
    return ran(
        "openssl",
        *("s_client", "-connect", f"127.0.0.1:{daemon.port}"),
        *("-CAfile", files.root, "-ign_eof", *options),
        said="GET /page HTTP/1.0\r\n\r\n",
    )


def secure(daemon: Daemon, files: Files, name: str = "localhost") -> ssl.SSLSocket:
    """One of Python's clients."""
    return files.client().wrap_socket(
        daemon.connect(), server_hostname=name, suppress_ragged_eofs=False
    )


def failed(daemon: Daemon, why: str) -> None:
    """Wait for the record of a handshake that failed for this reason."""

    def recorded() -> bool:
        ends = [(each.end, each.detail) for each in daemon.ended()]
        return ("tls-failed", why) in ends

    eventually(recorded, f"no handshake failed with: {why}")


@pytest.mark.parametrize("sockets", ["epoll", "reactor"])
def test_curl(
    startWith: StartWith, web: Callable[..., Web], files: Files, sockets: str
) -> None:
    """curl gets the page over each version of TLS, from either kind of sockets."""
    daemon = startWith(web(), listener=tls(files), process=f'sockets = "{sockets}"')
    for version in ("1.2", "1.3"):
        options = (f"--tlsv{version}", "--tls-max", version)
        assert curl(daemon, files, *options) == "web /page\n"


@pytest.mark.parametrize("sockets", ["epoll", "reactor"])
def test_muchEachWay(
    startWith: StartWith, serve: Callable[..., Backend], files: Files, sockets: str
) -> None:
    """Two megabytes go each way, and the end is a proper end."""
    daemon = startWith(
        serve(echo), listener=tls(files), process=f'sockets = "{sockets}"'
    )
    part = bytes(range(256)) * 200
    with secure(daemon, files) as client:
        for _ in range(40):
            assert asks(client, part) == part


def test_properEnd(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """A client can tell the end of an answer from a cut."""
    answer = serve(lambda connected: connected.sendall(b"all of it"))
    daemon = startWith(answer, listener=tls(files))
    with secure(daemon, files) as client:
        assert readExactly(client, 100) == b"all of it"


def test_unixSocket(
    startWith: StartWith,
    serve: Callable[..., Backend],
    files: Files,
    tmp_path: Path,
) -> None:
    """A UNIX socket is a place for TLS like any other."""
    path = tmp_path / "front.sock"
    startWith(serve(echo), listener=tls(files), listen=f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(PATIENCE)
        plain.connect(str(path))
        with files.client().wrap_socket(plain, server_hostname="localhost") as client:
            assert asks(client, b"hello") == b"hello"


def test_names(startWith: StartWith, web: Callable[..., Web], files: Files) -> None:
    """Each name has its certificate; one that has none is refused by name."""
    listener = tls(
        files, "a.example", "*.b.example", more="reject-unknown-names = true"
    )
    daemon = startWith(web(), listener=listener)
    for name in ("a.example", "one.b.example"):
        assert curl(daemon, files, name=name) == "web /page\n"
    assert "alert" in curl(daemon, files, name="c.example")
    failed(daemon, "unknown name c.example")


def test_unknownNameByResumption(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """Whoever resumes a session under a name that is refused is refused, too."""
    listener = tls(files, "a.example", more="reject-unknown-names = true")
    daemon = startWith(serve(echo), listener=listener)
    context = files.client(version="1.3")
    with context.wrap_socket(daemon.connect(), server_hostname="a.example") as client:
        assert asks(client, b"hello") == b"hello"
        session = client.session
    with (
        suppress(OSError),
        daemon.connect() as plain,
        context.wrap_socket(
            plain, server_hostname="b.example", session=session
        ) as client,
    ):
        assert client.session_reused
        client.sendall(b"hello")
        assert not client.recv(1)
    failed(daemon, "unknown name b.example")


def test_alpn(startWith: StartWith, web: Callable[..., Web], files: Files) -> None:
    """What is agreed on is the first of ours that the client offers."""
    daemon = startWith(web(), listener=tls(files, more='alpn = ["http/1.1", "smtp"]'))
    said = s_client(daemon, files, "-alpn", "h2,smtp,http/1.1")
    assert "ALPN protocol: http/1.1" in said
    said = s_client(daemon, files, "-alpn", "h2")
    assert "No ALPN negotiated" in said
    assert "web /page" in said


def test_onASocket(files: Files) -> None:
    """The handshake may go over a socket itself, which does not block."""
    made = ServerTLSOptions(certificates=(files.issue("localhost"),), alpn=("smtp",))
    here, there = socket.socketpair()
    here.setblocking(False)
    there.settimeout(PATIENCE)
    context = files.client(alpn=("smtp",))
    with ThreadPoolExecutor(1) as pool, here, there:
        client = pool.submit(context.wrap_socket, there, server_hostname="localhost")
        connection = ServerTLS(made).connection(here)

        def shaken() -> bool:
            with suppress(SSL.WantReadError):
                connection.do_handshake()
                return True
            return False

        eventually(shaken)
        with client.result(PATIENCE) as connected:
            assert connected.selected_alpn_protocol() == "smtp"
            assert tlsFacts(connection).alpn == "smtp"
            connected.sendall(b"hello")
            assert eventually(lambda: _received(connection)) == b"hello"


def _received(connection: SSL.Connection) -> bytes:
    with suppress(SSL.WantReadError):
        return connection.recv(100)
    return b""


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_resumption(
    startWith: StartWith,
    web: Callable[..., Web],
    files: Files,
    tmp_path: Path,
    version: str,
) -> None:
    """OpenSSL's client resumes the session that it has written to a file."""
    daemon = startWith(web(), listener=tls(files))
    session = tmp_path / "session"
    said = s_client(daemon, files, f"-{version}", "-sess_out", str(session))
    assert "New, TLSv1" in said
    said = s_client(daemon, files, f"-{version}", "-sess_in", str(session))
    assert "Reused, TLSv1" in said
    assert "web /page" in said


def test_sessionsWithoutTickets(
    startWith: StartWith, web: Callable[..., Web], files: Files
) -> None:
    """A client of TLS 1.2 that takes no tickets resumes from the server's memory."""
    daemon = startWith(web(), listener=tls(files))
    said = ran(
        "openssl",
        *("s_client", "-connect", f"127.0.0.1:{daemon.port}", "-CAfile", files.root),
        *("-tls1_2", "-no_ticket", "-reconnect"),
    )
    assert said.count("Reused, TLSv1.2") == 5


def test_clientCertificates(
    startWith: StartWith, web: Callable[..., Web], files: Files
) -> None:
    """With mutual TLS only those who have a certificate get the page."""
    more = f'client-certificate = "required"\nclient-ca = "{files.root}"'
    daemon = startWith(web(), listener=tls(files, more=more))
    mine = files.issue("me@mail.example")
    shown = ("--cert", mine.chain, "--key", mine.key)
    assert curl(daemon, files, *shown) == "web /page\n"
    assert "web /page" not in curl(daemon, files)
    failed(daemon, "no certificate from the client")
    elsewhere = files.directory / "elsewhere"
    elsewhere.mkdir()
    stranger = Files(elsewhere).issue("other@mail.example")
    refused = curl(daemon, files, "--cert", stranger.chain, "--key", stranger.key)
    assert "web /page" not in refused
    failed(daemon, "the client's certificate: unknown ca")


def test_routedByCertificate(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """A router sees what the handshake has agreed on: the example of the docs."""
    accounts, shop = serve(names(b"accounts")), serve(names(b"shop"))
    required = f'client-certificate = "required"\nclient-ca = "{files.root}"'
    daemon = startWith(
        shop,
        listener='router = "python:certified.choose"\n' + tls(files, more=required),
        pool=f"[pool.accounts]\nbackends = ['{accounts.connect}']",
        environment={**os.environ, "PYTHONPATH": str(EXAMPLES)},
    )
    for service, answer in (
        ("billing", b"accounts"),
        ("shop", b"shop"),
        ("other", b""),
    ):
        context = files.client(files.issue(f"{service}.services.example.com"))
        with context.wrap_socket(
            daemon.connect(), server_hostname="localhost"
        ) as client:
            assert readExactly(client, len(answer) or 1) == answer
    assert daemon.records(3)[-1].end == "refused-by-router"


def test_noRenegotiation(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """A client that asks for another handshake gets none, and costs nothing more."""
    daemon = startWith(serve(echo), listener=tls(files))
    said = ran(
        "openssl",
        *("s_client", "-connect", f"127.0.0.1:{daemon.port}", "-CAfile", files.root),
        "-tls1_2",
        said="R\n",
    )
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said


def test_plainClients(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """A client that speaks no TLS is refused with a line; the others are served."""
    daemon = startWith(serve(echo), listener=tls(files))
    with daemon.connect() as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with suppress(ConnectionResetError):
            drain(plain)
    failed(daemon, "not TLS: looks like HTTP")
    with daemon.connect() as plain:
        plain.sendall(b"\x16\x03\x01")
    failed(daemon, "closed during the handshake")
    with secure(daemon, files) as client:
        assert asks(client, b"hello") == b"hello"


@pytest.mark.parametrize("dribbles", [False, True], ids=["whole", "split"])
def test_afterAHeader(
    startWith: StartWith, serve: Callable[..., Backend], files: Files, dribbles: bool
) -> None:
    """A PROXY header comes before TLS, and names the client."""
    if os.environ.get("LBPROXY_TEST_SOCKETS") == "reactor":
        pytest.skip("with sockets of lbproxy's own")
    proxied = 'proxy-protocol = "required"\ntrusted-proxies = ["127.0.0.1"]\n'
    daemon = startWith(serve(echo), listener=proxied + tls(files))
    context = ssl.create_default_context(cafile=files.root)
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(theirs, ours, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    opening = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 443\r\n" + ours.read()
    with daemon.connect() as connected:
        for at in range(0, len(opening), 1 if dribbles else len(opening)):
            connected.sendall(opening[at:][: 1 if dribbles else None])
        while True:
            theirs.write(connected.recv(65536))
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
        client.write(b"hello")
        connected.sendall(ours.read())
        heard = b""
        while heard != b"hello":
            theirs.write(connected.recv(65536))
            with suppress(ssl.SSLWantReadError):
                heard += client.read(100)
    access = daemon.directory / "access.log"
    eventually(lambda: "192.0.2.1:4000" in access.read_text())


def test_healthCheckOfACloud(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """A client that connects and closes, and says nothing, is no failure."""
    if os.environ.get("LBPROXY_TEST_SOCKETS") == "reactor":
        pytest.skip("with sockets of lbproxy's own")
    daemon = startWith(serve(echo), listener=tls(files))
    with daemon.connect():
        pass
    access = daemon.directory / "access.log"
    eventually(lambda: "client-closed" in access.read_text())
    assert "tls-failed" not in daemon.log


def test_oldVersion(
    startWith: StartWith, web: Callable[..., Web], files: Files
) -> None:
    """TLS 1.1 is not spoken."""
    daemon = startWith(web(), listener=tls(files))
    said = s_client(daemon, files, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "web /page" not in said
    failed(daemon, "unsupported protocol")


def test_scanned(startWith: StartWith, web: Callable[..., Web], files: Files) -> None:
    """A scanner finds nothing below TLS 1.2, and no cipher without forward secrecy."""
    daemon = startWith(web(), listener=tls(files))
    said = ran("sslscan", "--no-colour", f"127.0.0.1:{daemon.port}")
    for version in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
        assert re.search(rf"^{version} +disabled$", said, re.MULTILINE)
    found = re.findall(
        r"^(?:Preferred|Accepted) +(\S+) +\d+ bits +(\S+)", said, re.MULTILINE
    )
    assert {version for version, _ in found} == {"TLSv1.2", "TLSv1.3"}
    for version, cipher in found:
        assert "GCM" in cipher or "CHACHA20" in cipher
        assert version == "TLSv1.3" or cipher.startswith("ECDHE-")


def test_halfOpenHandshakes(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """
    Two hundred clients begin a handshake and say no more: others are served, and
    those are gone when their time is up.
    """
    daemon = startWith(
        serve(echo), listener=tls(files, more='handshake-timeout = "4s"')
    )
    with ExitStack() as stack:
        slow = [stack.enter_context(daemon.connect()) for _ in range(200)]
        for each in slow:
            each.sendall(b"\x16\x03\x01\x02")
        for _ in range(20):
            with secure(daemon, files) as client:
                assert asks(client, b"hello") == b"hello"
        for each in slow:
            with suppress(ConnectionResetError):
                assert not each.recv(1)
    failed(daemon, "handshake timeout")
    with secure(daemon, files) as client:
        assert asks(client, b"hello") == b"hello"


def test_turns(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """Handshakes beyond the most at once wait until one before them is over."""
    daemon = startWith(serve(echo), listener=tls(files, more="max-handshakes = 2"))
    with daemon.connect() as first, daemon.connect():
        client = files.client().wrap_socket(
            daemon.connect(), server_hostname="localhost", do_handshake_on_connect=False
        )
        with client:
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.do_handshake()
            first.close()
            client.settimeout(PATIENCE)
            client.do_handshake()
            assert asks(client, b"hello") == b"hello"


def test_turnsComeBack(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """A client that says nothing has its turn until its time is up, and no longer."""
    more = 'max-handshakes = 1\nhandshake-timeout = "2s"'
    daemon = startWith(serve(echo), listener=tls(files, more=more))
    for _ in range(2):
        with daemon.connect() as silent:
            silent.sendall(b"\x16")
            with suppress(ConnectionResetError):
                assert not silent.recv(1)
        with secure(daemon, files) as client:
            assert asks(client, b"hello") == b"hello"


def test_lateTurn(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """The record tells of a client that was late because it had to wait in line."""
    more = 'max-handshakes = 1\nhandshake-timeout = "1s"'
    daemon = startWith(serve(echo), listener=tls(files, more=more))
    with daemon.connect() as first, daemon.connect() as second:
        for each in (first, second):
            with suppress(ConnectionResetError):
                assert not each.recv(1)
    details = {each.detail for each in daemon.records(2)}
    late = "handshake timeout"
    assert details == {late, f"{late}, after it waited for its turn"}


# Files that are replaced.


def served(daemon: Daemon, files: Files) -> list[str]:
    """The names in the certificate that a new client gets."""
    context = files.client()
    context.check_hostname = False
    with context.wrap_socket(daemon.connect(), server_hostname="localhost") as client:
        certificate = client.getpeercert() or {}
        return [str(each[1]) for each in certificate["subjectAltName"]]


def test_renewed(
    startWith: StartWith, serve: Callable[..., Backend], files: Files
) -> None:
    """A renewed certificate is used without a signal; no connection is dropped."""
    daemon = startWith(serve(echo), listener=tls(files))
    with secure(daemon, files) as old:
        assert asks(old, b"one") == b"one"
        files.issue("localhost", "renewed.example", to="localhost")
        eventually(lambda: "renewed.example" in served(daemon, files))
        assert asks(old, b"two") == b"two"
        Path(files.directory / "localhost.pem").write_text("broken")
        daemon.says("Listener front keeps the certificates it has: ")
        assert "renewed.example" in served(daemon, files)
        assert asks(old, b"three") == b"three"


def test_reloaded(
    startWith: StartWith, serve: Callable[..., Backend], files: Files, tmp_path: Path
) -> None:
    """On SIGHUP new files are used at once; with a broken one nothing is changed."""
    daemon = startWith(serve(echo), listener=tls(files))
    with secure(daemon, files) as old:
        files.issue("localhost", "renewed.example", to="localhost")
        _reload(daemon, "The configuration was loaded again")
        assert "renewed.example" in served(daemon, files)
        Path(files.directory / "localhost.key").write_text("broken")
        line = _reload(daemon, "Nothing is changed: ")
        assert "tls.certificates[0].key" in line
        assert "it is not PEM; expected a private key" in line
        assert "renewed.example" in served(daemon, files)
        assert asks(old, b"still there") == b"still there"


def test_portTurnsToTLS(
    startWith: StartWith, serve: Callable[..., Backend], files: Files, tmp_path: Path
) -> None:
    """A port that stays open speaks TLS from a reload on, and not from the next on."""
    port = freePort()
    listen = f"tcp:{port}:interface=127.0.0.1"
    daemon = startWith(serve(echo), listen=listen)
    config = tmp_path / "keys.toml"
    plain = config.read_text()
    secured = plain.replace("[pool.web]", tls(files) + "[pool.web]")
    with daemon.connect() as old:
        assert asks(old, b"plain") == b"plain"
        for _ in range(2):
            config.write_text(secured)
            _reload(daemon, "The configuration was loaded again")
            with secure(daemon, files) as client:
                assert asks(client, b"hello") == b"hello"
            config.write_text(plain)
            _reload(daemon, "The configuration was loaded again")
            with daemon.connect() as new:
                assert asks(new, b"hello") == b"hello"
        assert asks(old, b"still there") == b"still there"


def _reload(daemon: Daemon, words: str) -> str:
    """Load the file again; the line with some words that is logged then."""
    before = len(daemon.log)
    daemon.process.send_signal(signal.SIGHUP)

    def line() -> str:
        lines = daemon.log[before:].splitlines()
        return next((each for each in lines if words in each), "")

    return eventually(line, f"{words!r} is never logged")


def test_check(files: Files, tmp_path: Path) -> None:
    """C{--check} warns of a certificate that expires soon, and refuses a bad file."""
    config = tmp_path / "lbproxy.toml"
    soon = files.issue("localhost", until=datetime.now(UTC) + timedelta(days=3))
    pair = f'{{ chain = "{soon.chain}", key = "{soon.key}" }}'
    text = configured("tcp:127.0.0.1:1", listen=LOOPBACK)
    lines = LISTENER_TLS.format(certificates=pair, more="")
    config.write_text(text.replace("[pool.web]", lines + "[pool.web]"))
    options = ("--nodaemon", "lbproxy", f"--config={config}", "--check")
    done = run(*options, directory=tmp_path, afresh=False)
    assert done.returncode == 0
    assert "it expires in 2 days, on " in done.stdout + done.stderr
    Path(soon.key).unlink()
    done = run(*options, directory=tmp_path, afresh=False)
    assert done.returncode == 1
    assert "listener.front.tls.certificates[0].key = " in done.stderr
    assert "Traceback" not in done.stderr
