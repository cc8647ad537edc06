"""
Canaries: what plain Twisted, or the kernel, does that makes each trick of
lbproxy's necessary, and possible.

Each names the trick that it guards.  When one fails, a new Twisted has made that
trick wrong or needless.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_twisted
from journeys import Certificates
from OpenSSL.SSL import RECEIVED_SHUTDOWN
from pytest_twisted import ensureDeferred
from twisted.internet import reactor, tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IHandshakeListener,
)
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from lbproxy.streams import transports
from lbproxy.streams.kinds import lowest, undelivered

from .plain import (
    HalfClosing,
    Idle,
    Pairs,
    Plain,
    ended,
    narrow,
    reads,
    reset,
    turns,
    until,
)

SHORT = b"a short message"
LARGE = b"x" * (8 << 20)
"""More than a kernel takes for a far end that does not read."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest_twisted.async_yield_fixture
async def pairs(certificates: Certificates) -> AsyncIterator[Pairs]:
    pairs = Pairs(certificates)
    yield pairs
    await pairs.close()


class TestLoss:
    """Why sends and losses are taken over."""

    @ensureDeferred
    async def test_failedSend(self, pairs: Pairs) -> None:
        """
        Guards C{hook}, C{TransportStream.send}: Twisted closes a socket on which
        a send failed, and with it goes what had arrived.
        """
        protocol, far = await pairs.unix(Plain())
        protocol.transport.pauseProducing()
        far.send(SHORT)
        far.shutdown(socket.SHUT_RD)
        protocol.transport.write(b"x")
        await until(lambda: protocol.told)
        assert protocol.reason.check(ConnectionLost)
        assert protocol.heard == b""

    @ensureDeferred
    async def test_pausedAndReset(self, pairs: Pairs) -> None:
        """
        Guards C{readOut}: a paused socket with something to send is lost with
        its unread input.
        """
        protocol, far = await pairs.tcp(Plain())
        protocol.transport.pauseProducing()
        protocol.transport.write(LARGE)
        await turns()
        far.send(SHORT)
        reset(far)
        await until(lambda: protocol.told)
        assert protocol.heard == b""

    @ensureDeferred
    async def test_pausedAndIdle(self, pairs: Pairs) -> None:
        """
        Guards the reading of streams that are held: one that is paused and has
        nothing to send does not hear of a reset.
        """
        protocol, far = await pairs.tcp(Plain())
        protocol.transport.pauseProducing()
        await turns()
        reset(far)
        await turns()
        assert protocol.told == []

    @ensureDeferred
    async def test_hooks(self, pairs: Pairs) -> None:
        """
        Guards C{hook}: Twisted calls what stands on the object in the place of
        its C{writeSomeData} and C{connectionLost}, while the socket is open.
        """
        protocol, far = await pairs.tcp(Plain())
        transport, calls = protocol.transport, list[Failure]()

        def send(data: bytes) -> int:
            calls.append(bytes(data))
            return len(data)

        def lost(reason: Failure) -> None:
            calls.append(transport.socket.fileno() >= 0)
            del vars(transport)["connectionLost"]
            transport.connectionLost(reason)

        vars(transport).update(writeSomeData=send, connectionLost=lost)
        transport.write(SHORT)
        await until(lambda: calls)
        reset(far)
        await until(lambda: protocol.told)
        assert calls == [SHORT, True]
        assert not hasattr(transport, "socket")

    @ensureDeferred
    async def test_abortTellsLater(self, pairs: Pairs) -> None:
        """
        Guards C{giveUp} and C{descriptorLost}: an aborted transport tells a turn
        later, through the C{connectionLost} that it had when it was aborted.
        """
        protocol, _ = await pairs.tcp(Plain())
        transport, calls = protocol.transport, list[Failure]()
        vars(transport)["connectionLost"] = calls.append
        transport.abortConnection()
        assert calls == []
        del vars(transport)["connectionLost"]
        await until(lambda: calls)
        assert protocol.told == []
        transport.connectionLost(*calls)
        transport.connectionLost(*calls)
        assert protocol.told == ["lost"]

    @ensureDeferred
    async def test_lastBytesFailed(self, pairs: Pairs) -> None:
        """
        Guards C{sendFailed}: C{_writeDisconnecting} is what has the end sent, be
        it behind bytes that were dropped.
        """
        for cleared in (False, True):
            protocol, far = await pairs.tcp(HalfClosing())
            transport = protocol.transport
            vars(transport)["writeSomeData"] = len
            transport.write(SHORT)
            transport.loseWriteConnection()
            assert transport._writeDisconnecting
            if cleared:
                transport._writeDisconnecting = False
            await turns()
            assert ended(far) is not cleared

    def test_sendTakesTheError(self) -> None:
        """
        Guards C{_dead} and C{_ONLY_WRITING}: a send takes the error of a reset
        with it, and the next read finds an end; only EPIPE says that it is one.
        """
        for ends, number in ((False, errno.ECONNRESET), (True, errno.EPIPE)):
            with socket.create_server(("127.0.0.1", 0)) as listening:
                near = socket.create_connection(listening.getsockname())
                far, _ = listening.accept()
            far.send(SHORT)
            if ends:
                far.shutdown(socket.SHUT_WR)
            reset(far)
            with pytest.raises(OSError) as error:
                near.send(b"x")
            assert error.value.errno == number
            assert near.recv(100) == SHORT
            assert near.recv(100) == b""
            near.close()

    def test_sendLimit(self) -> None:
        """Guards C{_SEND_LIMIT}: so much Twisted offers at once."""
        assert transports._SEND_LIMIT == FileDescriptor.SEND_LIMIT

    @ensureDeferred
    async def test_closeWithInputUnread(self, pairs: Pairs) -> None:
        """
        Guards C{finish}: Twisted's close is a reset if input is unread, and
        takes the tail of what was written with it.
        """
        protocol, far = await pairs.tcp(Plain())
        protocol.transport.pauseProducing()
        far.send(SHORT)
        protocol.transport.write(LARGE[:300_000])
        protocol.transport.loseConnection()
        await until(lambda: protocol.told)
        assert protocol.reason.check(ConnectionDone)
        await turns()
        assert len(reads(far)()) < 300_000


class TestHalfClose:
    """Why protocols, producers and ends are handled as they are."""

    @ensureDeferred
    async def test_wrapper(self) -> None:
        """
        Guards C{SocketKind.attach}: the wrapper that client endpoints put in
        between forgets half-close for a protocol that listens for handshakes.
        """

        @implementer(IHandshakeListener)
        class Both(HalfClosing):
            def handshakeCompleted(self) -> None: ...

        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{port}")
            protocol = await endpoint.connect(Factory.forProtocol(Both))
            wrapper = protocol.transport.protocol
            assert wrapper is not protocol
            assert IHalfCloseableProtocol.providedBy(protocol)
            assert not IHalfCloseableProtocol.providedBy(wrapper)
            protocol.transport.abortConnection()
            await until(lambda: protocol.told)

    @ensureDeferred
    async def test_endAgain(self, pairs: Pairs) -> None:
        """
        Guards C{resumeProducing}: a transport that has ended and is read again
        is found at its end again.
        """
        protocol, far = await pairs.tcp(HalfClosing())
        far.shutdown(socket.SHUT_WR)
        await until(lambda: protocol.told == ["ended"])
        protocol.transport.resumeProducing()
        await until(lambda: protocol.told == ["ended", "ended"])

    @ensureDeferred
    async def test_producerKeepsItOpen(self, pairs: Pairs) -> None:
        """
        Guards C{unregisterProducer} before every close: with a producer that
        was paused, Twisted never closes.
        """
        protocol, far = await pairs.tcp(Plain())
        producer = Idle()
        protocol.transport.registerProducer(producer, True)
        protocol.transport.write(LARGE)
        protocol.transport.loseConnection()
        read = reads(far)
        await until(lambda: len(read()) == len(LARGE))
        await turns()
        assert producer.told == ["pause", "resume"]
        assert protocol.told == []
        protocol.transport.unregisterProducer()
        await until(lambda: protocol.told)

    @ensureDeferred
    async def test_producerSwallowsTheEnd(self, pairs: Pairs) -> None:
        """
        Guards C{unregisterProducer} before every end: with a producer that was
        paused, the end is never sent.
        """
        protocol, far = await pairs.tcp(HalfClosing())
        protocol.transport.registerProducer(Idle(), True)
        protocol.transport.write(LARGE)
        protocol.transport.loseWriteConnection()
        read = reads(far)
        await until(lambda: len(read()) == len(LARGE))
        await turns()
        assert protocol.told == []
        protocol.transport.unregisterProducer()
        await turns()
        assert not ended(far)

    @ensureDeferred
    async def test_lossStopsTheProducer(self, pairs: Pairs) -> None:
        """
        Guards C{TransportStream.stopProducing} and that a relay's producers are
        streams: a lost transport stops its producer, which would close it.
        """
        protocol, far = await pairs.tcp(Plain())
        other, beyond = await pairs.tcp(Plain())
        protocol.transport.registerProducer(other.transport, True)
        reset(far)
        await until(lambda: other.told)
        assert ended(beyond)


class TestTLS:
    """What Twisted's TLS does otherwise."""

    @ensureDeferred
    async def test_loseWriteConnection(self, pairs: Pairs) -> None:
        """
        Guards C{TLSKind.end}: C{loseWriteConnection} half-closes the TCP below,
        without a close_notify.
        """
        protocol, far = await pairs.tls(Plain())
        protocol.transport.loseWriteConnection()
        await pairs.moving(far, lambda: far.sawReset or far.sawEnd)
        assert far.truncated

    @ensureDeferred
    async def test_copiedInterfaces(self, pairs: Pairs) -> None:
        """
        Guards C{kindOf}: its transport provides interfaces that it only copies
        from the one below.
        """
        protocol, _ = await pairs.tls(Plain())
        assert IHalfCloseableDescriptor.providedBy(protocol.transport)
        assert isinstance(lowest(protocol.transport), tcp.Connection)

    @ensureDeferred
    async def test_cutOrReset(self, pairs: Pairs) -> None:
        """
        Guards C{Truncated}: it tells of an end without close_notify and of a
        reset in the same words, but TCP below does not.
        """
        for cut, below in ((True, ConnectionDone), (False, ConnectionLost)):
            protocol, far = await pairs.tls(Plain())
            transport, reasons = lowest(protocol.transport), list[Failure]()

            def lost(reason: Failure, transport=transport, reasons=reasons) -> None:
                reasons.append(reason)
                del vars(transport)["connectionLost"]
                transport.connectionLost(reason)

            vars(transport)["connectionLost"] = lost
            far.cut() if cut else far.reset()
            await until(lambda protocol=protocol: protocol.told)
            assert protocol.reason.type is ConnectionLost
            assert reasons[0].type is below

    @ensureDeferred
    async def test_receivedShutdown(self, pairs: Pairs) -> None:
        """
        Guards C{TLSKind.heardOut}: when the loss is told, its connection is
        still there, and knows whether a close_notify has come.
        """

        class Asks(Plain):
            def connectionLost(self, reason: Failure) -> None:
                handle = self.transport.getHandle()
                self.heardOut = handle.get_shutdown() & RECEIVED_SHUTDOWN
                super().connectionLost(reason)

        for cut in (True, False):
            protocol, far = await pairs.tls(Asks())
            far.cut() if cut else far.end()
            await pairs.moving(far, lambda protocol=protocol: protocol.told)
            assert bool(protocol.heardOut) is not cut

    @ensureDeferred
    async def test_producerKeepsItOpen(self, pairs: Pairs) -> None:
        """
        Guards C{unregisterProducer} before every close: it never closes with any
        producer, paused or not.
        """
        protocol, far = await pairs.tls(Plain())
        protocol.transport.registerProducer(Idle(), True)
        protocol.transport.loseConnection()
        await turns()
        far.move()
        assert not far.sawEnd
        protocol.transport.unregisterProducer()
        await pairs.moving(far, lambda: far.sawEnd)

    @ensureDeferred
    async def test_closeWaits(self, pairs: Pairs) -> None:
        """Guards C{Limit.LINGER}: its close waits for the peer's, however long."""
        protocol, far = await pairs.tls(Plain())
        protocol.transport.loseConnection()
        await pairs.moving(far, lambda: far.sawEnd)
        await turns()
        assert protocol.told == []

    @ensureDeferred
    async def test_plaintextHeld(self, pairs: Pairs) -> None:
        """
        Guards C{_heldByTLS}: small writes wait in C{_aggregator._buffer} for the
        next turn, and before the handshake is over in C{_appSendBuffer}.
        """
        protocol, far = await pairs.tls(Plain(), shaken=False)
        transport = protocol.transport
        transport.write(SHORT)
        assert transport._aggregator._buffer == [SHORT]
        assert transport._appSendBuffer == []
        await turns()
        assert transport._aggregator._buffer == []
        assert transport._appSendBuffer == [SHORT]
        await pairs.moving(far, lambda: far.received == SHORT)
        assert transport._appSendBuffer == []


class TestCounts:
    """How it is known what was delivered."""

    @ensureDeferred
    async def test_buffers(self, pairs: Pairs) -> None:
        """
        Guards C{_buffered}: what is neither in C{dataBuffer}, from C{offset} on,
        nor counted by C{_tempDataLen} the kernel has been given.
        """
        protocol, far = await pairs.tcp(Plain())
        transport = protocol.transport
        transport.write(SHORT)
        transport.write(SHORT)
        assert transport._tempDataLen == 2 * len(SHORT)
        assert len(transport.dataBuffer) == 0
        transport.write(LARGE)
        await turns(30)
        transport.write(SHORT)
        assert transport._tempDataLen == len(SHORT)
        held = len(transport.dataBuffer) - transport.offset + len(SHORT)
        assert transport.offset > 0
        transport.stopWriting()
        read = reads(far)
        await until(lambda: read() and not undelivered(transport))
        assert len(read()) + held == 3 * len(SHORT) + len(LARGE)

    def test_endCounts(self) -> None:
        """Guards C{SocketKind.transit}: an end that waits counts as a byte."""
        with narrow() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            near = socket.create_connection(listening.getsockname())
            far, _ = listening.accept()
        near.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                near.send(LARGE)
        before = undelivered(near)
        near.shutdown(socket.SHUT_WR)
        assert undelivered(near) == before + 1
        near.close()
        far.close()

    def test_localCounts(self) -> None:
        """
        Guards C{SocketKind.transit}: of a UNIX socket the kernel counts memory,
        more than the bytes, and nothing once they were read.
        """
        near, far = socket.socketpair()
        near.send(SHORT)
        assert undelivered(near) > len(SHORT)
        far.recv(100)
        assert undelivered(near) == 0
        near.close()
        far.close()

    @ensureDeferred
    async def test_state(self, pairs: Pairs) -> None:
        """
        Guards C{hopeless}: the first byte of tcp_info is the state, 1 of an
        established connection and 7 of one that was reset; no event tells a
        paused transport.
        """
        protocol, far = await pairs.tcp(Plain())
        protocol.transport.pauseProducing()

        def state() -> int:
            sock = protocol.transport.socket
            return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

        await turns()
        assert state() == 1
        reset(far)
        await until(lambda: state() == 7)
        assert protocol.told == []
