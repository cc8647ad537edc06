"""Handshakes on sockets of our own: how they begin, wait, fail, and are dialled."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journeys import Certificates, TLSPeer
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionRefusedError

from lbproxy.streams.socketloop import SocketLoop
from lbproxy.streams.stream import Mode, Stream, Unheard
from lbproxy.streams.tlsdials import TLSDial
from lbproxy.streams.tlsstreams import TLSStream

from .bench import Notes
from .test_socketloop import Reactor


class Story(Notes):
    """One stream, its far end, and a loop that is turned by hand."""

    def __init__(self, certificates: Certificates) -> None:
        super().__init__()
        self.certificates = certificates
        self.reactor = Reactor()
        self.loop = SocketLoop(self.reactor)
        self.waits = False
        self.far: socket.socket | None = None
        self.peer: TLSPeer | None = None

    def accept(self) -> TLSStream:
        """A stream of a client that has just connected."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.far = socket.create_connection(listening.getsockname())
            accepted, _ = listening.accept()
        near = socket.SocketType(
            accepted.family, accepted.type, accepted.proto, accepted.detach()
        )
        self.far.setblocking(False)
        self.stream = stream = TLSStream(self, near, self.loop, self.serving())
        self.loop.add(near.fileno(), stream)
        stream.begin()
        return stream

    def serving(self) -> SSL.Connection:
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate_file(str(self.certificates.directory / "cert.pem"))
        context.use_privatekey_file(str(self.certificates.directory / "key.pem"))
        connection = SSL.Connection(context, None)
        connection.set_accept_state()
        return connection

    def asking(self) -> SSL.Connection:
        context = SSL.Context(SSL.TLS_METHOD)
        roots = self.certificates.directory / "roots" / "ca.pem"
        context.load_verify_locations(str(roots))
        context.set_verify(SSL.VERIFY_PEER)
        connection = SSL.Connection(context, None)
        connection.set_connect_state()
        return connection

    def speak(
        self, far: socket.socket, context: ssl.SSLContext, **names: object
    ) -> None:
        """Have the far end speak TLS."""
        far.setblocking(False)
        self.peer = TLSPeer(far, context, **names)

    def until(self, question: Callable[[], object]) -> None:
        """Turn the loop, and move the far end, until something is so."""
        for _ in range(2000):
            if question():
                return
            self.turn()
        raise AssertionError(f"it never came to that: {self.told}")

    def turn(self) -> None:
        self.reactor.turn()
        if self.peer is not None:
            self.peer.move()

    def streamShakes(self, stream: Stream) -> None:
        self.told.append("shakes")
        if self.waits:
            stream.pauseProducing()

    # What the owner of a dial is told.

    def dialled(self, stream: Stream) -> None:
        stream.owner = self
        self.streamReady(stream)

    def dialFailed(self, reason: object) -> None:
        self.told.append("failed")
        self.reason = reason  # type: ignore[assignment]

    def close(self) -> None:
        if self.stream is not None and self.stream.mode is not Mode.LOST:
            self.stream.abort()
        if self.far is not None:
            self.far.close()
        for _ in range(3):
            self.reactor.turn()
        assert not self.reactor.readers


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def story(certificates: Certificates) -> Iterator[Story]:
    story = Story(certificates)
    yield story
    story.close()


CLIENT = {"server_hostname": "127.0.0.1"}


def test_waitsItsTurn(story: Story) -> None:
    """A handshake that is paused says nothing before it is resumed."""
    story.waits = True
    stream = story.accept()
    assert story.far is not None
    story.speak(story.far, story.certificates.client, **CLIENT)
    for _ in range(20):
        story.turn()
    assert story.told == ["shakes"]
    stream.resumeProducing()
    story.until(lambda: "ready" in story.told)


def test_resetBeforeItsTurn(story: Story) -> None:
    """A client that resets meanwhile is gone."""
    story.waits = True
    story.accept()
    assert story.far is not None
    story.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    story.far.close()
    story.until(lambda: "lost" in story.told)
    assert story.told == ["shakes", "lost"]


def test_wrongMessage(story: Story) -> None:
    """A client that makes a mistake is told so by an alert, not by a reset."""
    story.accept()
    assert story.far is not None
    story.far.send(b"\x16\x03\x01\x00\x04\xff\x00\x00\x00")
    story.until(lambda: "lost" in story.told)
    assert story.reason is not None
    assert story.reason.check(SSL.Error)
    said = story.far.recv(100)
    assert said[:1] == b"\x15"  # An alert.
    assert story.far.recv(100) == b""


def test_leavesDuringTheHandshake(story: Story) -> None:
    """A client that leaves is lost, and never ready."""
    story.accept()
    assert story.far is not None
    story.far.send(b"\x16\x03\x01")
    story.turn()
    story.far.shutdown(socket.SHUT_WR)
    story.until(lambda: "lost" in story.told)
    assert story.told == ["shakes", "lost"]
    assert story.reason is not None
    assert not story.reason.check(ConnectionDone, Unheard)


def test_leavesBefore(story: Story) -> None:
    """One that leaves without a word is told from that: it may be a health check."""
    story.accept()
    assert story.far is not None
    story.far.shutdown(socket.SHUT_WR)
    story.until(lambda: "lost" in story.told)
    assert story.reason is not None
    assert story.reason.check(Unheard)


class Dialled(Story):
    """A story in which a TLS server is dialled."""

    def dial(self) -> TLSDial:
        self.listening = socket.create_server(("127.0.0.1", 0))
        where = self.listening.getsockname()
        return TLSDial(self, self.loop, where, None, 0, self.asking)

    def answer(self) -> None:
        self.far, _ = self.listening.accept()
        self.speak(self.far, self.certificates.server, server_side=True)

    def close(self) -> None:
        self.listening.close()
        super().close()


@pytest.fixture
def dialled(certificates: Certificates) -> Iterator[Dialled]:
    dialled = Dialled(certificates)
    yield dialled
    dialled.close()


def test_dialled(dialled: Dialled) -> None:
    """A dial is over when the handshake is."""
    dialled.dial()
    for _ in range(5):
        dialled.turn()
    assert dialled.told == []
    dialled.answer()
    dialled.until(lambda: dialled.told == ["ready"])
    assert dialled.stream is not None
    dialled.stream.write(b"hello")
    dialled.until(lambda: dialled.peer is not None and dialled.peer.received)


@pytest.mark.parametrize("when", ["connecting", "shaking"])
def test_cancelled(dialled: Dialled, when: str) -> None:
    """A dial that is cancelled says no more, and nothing is left of it."""
    dial = dialled.dial()
    if when == "shaking":
        for _ in range(5):
            dialled.turn()
    dial.cancel()
    dial.cancel()
    for _ in range(5):
        dialled.turn()
    assert dialled.told == []
    assert not dialled.reactor.readers


def test_unverified(dialled: Dialled) -> None:
    """A server whose certificate is not verified is a failed dial."""
    dialled.dial()
    for _ in range(5):
        dialled.turn()
    dialled.certificates = Certificates(_fresh(dialled.certificates.directory))
    dialled.answer()
    dialled.until(lambda: dialled.told)
    assert dialled.told == ["failed"]
    assert dialled.reason is not None
    assert dialled.reason.check(SSL.Error)


def _fresh(beside: Path) -> Path:
    fresh = beside / "others"
    fresh.mkdir()
    return fresh


def test_refused(dialled: Dialled) -> None:
    """Where nothing listens, the dial says so."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        where = closed.getsockname()
    dialled.listening = closed
    TLSDial(dialled, dialled.loop, where, None, 0, dialled.asking)
    dialled.until(lambda: dialled.told)
    assert dialled.told == ["failed"]
    assert dialled.reason is not None
    assert dialled.reason.check(ConnectionRefusedError)


def test_answersAndCloses(certificates: Certificates) -> None:
    """
    A server that answers an upload early, and closes with much of it unread, has its
    answer delivered each time.
    """
    for _ in range(150):
        answersAndCloses(Dialled(certificates))


def answersAndCloses(story: Dialled) -> None:
    story.dial()
    story.answer()
    story.until(lambda: story.told)
    stream, peer = story.stream, story.peer
    assert stream is not None
    assert peer is not None
    stream.flow(story.pieces.append)
    stream.write(bytes(100_000))
    peer.send(b"enough")
    peer.move()
    peer.socket.close()  # With much unread: that is a reset, after the answer.
    stream.write(bytes(100_000))
    story.peer = None
    story.until(lambda: "lost" in story.told)
    assert story.heard == b"enough"
    story.close()
