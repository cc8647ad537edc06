"""
What real TLS clients ask for is read from their sockets, and their handshakes go on as
if nobody had looked.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import pytest
import trustme

from lbproxy.streams.clienthello import (
    HELLO_LIMIT,
    ClientHello,
    HelloReader,
    NotTLS,
)

from .balancers import haproxy, needs, nginx
from .daemon import PATIENCE, freePort
from .peers import Backend, asks, echo

ASKED = ClientHello("web.example", (b"h2", b"http/1.1"), True)


class Looker:
    """
    A TLS server that looks at what its clients ask for before the handshake.

    @ivar heard: What came of it, and what the handshake says that was asked for.
    """

    def __init__(self, authority: trustme.CA) -> None:
        self.heard: SimpleQueue[tuple[ClientHello | NotTLS, str]] = SimpleQueue()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("web.example").configure_cert(self._context)
        self._context.set_alpn_protocols(["http/1.1"])
        self._context.sni_callback = self._named
        self._names: dict[object, str] = {}

    def _named(self, secured: ssl.SSLObject, name: str | None, _: object) -> None:
        self._names[secured] = name or ""

    def __call__(self, connected: socket.socket) -> None:
        """Have one conversation."""
        reader = HelloReader()
        seen, limit = b"", 1
        while (found := reader.read(seen)) is None:
            # One byte more each time.
            seen = connected.recv(limit, socket.MSG_PEEK | socket.MSG_WAITALL)
            if len(seen) < limit:
                # Somebody looked whether anybody listens.
                return
            limit += 1
            assert limit <= HELLO_LIMIT
        if isinstance(found, NotTLS):
            self.heard.put((found, ""))
            return
        # Whoever only looked is gone, and curl ends without close_notify.
        with (
            suppress(ssl.SSLError),
            self._context.wrap_socket(
                connected, server_side=True, do_handshake_on_connect=False
            ) as secured,
        ):
            secured.do_handshake()
            self.heard.put((found, self._names[secured]))
            echo(secured)


@pytest.fixture
def looker(authority: trustme.CA) -> Looker:
    """A server that looks first."""
    return Looker(authority)


@pytest.fixture
def port(serve: Callable[..., Backend], looker: Looker) -> int:
    """Where it listens."""
    return serve(looker).port


def hears(looker: Looker) -> ClientHello:
    """What the next client asks for; the handshake has to say the same name."""
    found, name = looker.heard.get(timeout=PATIENCE)
    assert isinstance(found, ClientHello)
    assert found.serverName == name
    return found


@needs("openssl")
@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_openssl(looker: Looker, port: int, version: str) -> None:
    """OpenSSL's own client."""
    command = [
        *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", f"-{version}"),
        *("-servername", "web.example", "-alpn", "h2,http/1.1", "-brief"),
    ]
    done = subprocess.run(
        command, input=b"", capture_output=True, timeout=PATIENCE, check=False
    )
    assert b"CONNECTION ESTABLISHED" in done.stderr
    found = hears(looker)
    assert (found.serverName, found.alpn) == (ASKED.serverName, ASKED.alpn)
    assert found.offersTLS13 is (version == "tls1_3")


@needs("curl")
def test_curl(looker: Looker, port: int, roots: Path) -> None:
    """curl, which offers what it speaks."""
    url = f"https://web.example:{port}/"
    command = [
        *("curl", "--silent", "--show-error", "--http0.9", "--max-time", "20"),
        *("--cacert", str(roots / "authority.pem"), "--head"),
        *("--resolve", f"web.example:{port}:127.0.0.1", url),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        found = hears(looker)
        process.terminate()
    assert found.serverName == "web.example"
    assert b"http/1.1" in found.alpn
    assert found.offersTLS13


@needs("haproxy")
def test_haproxy(looker: Looker, port: int, tmp_path: Path) -> None:
    """HAProxy as the client of a TLS backend."""
    front = freePort()
    to = (
        f"server it 127.0.0.1:{port} ssl verify none "
        "sni str(web.example) alpn h2,http/1.1"
    )
    with haproxy(tmp_path, front, f"bind 127.0.0.1:{front}", to):
        with socket.create_connection(("127.0.0.1", front), PATIENCE) as client:
            assert asks(client, b"hello") == b"hello"
        assert hears(looker) == ASKED


@needs("nginx")
def test_nginx(looker: Looker, port: int, tmp_path: Path) -> None:
    """nginx, which offers no protocols."""
    front = freePort()
    server = (
        f"listen 127.0.0.1:{front}; proxy_pass 127.0.0.1:{port}; proxy_ssl on; "
        "proxy_ssl_server_name on; proxy_ssl_name web.example;"
        "proxy_ssl_protocols TLSv1.2 TLSv1.3;"
    )
    with nginx(tmp_path, front, server):
        with socket.create_connection(("127.0.0.1", front), PATIENCE) as client:
            assert asks(client, b"hello") == b"hello"
        assert hears(looker) == ClientHello("web.example", (), True)


@needs("curl")
def test_http(looker: Looker, port: int) -> None:
    """A client that speaks HTTP where TLS is expected."""
    subprocess.run(
        ["curl", "--silent", "--max-time", "20", f"http://127.0.0.1:{port}/"],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    found, _ = looker.heard.get(timeout=PATIENCE)
    assert isinstance(found, NotTLS)
