"""
A chain of balancers in which everybody knows the client: HAProxy and nginx before and
behind C{twistd lbproxy}, on both kinds of sockets.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from lbproxy.streams.proxyprotocol.build import headerV1, headerV2
from lbproxy.words.connection import Address

from .balancers import haproxy, needs, nginx
from .conftest import StartWith
from .daemon import PATIENCE, Daemon, eventually, freePort
from .peers import Backend, Web, asks, drain, echo, outcome, readAll, reset

CLIENT, LOCAL = Address("192.0.2.7", 1234), Address("198.51.100.2", 443)
HEADERS = {"v1": headerV1(CLIENT, LOCAL), "v2": headerV2(CLIENT, LOCAL)}

REQUIRED = 'proxy-protocol = "required"\ntrusted-proxies = ["127.0.0.1", "unix:"]'

LBPROXYS, REACTORS = 'sockets = "epoll"', 'sockets = "reactor"'

onBoth = pytest.mark.parametrize(
    "process", [LBPROXYS, REACTORS], ids=["own", "reactor"]
)
"""On lbproxy's own sockets, and on Twisted's."""


def clients(daemon: Daemon, count: int = 1) -> list[str]:
    """The clients of the connections that are over, as the access log has them."""
    daemon.records(count)
    log = (daemon.directory / "access.log").read_text()
    return [line.split(" ")[3] for line in log.splitlines()]


def shown(connected: socket.socket) -> str:
    """A client's own address, as a log has it."""
    host, port = connected.getsockname()
    return f"{host}:{port}"


@onBoth
@needs("haproxy")
@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2"])
def test_behindHAProxy(
    startWith: StartWith,
    serve: Callable[..., Backend],
    tmp_path: Path,
    how: str,
    process: str,
) -> None:
    """The log names HAProxy's client; the backend gets what that says, and no more."""
    daemon = startWith(serve(echo), listener=REQUIRED, process=process)
    port = freePort()
    to = f"server it 127.0.0.1:{daemon.port} {how}"
    with haproxy(tmp_path, port, f"bind 127.0.0.1:{port}", to):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            own = shown(client)
            assert asks(client, b"hello") == b"hello"
            client.shutdown(socket.SHUT_WR)
            assert readAll(client) == b""
        eventually(lambda: own in clients(daemon))


@onBoth
@needs("haproxy")
@pytest.mark.parametrize("version", ["", "-v2"])
def test_checkedByHAProxy(
    startWith: StartWith,
    serve: Callable[..., Backend],
    tmp_path: Path,
    version: str,
    process: str,
) -> None:
    """Its checks, with a header and without one, are no trouble in the log."""
    daemon = startWith(serve(drain), listener=REQUIRED, process=process)
    port = freePort()
    servers = (
        f"server a 127.0.0.1:{daemon.port} send-proxy{version} check inter 50ms "
        "check-send-proxy\n"
        f"server b 127.0.0.1:{daemon.port} check inter 50ms"
    )
    with haproxy(tmp_path, port, f"bind 127.0.0.1:{port}", servers):
        eventually(lambda: len(daemon.ended()) > 10)
    assert "bad-proxy-header" not in daemon.log
    assert {each.end for each in daemon.ended()} <= {
        "client-closed",
        "client-reset",
        "backend-closed",
    }


@onBoth
@needs("nginx")
def test_behindNginx(
    startWith: StartWith, serve: Callable[..., Backend], tmp_path: Path, process: str
) -> None:
    """Likewise with nginx."""
    daemon = startWith(serve(echo), listener=REQUIRED, process=process)
    port = freePort()
    server = (
        f"listen 127.0.0.1:{port}; proxy_protocol on; "
        f"proxy_pass 127.0.0.1:{daemon.port};"
    )
    with nginx(tmp_path, port, server):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            own = shown(client)
            assert asks(client, b"hello") == b"hello"
        eventually(lambda: own in clients(daemon))


@onBoth
@needs("curl")
def test_behindCurl(
    startWith: StartWith, web: Callable[..., Web], process: str
) -> None:
    """curl can begin with a header, too; without one it is refused."""
    daemon = startWith(web("behind"), listener=REQUIRED, process=process)
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]
    url = f"http://127.0.0.1:{daemon.port}/path"
    done = subprocess.run(
        [*command, "--haproxy-protocol", url], capture_output=True, check=True
    )
    assert done.stdout == b"behind /path\n"
    done = subprocess.run([*command, url], capture_output=True, check=False)
    assert done.returncode
    daemon.records(2)
    refused = daemon.ended()[-1]
    assert refused.end == "bad-proxy-header"
    assert refused.detail == 'expected a PROXY header, got "GET /path HTTP/1"'
    daemon.says('expected a PROXY header, got "GET /path HTTP/1"')


def backends(version: str, *ports: int) -> str:
    """The key of a pool whose backends are told."""
    tables = (
        f'{{ connect = "tcp:127.0.0.1:{port}", proxy-protocol = "{version}" }}'
        for port in ports
    )
    return f"backends = [{', '.join(tables)}]"


CHECKED = """
when-all-down = "refuse"
health-check = {{ initial = "down", rise = 1, interval = "50ms", {} }}
"""
"""The keys of a pool whose members are used once a check has passed."""


@onBoth
@needs("haproxy")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_beforeHAProxy(
    startWith: StartWith, tmp_path: Path, version: str, process: str
) -> None:
    """HAProxy behind it knows the client; its checks are what HAProxy expects."""
    port, other = freePort(), freePort()
    answer = " ".join(f"%[{each}]" for each in ["src", "src_port", "dst_port"])
    front = (
        f"bind 127.0.0.1:{port} accept-proxy\nbind 127.0.0.1:{other}\n"
        "http-request return status 200 content-type text/plain "
        f'lf-string "{answer}"'
    )
    check = CHECKED.format('kind = "http"')
    with haproxy(tmp_path, other, front, mode="http"):
        daemon = startWith(pool=f"{backends(version, port)}\n{check}", process=process)
        daemon.says("is up")
        with daemon.connect() as client:
            own = f"{shown(client).replace(':', ' ')} {daemon.port}"
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert readAll(client).endswith(f"\r\n\r\n{own}".encode())


@onBoth
@needs("nginx")
@pytest.mark.parametrize(
    ("version", "checker"), [("v1", "127.0.0.1 [0-9]+"), ("v2", " ")]
)
def test_beforeNginx(
    startWith: StartWith, tmp_path: Path, version: str, checker: str, process: str
) -> None:
    """
    nginx behind it knows the client that the header before it has named; and a check
    is one of lbproxy's own.
    """
    check = CHECKED.format(f'kind = "exchange", expect-regex = "^{checker}$"')
    port, other = freePort(), freePort()
    names = " ".join(f"$proxy_protocol_{each}" for each in ["addr", "port"])
    server = (
        f"listen 127.0.0.1:{port} proxy_protocol; listen 127.0.0.1:{other}; "
        f'return "{names}";'
    )
    with nginx(tmp_path, other, server):
        daemon = startWith(
            pool=f"{backends(version, port)}\n{check}",
            listener=REQUIRED,
            process=process,
        )
        daemon.says("is up")
        for header in HEADERS.values():
            with daemon.connect() as client:
                client.sendall(header)
                assert readAll(client) == b"192.0.2.7 1234"


@onBoth
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("listen", ["tcp", "unix"])
def test_byteByByte(
    startWith: StartWith,
    serve: Callable[..., Backend],
    short: str,
    header: str,
    listen: str,
    process: str,
) -> None:
    """A header in pieces, with the first bytes and with an end of stream behind it."""
    where = "tcp:0:interface=127.0.0.1" if listen == "tcp" else f"unix:{short}/socket"
    daemon = startWith(serve(echo), listener=REQUIRED, process=process, listen=where)
    whole = HEADERS[header]
    with daemon.connect() as client:
        if listen == "tcp":
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(whole)):
            client.sendall(whole[at : at + 1])
        assert asks(client, b"hello") == b"hello"
        client.shutdown(socket.SHUT_WR)
        assert readAll(client) == b""
    with daemon.connect() as client:
        client.sendall(whole + b"question")
        client.shutdown(socket.SHUT_WR)
        assert readAll(client) == b"question"
    assert clients(daemon, 2) == ["192.0.2.7:1234"] * 2
    assert {each.end for each in daemon.ended()} == {"client-closed"}


@onBoth
def test_wrongOnes(
    startWith: StartWith, serve: Callable[..., Backend], process: str
) -> None:
    """Who sends no header, half of one or none in time is no trouble to the others."""
    daemon = startWith(
        serve(echo),
        listener=f'{REQUIRED}\nproxy-header-timeout = "300ms"',
        process=process,
    )
    with daemon.connect() as client:
        client.sendall(b"SSH-2.0-x\r\n")
        assert outcome(client) == (b"", "FIN")
    with daemon.connect() as client:
        client.sendall(HEADERS["v2"][:20])
        assert outcome(client)[0] == b""
    with daemon.connect() as client:
        client.sendall(HEADERS["v1"][:20])
        client.shutdown(socket.SHUT_WR)
        assert outcome(client) == (b"", "FIN")
    for said in b"", HEADERS["v1"][:20]:
        leaving = daemon.connect()
        leaving.sendall(said)
        reset(leaving)
    ended = sorted(each.end for each in daemon.records(5))
    assert ended == [
        *("bad-proxy-header", "bad-proxy-header"),
        *("client-closed", "client-reset", "client-reset"),
    ]
    with daemon.connect() as client:
        client.sendall(HEADERS["v2"])
        assert asks(client, b"hello") == b"hello"


@onBoth
def test_muchBehindIt(
    startWith: StartWith, serve: Callable[..., Backend], process: str
) -> None:
    """What follows a header at full speed is all there, and in order."""
    said = bytes(range(256)) * 20_000
    found = []
    daemon = startWith(
        serve(lambda connected: found.append(readAll(connected))),
        listener=REQUIRED,
        process=process,
    )
    with daemon.connect() as client:
        client.sendall(HEADERS["v2"] + said)
        client.shutdown(socket.SHUT_WR)
        assert readAll(client) == b""
    assert found == [said]


@onBoth
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_chain(
    startWith: StartWith,
    serve: Callable[..., Backend],
    tmp_path: Path,
    version: str,
    process: str,
) -> None:
    """Of two lbproxys, the one behind believes the one before it."""
    behind = startWith(serve(echo), listener=REQUIRED, process=process)
    before = startWith(pool=backends(version, behind.port), process=process)
    with before.connect() as client:
        own = shown(client)
        assert asks(client, b"hello") == b"hello"
    assert clients(behind) == clients(before) == [own]
    for daemon, proxied in (behind, True), (before, False):
        log = (daemon.directory / "access.log").read_text()
        assert (" proxy=127.0.0.1:" in log) is proxied


@onBoth
@pytest.mark.parametrize("said", [b"", b"question"])
def test_resetAtOnce(
    startWith: StartWith, serve: Callable[..., Backend], said: bytes, process: str
) -> None:
    """A backend may be gone when the header is written; its client is cut off, too."""
    # Where the reset comes first, the dial has failed.
    daemon = startWith(
        pool=f"retries = 0\n{backends('v2', serve(reset).port)}", process=process
    )
    for _ in range(50):
        with suppress(ConnectionResetError), daemon.connect() as client:
            client.sendall(said)
            assert outcome(client)[0] == b""
    ends = {each.end for each in daemon.records(50)}
    assert "backend-reset" in ends
    assert ends <= {"backend-reset", "connect-failed"}


# By server name.


def names(connect: str, other: int, listener: str = "") -> dict[str, Any]:
    """Keys that send the clients of one server, and those of a protocol, elsewhere."""
    routes = (
        '{ server-name = "*.b.example", pool = "b" }, { alpn = "acme", pool = "b" }'
    )
    return {
        "listener": f"routes = [{routes}]\n{listener}",
        "pool": (
            f'backends = ["{connect}"]\n[pool.b]\nbackends = ["tcp:127.0.0.1:{other}"]'
        ),
    }


def server(
    serve: Callable[..., Backend], authority: trustme.CA, name: str, *alpn: str
) -> Backend:
    """A TLS server that says its name, and what was agreed on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("www.a.example", "www.b.example").configure_cert(context)
    context.set_alpn_protocols(alpn)

    def converse(connected: socket.socket) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(connected, server_side=True) as secured,
        ):
            agreed = secured.selected_alpn_protocol()
            secured.sendall(f"{name} {agreed}".encode())
            secured.unwrap()

    return serve(converse)


@onBoth
@needs("openssl")
def test_byServerName(
    startWith: StartWith,
    serve: Callable[..., Backend],
    authority: trustme.CA,
    process: str,
) -> None:
    """OpenSSL's client reaches the server that it names, and agrees on h2 with it."""
    a, b = (server(serve, authority, name, "h2", "acme") for name in "ab")
    daemon = startWith(**names(a.connect, b.port), process=process)

    def says(*options: str) -> bytes:
        command = [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{daemon.port}"),
            *("-quiet", "-no_ign_eof", *options),
        ]
        # Its standard input stays open: at the end of that it would leave.
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            return process.stdout.read()

    assert says("-servername", "www.b.example", "-alpn", "h2") == b"b h2"
    assert says("-servername", "www.a.example", "-alpn", "h2") == b"a h2"
    assert says("-noservername") == b"a None"
    assert says("-servername", "www.a.example", "-alpn", "acme") == b"b acme"
    assert says("-servername", "www.b.example", "-tls1_2") == b"b None"


def hello(name: str) -> bytes:
    """A ClientHello of 16 KB that comes in 2,700 records."""
    said = ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.set_alpn_protocols(["x" * 255] * 8)
    secured = context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        secured.do_handshake()
    message = said.read()[5:]
    return b"".join(b"\x16\x03\x01\0\x01" + bytes([each]) for each in message)


@onBoth
def test_inTinyPieces(
    startWith: StartWith, serve: Callable[..., Backend], process: str
) -> None:
    """The kernel has room for a ClientHello that comes byte by byte, unread."""
    said = hello("www.b.example")
    assert 12_000 < len(said) < 16_384
    daemon = startWith(**names(serve(drain).connect, serve(echo).port), process=process)
    with daemon.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(said)):
            client.sendall(said[at : at + 1])
        client.shutdown(socket.SHUT_WR)
        assert readAll(client) == said


@onBoth
def test_onlyTLS(startWith: StartWith, web: Callable[..., Web], process: str) -> None:
    """Who speaks HTTP is served in the clear by the default pool, or refused."""
    page = web("page")
    request = b"GET /x HTTP/1.0\r\n\r\n"
    daemon = startWith(**names(page.connect, 1), process=process)
    with daemon.connect() as client:
        client.sendall(request)
        assert readAll(client).endswith(b"page /x\n")
    strict = startWith(**names(page.connect, 1, "require-tls = true"), process=process)
    with strict.connect() as client:
        client.sendall(request)
        assert outcome(client) == (b"", "FIN")
    assert strict.record().detail == "not TLS: looks like HTTP"
    strict.says("bad-client-hello: connection 1 of listener front")
