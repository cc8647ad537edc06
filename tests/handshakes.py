"""Handshakes in memory, with certificates of the tests' own."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import trustme
from OpenSSL import SSL

from lbproxy.streams.clientcontexts import ClientContexts
from lbproxy.streams.tlsclient import ClientConnection, ClientTLS
from lbproxy.testing import Far, MemoryNetwork
from lbproxy.words.tlsoptions import TLSOptions

DAY = timedelta(days=1)


@cache
def authority(name: str) -> trustme.CA:
    """An authority, which every test of a process has in common."""
    return trustme.CA(organization_name=name)


@cache
def issued(
    *names: str, by: str = "ours", begins: int = -1, ends: int = 30
) -> trustme.LeafCert:
    """A certificate, and its key."""
    now = datetime.now(UTC)
    return authority(by).issue_cert(
        *names, not_before=now + begins * DAY, not_after=now + ends * DAY
    )


def written(directory: Path, name: str, *blobs: trustme.Blob) -> str:
    """Write PEM into a file; its path."""
    path = directory / name
    path.write_bytes(b"".join(each.bytes() for each in blobs))
    return str(path)


class Server:
    """The TLS of a backend, in memory."""

    def __init__(
        self,
        certificate: trustme.LeafCert,
        highest: int = SSL.TLS1_3_VERSION,
        alpn: bytes = b"",
        clients: trustme.CA | None = None,
    ) -> None:
        """
        @param highest: Its highest version of TLS.
        @param alpn: The one protocol it speaks.
        @param clients: The authority whose certificates clients need.
        """
        self.context = SSL.Context(SSL.TLS_SERVER_METHOD)
        certificate.configure_cert(self.context)
        self.context.set_max_proto_version(highest)
        self.context.set_session_id(b"tests")
        self.names: list[bytes | None] = []
        if alpn:
            self.context.set_alpn_select_callback(lambda _, offered: alpn)
        if clients is not None:
            clients.configure_trust(self.context)
            required = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
            self.context.set_verify(required, lambda *judged: bool(judged[-1]))

    def connection(self) -> SSL.Connection:
        """The server's end of one connection."""
        connection = SSL.Connection(self.context, None)
        connection.set_accept_state()
        return connection


def clientTLS(
    name: str = "a.internal", contexts: ClientContexts | None = None, **options: Any
) -> ClientTLS:
    """What connects to a backend with a name."""
    resumes = options.pop("resumes", True)
    made = contexts or ClientContexts()
    return ClientTLS(made, TLSOptions(**options), name, resumes)


def move(one: SSL.Connection, other: SSL.Connection) -> bool:
    """Take what one has to send to the other; whether there was anything."""
    try:
        other.bio_write(one.bio_read(1 << 16))
    except SSL.WantReadError:
        return False
    return True


def shake(client: ClientConnection, server: SSL.Connection) -> None:
    """Make the handshake; raises what the client's raises, or else the server's."""
    left = [client, server]
    while left:
        for each in tuple(left):
            try:
                each.do_handshake()
                left.remove(each)
            except SSL.WantReadError:
                pass
            except SSL.Error:
                if each is server:
                    # What it has to say about that is what a client would know.
                    move(server, client)
                    client.do_handshake()
                raise
        moved = [move(client, server), move(server, client)]
        assert any(moved) or not left, "nothing moves"


def exchange(client: SSL.Connection, server: SSL.Connection) -> None:
    """A byte each way, and a close in good order."""
    for one, other in (client, server), (server, client):
        one.send(b"!")
        move(one, other)
        assert other.recv(10) == b"!"
    for one, other in (client, server), (server, client):
        one.shutdown()
        move(one, other)


def connected(tls: ClientTLS, server: Server) -> tuple[ClientConnection, Any]:
    """Both ends of a connection that is established."""
    client, other = tls.connection(), server.connection()
    shake(client, other)
    return client, other


class SecureFar:
    """
    The TLS of a backend in a network in memory, at the far end of a connection.

    @ivar heard: What it was told.
    @ivar alerts: What the other end has complained of, in OpenSSL's words.
    """

    def __init__(self, network: MemoryNetwork, far: Far, server: Server) -> None:
        self.heard = b""
        self.alerts: list[str] = []
        self.tls = server.connection()
        self._network = network
        self._far = far
        self._taken = 0
        self._shaken = False

    def settle(self) -> SecureFar:
        """Answer whatever comes, until nothing comes any more."""
        self._network.settle()
        while self._taken < len(self._far.received):
            self.tls.bio_write(bytes(self._far.received[self._taken :]))
            self._taken = len(self._far.received)
            self._hear()
            self.flush()
        return self

    def say(self, data: bytes) -> SecureFar:
        """Say something, and answer what comes then."""
        self.tls.send(data)
        self.flush()
        return self.settle()

    def flush(self) -> None:
        """Send what there is to send."""
        with suppress(SSL.WantReadError):
            while not self._far.closed:
                self._far.send(self.tls.bio_read(1 << 16))
        self._network.settle()

    def _hear(self) -> None:
        try:
            if not self._shaken:
                self.tls.do_handshake()
                self._shaken = True
            while True:
                self.heard += self.tls.recv(1 << 16)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            pass
        except SSL.Error as error:
            self.alerts.append(error.args[0][-1][-1])
