"""
Journeys for the property-based tests: a schedule of what a client and a backend
do, a world it happens in, and what must be true afterwards.

A world is a kind of network; a test runs over a list of them, so that a new
kind of transport only has to be added to the list.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import trustme
from attrs import define, field
from configured import configured
from hypothesis import strategies as st
from stories import Records, processOf
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread
from zope.interface import implementer

from lbproxy import End, IBackendPicker, LoadBalancer
from lbproxy.config.file import configurationFromText
from lbproxy.testing import MemoryNetwork

CLIENT, BACKEND = "client", "backend"

CLEAN = {CLIENT: End.CLIENT_CLOSED, BACKEND: End.BACKEND_CLOSED}
HARSH = {CLIENT: End.CLIENT_RESET, BACKEND: End.BACKEND_RESET}

SIZES = [1, 2, 100, 1448, 16384, 65535, 65536, 65537, 200_000, 700_000]
"""Around the sizes of segments, of reads and of buffers, and well beyond."""

ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(SIZES)),
    st.tuples(st.just("stall"), st.just(0)),
    st.tuples(st.just("read"), st.just(0)),
    st.tuples(st.just("settle"), st.just(0)),
    st.tuples(st.just("end"), st.just(0)),
    st.tuples(st.just("close"), st.just(0)),
    st.tuples(st.just("reset"), st.just(0)),
)

SCHEDULES = st.tuples(
    st.lists(st.tuples(st.sampled_from([CLIENT, BACKEND]), ACTIONS), max_size=12),
    st.integers(0, 6),
)
"""Who does what, in order; and after how many steps the backend is picked."""


def content(side: str, offset: int, length: int) -> bytes:
    """What a side says, from one offset on: no two stretches of it look alike."""
    word = 8
    first, last = offset // word, (offset + length) // word + 1
    salt = (0x5A5A if side == CLIENT else 0xC3C3) << 32
    words = [salt | (number * 2654435761) & 0xFFFFFFFF for number in range(first, last)]
    whole = struct.pack(f">{len(words)}Q", *words)
    return whole[offset - first * word :][:length]


@implementer(IBackendPicker)
class HeldPicker:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.held = True
        self.members: set = set()

    def pick(self, candidates, connection):
        self.members.update(candidates)
        if not self.held:
            return candidates[0]
        answer: Deferred = Deferred()
        self.waiting.append(
            lambda: None if answer.called else answer.callback(candidates[0])
        )
        return answer

    def letGo(self) -> None:
        self.held = False
        waiting, self.waiting = self.waiting, []
        for answer in waiting:
            answer()


class Peer(ABC):
    """The client or the backend, as the schedule drives it."""

    closesWhole = False
    """Whether the end of its stream is the end of both, as Twisted's TLS has it."""

    hasReset = True
    """Whether its kind of transport knows a reset."""

    endedWhole = False
    """Whether to end the stream towards it closes both, as a plain transport has it."""

    sent = 0
    """How many bytes were given to it to say."""

    @abstractmethod
    def send(self, data: bytes) -> None: ...
    @abstractmethod
    def end(self) -> None: ...
    @abstractmethod
    def close(self) -> None: ...
    @abstractmethod
    def reset(self) -> None: ...
    @abstractmethod
    def read(self, reading: bool) -> None: ...
    @property
    @abstractmethod
    def received(self) -> bytes: ...
    @property
    @abstractmethod
    def sawEnd(self) -> bool: ...
    @property
    @abstractmethod
    def sawReset(self) -> bool: ...


class MemoryPeer(Peer):
    def __init__(self, far) -> None:
        self.far = far

    def send(self, data: bytes) -> None:
        self.far.send(data)

    def end(self) -> None:
        self.far.end()

    close = end

    def reset(self) -> None:
        self.far.reset()

    def read(self, reading: bool) -> None:
        if reading:
            self.far.take()
        else:
            self.far.stall()

    @property
    def received(self) -> bytes:
        return bytes(self.far.received)

    @property
    def sawEnd(self) -> bool:
        return self.far.hasEnd

    @property
    def sawReset(self) -> bool:
        return self.far.wasReset


SHORT = {
    "process": """
        close-timeout = "200ms"
        pick-timeout = "300ms"
    """,
    "listener": """
        idle-timeout = "150ms"
        stall-timeout = "100ms"
        half-close-timeout = "120ms"
        max-lifetime = "400ms"
    """,
    "pool": """
        connect-timeout = "100ms"
        dial-deadline = "200ms"
    """,
}
"""Every limit is short."""

LIFETIME = 0.4
"""Seconds of the short C{max-lifetime}."""

TIMEOUTS = {
    End.IDLE_TIMEOUT,
    End.STALL_TIMEOUT,
    End.HALF_CLOSE_TIMEOUT,
    End.MAX_LIFETIME,
    End.CONNECT_FAILED,
    End.DIAL_DEADLINE,
    End.PICK_FAILED,
    End.TLS_FAILED,
}
"""How a journey may end then, whatever its peers do."""

SLACK = 2 << 20
PACE = 64 << 20
"""
Bytes that may be read and not delivered: in buffers, and discarded in a second.
"""


class World(ABC):
    """
    Somewhere a journey can happen.

    @ivar short: Whether every limit is short.
    """

    closeIsHarsh = True
    """Whether to close with something unread or unsaid comes out as a reset."""

    def __init__(self, short: bool = False) -> None:
        self.short = short
        self.records = Records()
        self.picker = HeldPicker()

    def balance(
        self, reactor: Any, listen: str, connect: str, ca: str = "", pair: str = ""
    ) -> LoadBalancer:
        """
        The balancer that the journey goes through.

        @param ca: The authority of a backend that has a table C{tls}.
        @param pair: The certificate and key of a listener that has one, as a table.
        """
        if not self.short and not ca and not pair:
            return LoadBalancer.fromEndpoints(
                reactor, [listen], [connect], self.picker, observers=[self.records]
            )
        lines: dict[str, Any] = dict(SHORT) if self.short else {}
        backend = f'connect = "{connect}"'
        if ca:
            backend += f', tls = {{ ca = "{ca}" }}'
        pool = lines.pop("pool", "")
        lines["pool"] = f"backends = [{{ {backend} }}]\n{pool}"
        if pair:
            listener = lines.pop("listener", "")
            lines["listener"] = f"{listener}\ntls.certificates = [{pair}]"
        return LoadBalancer(
            reactor,
            configurationFromText(configured(listen=listen, **lines), "journey"),
            pickers={"web": self.picker},
            observers=[self.records],
        )

    @abstractmethod
    def start(self) -> None: ...
    @abstractmethod
    def client(self) -> Peer: ...
    @abstractmethod
    def backend(self) -> Peer | None: ...
    @abstractmethod
    def settle(self) -> None: ...
    @abstractmethod
    def until(self, predicate: Callable[[], object]) -> None: ...
    def letGo(self) -> None:
        """Let the backend be picked."""
        self.picker.letGo()

    @abstractmethod
    def stop(self) -> None: ...


class MemoryWorld(World):
    name = "memory"
    closeIsHarsh = False

    def start(self) -> None:
        self.network = MemoryNetwork()
        self.script = self.network.backend("10.0.0.1", 80)
        self.balancer = self.balance(self.network, "tcp:8080", "tcp:10.0.0.1:80")
        self.balancer.startService()

    def client(self) -> Peer:
        return MemoryPeer(self.network.client(8080))

    def backend(self) -> Peer | None:
        return MemoryPeer(self.script.accepted[0]) if self.script.accepted else None

    def settle(self) -> None:
        self.network.settle()

    def until(self, predicate: Callable[[], object]) -> None:
        for _ in range(1000):
            if predicate():
                return
            self.network.settle(0.1)
        raise AssertionError("it never came to that")

    def stop(self) -> None:
        self.balancer.stopService()
        self.network.settle()
        assert not self.network.getDelayedCalls()


class SocketPeer(Peer):
    """A peer on a non-blocking socket, moved on by its world."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.hasReset = sock.family != socket.AF_UNIX
        self._received = bytearray()
        self._outgoing = bytearray()
        self._finally: str | None = None
        self._reading = True
        self._end = self._reset = False
        self.open = True

    def send(self, data: bytes) -> None:
        self._outgoing += data

    def end(self) -> None:
        self._finally = self._finally or "end"

    def close(self) -> None:
        self._finally = "close"

    def reset(self) -> None:
        if self.open:
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._shut()

    def _shut(self) -> None:
        self.open = False
        self.socket.close()

    def read(self, reading: bool) -> None:
        self._reading = reading

    @property
    def received(self) -> bytes:
        return bytes(self._received)

    @property
    def sawEnd(self) -> bool:
        return self._end

    @property
    def sawReset(self) -> bool:
        return self._reset

    def move(self) -> bool:
        """Send and read what can be; whether anything happened."""
        before = (len(self._outgoing), len(self._received), self._finally, self._end)
        try:
            if self.open:
                self._moveOut()
            if self.open and self._reading and not self._end:
                self._moveIn()
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError:
            self._reset = True
            self._shut()
        after = (len(self._outgoing), len(self._received), self._finally, self._end)
        return before != after

    def _moveOut(self) -> None:
        try:
            while self._outgoing:
                del self._outgoing[: self.socket.send(self._outgoing)]
        except BlockingIOError:
            return
        if self._finally == "end":
            self._finally = "ended"
            self.socket.shutdown(socket.SHUT_WR)
        elif self._finally == "close":
            self._shut()

    def _moveIn(self) -> None:
        while True:
            data = self.socket.recv(65536)
            if not data:
                self._end = True
                return
            self._received += data


class PlainPeer(SocketPeer):
    """The same, behind a transport that has only what ITransport asks for."""

    closesWhole = True
    endedWhole = True


class TLSPeer(SocketPeer):
    """The same, speaking TLS over memory buffers of its own."""

    closesWhole = True

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, **names) -> None:
        super().__init__(sock)
        self._wireIn, self._wireOut = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._wireIn, self._wireOut, **names)
        self._shaken = False
        self._unsent = bytearray()

    def _flush(self) -> None:
        self._unsent += self._wireOut.read()
        while self._unsent:
            del self._unsent[: self.socket.send(self._unsent)]

    def _moveOut(self) -> None:
        try:
            self._flush()
            if not self._shaken:
                self._pull()
                try:
                    self._tls.do_handshake()
                finally:
                    self._flush()
                self._shaken = True
            while self._outgoing:
                del self._outgoing[: self._tls.write(bytes(self._outgoing[:16384]))]
                self._flush()
            if self._finally in ("end", "close"):
                # It sends its own close_notify, and complains for want of another.
                with suppress(ssl.SSLError):
                    self._tls.unwrap()
                if self._finally == "end":
                    self._finally = "ended"
                    self._flush()
                else:
                    self._flush()
                    self._shut()
        except (BlockingIOError, ssl.SSLWantReadError):
            return

    def _pull(self) -> None:
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        if data:
            self._wireIn.write(data)
        else:
            self._wireIn.write_eof()

    def _moveIn(self) -> None:
        while True:
            self._pull()
            try:
                data = self._tls.read(65536)
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLEOFError:
                raise ConnectionResetError("truncated") from None
            if not data:
                self._end = True
                return
            self._received += data


@define
class Certificates:
    """A certificate for 127.0.0.1, its authority, and where they lie."""

    directory: Path
    authority: trustme.CA = field(factory=trustme.CA)
    client: ssl.SSLContext = field(init=False)
    server: ssl.SSLContext = field(init=False)

    def __attrs_post_init__(self) -> None:
        certificate = self.authority.issue_cert("127.0.0.1", "localhost")
        roots = self.directory / "roots"
        roots.mkdir()
        self.authority.cert_pem.write_to_path(roots / "ca.pem")
        certificate.private_key_pem.write_to_path(self.directory / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(self.directory / "cert.pem")
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(self.client)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.server)


class SocketWorld(World):
    """
    Real sockets: C{"tcp"}, C{"unix"} or C{"tls"} on either side, or C{"table"}, which
    is TLS by the table C{tls}; and on the far side C{"plain"}, a plugin's transport
    that can do nothing but write and close.

    The schedule runs in a thread of its own, beside the reactor.
    """

    def __init__(
        self, front: str, back: str, certificates: Certificates, short: bool = False
    ) -> None:
        super().__init__(short)
        self.name = f"{front}-{back}"
        self._front, self._back = front, back
        self._certificates = certificates
        self._directory = certificates.directory
        self._peers: list[SocketPeer] = []
        self._backend: SocketPeer | None = None

    def start(self) -> None:
        self._descriptors = descriptors()
        self._listening, connect = self._backendSocket()
        self._listening.setblocking(False)
        self._threads = threading.active_count()
        ca = f"{self._directory}/roots/ca.pem" if self._back == "table" else ""
        where, pair = self._directory, ""
        if self._front == "table":
            pair = f'{{ chain = "{where}/cert.pem", key = "{where}/key.pem" }}'
        self.balancer = self.balance(reactor, self._listen(), connect, ca, pair)
        self.inReactor(self.balancer.startService)

    def _backendSocket(self) -> tuple[socket.socket, str]:
        if self._back == "unix":
            path = str(self._directory / "backend.sock")
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(path)
            listening.listen()
            return listening, f"unix:{path}"
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        if self._back == "tls":
            roots = self._directory / "roots"
            return listening, f"tls:127.0.0.1:{port}:trustRoots={roots}"
        kind = "tcp" if self._back == "table" else self._back
        return listening, f"{kind}:127.0.0.1:{port}"

    def inReactor(self, function: Callable[..., object], *arguments: object) -> object:
        """Call something where the balancer runs, and wait for its outcome."""
        return blockingCallFromThread(cast(Any, reactor), function, *arguments)

    def _listen(self) -> str:
        where = self._directory
        return {
            "tcp": "tcp:0:interface=127.0.0.1",
            "table": "tcp:0:interface=127.0.0.1",
            "unix": f"unix:{where}/front.sock:lockfile=0",
            "tls": f"ssl:0:interface=127.0.0.1:"
            f"privateKey={where}/key.pem:certKey={where}/cert.pem",
        }[self._front]

    def client(self) -> Peer:
        if self._front == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(self._directory / "front.sock"))
        else:
            (address,) = self.balancer.addresses
            sock = socket.create_connection((address.host, address.port))
        if self._front in ("tls", "table"):
            context = self._certificates.client
            peer: SocketPeer = TLSPeer(sock, context, server_hostname="127.0.0.1")
        else:
            peer = SocketPeer(sock)
        self._peers.append(peer)
        return peer

    def backend(self) -> Peer | None:
        return self._backend

    def letGo(self) -> None:
        self.inReactor(self.picker.letGo)

    def _accept(self) -> None:
        if self._backend is not None:
            return
        try:
            sock, _ = self._listening.accept()
        except BlockingIOError:
            return
        if self._back in ("tls", "table"):
            context = self._certificates.server
            self._backend = TLSPeer(sock, context, server_side=True)
        else:
            self._backend = (PlainPeer if self._back == "plain" else SocketPeer)(sock)
        self._peers.append(self._backend)

    def _tick(self) -> bool:
        self.inReactor(task.deferLater, reactor, 0.0005)
        self._accept()
        moved = [peer.move() for peer in self._peers]
        return any(moved)

    def settle(self) -> None:
        quiet = 0
        while quiet < 6:
            quiet = 0 if self._tick() else quiet + 1

    def until(self, predicate: Callable[[], object]) -> None:
        deadline = reactor.seconds() + 10
        while not predicate():
            assert reactor.seconds() < deadline, "it never came to that"
            self._tick()

    def stop(self) -> None:
        self.inReactor(self.balancer.stopService)
        for peer in self._peers:
            peer._shut()
        self._listening.close()
        for path in self._directory.glob("*.sock"):
            path.unlink()
        # A dial that was given up closes its socket a turn of the reactor later.
        self.until(lambda: descriptors() <= self._descriptors)
        assert not len(processOf(self.balancer).wheel)
        self.until(lambda: threading.active_count() <= self._threads)


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


@define
class Journey:
    """One run of a schedule in a world."""

    world: World
    peers: dict[str, Peer] = field(factory=dict)
    deeds: dict[str, list[str]] = field(factory=lambda: {CLIENT: [], BACKEND: []})
    order: list[tuple[str, str]] = field(factory=list)
    heardOut: set[str] = field(factory=set)
    begun: float = field(factory=time.monotonic)

    def run(self, steps: list, pickAfter: int) -> None:
        world = self.world
        world.start()
        try:
            self.peers[CLIENT] = world.client()
            for number, (side, (deed, size)) in enumerate(steps):
                if number == pickAfter:
                    world.letGo()
                self.do(side, deed, size)
            world.settle()
            world.letGo()
            self.windUp()
            self.check()
        finally:
            world.stop()
            assert not any(member.active for member in world.picker.members)

    def do(self, side: str, deed: str, size: int) -> None:
        if deed == "settle":
            self.world.settle()
        if side == BACKEND and BACKEND not in self.peers:
            backend = self.world.backend()
            if backend is None:
                return
            self.peers[BACKEND] = backend
        peer = self.peers[side]
        done = self.deeds[side]
        if self.gone(side):
            return
        if deed == "send" and "end" not in done:
            peer.send(content(side, peer.sent, size))
            peer.sent += size
        elif deed in ("stall", "read"):
            peer.read(deed == "read")
        elif deed == "reset" or (deed in ("end", "close") and "end" not in done):
            done.append(deed)
            if peer.sawEnd:
                self.heardOut.add(side)
            self.order.append((side, deed))
            getattr(peer, deed)()

    def windUp(self) -> None:
        """Let both sides come to an end, whatever state they are in."""
        world = self.world
        for side in (CLIENT, BACKEND):
            if side in self.peers:
                self.peers[side].read(True)
        over = self.world.records.closes
        world.until(lambda: over or world.backend() is not None)
        self.seeBackend()
        for side, other in ((BACKEND, CLIENT), (CLIENT, BACKEND)):
            if side in self.peers and not self.deeds[side]:
                self.do(side, "end", 0)
                world.until(partial(self._hasEnded, other))
        world.until(lambda: bool(world.records.closes))
        world.settle()
        self.seeBackend()

    def seeBackend(self) -> None:
        """It may have been dialled meanwhile."""
        backend = self.world.backend()
        if backend is not None:
            self.peers.setdefault(BACKEND, backend)

    def over(self, side: str) -> bool:
        """Whether one side has heard all it will hear."""
        peer = self.peers.get(side)
        return peer is None or peer.sawEnd or peer.sawReset or self.gone(side)

    def _hasEnded(self, side: str) -> bool:
        return bool(self.world.records.closes) or self.over(side)

    def gone(self, side: str) -> bool:
        return bool(self.deeds[side]) and self.deeds[side][-1] in ("close", "reset")

    def check(self) -> None:
        records = self.world.records
        assert len(records.opens) == len(records.closes) == 1
        (record,) = records.closes
        self.checkBytes(CLIENT, BACKEND)
        self.checkBytes(BACKEND, CLIENT)
        assert record.end in self.possibleEnds(), (record, self.order)
        client, backend = self.peers[CLIENT], self.peers.get(BACKEND)
        assert record.bytesFromClient <= client.sent
        assert record.bytesFromBackend <= (backend.sent if backend else 0)
        if backend is not None:
            assert record.bytesFromBackend >= len(client.received)
            assert record.bytesFromClient >= len(backend.received)
            self.checkPace(record.bytesFromClient - len(backend.received))
            self.checkPace(record.bytesFromBackend - len(client.received))
        if record.end.normal and record.backend is None:
            assert self.order, "a journey without a backend ended by itself"

    def checkBytes(self, sender: str, receiver: str) -> None:
        if receiver not in self.peers:
            return
        received = self.peers[receiver].received
        said = self.peers[sender].sent if sender in self.peers else 0
        assert len(received) <= said
        assert received == content(sender, 0, len(received)), "not a prefix"
        if self.cutOff(sender, receiver):
            assert not self.peers[receiver].sawEnd, "what was cut off looks whole"
        if self.gentle(sender, receiver):
            assert len(received) == said, "not all of it arrived"
            assert self.peers[receiver].sawEnd
            if not self.outlived() and not self.spokeTooLate(receiver):
                assert not self.peers[receiver].sawReset

    def outlived(self) -> bool:
        """Whether the lifetime was over, which cuts off a side that still lingers."""
        (record,) = self.world.records.closes
        assert record.closed is not None
        return self.world.short and record.closed - record.opened >= LIFETIME

    def spokeTooLate(self, side: str) -> bool:
        """
        Whether something came from a side when both its directions were closed
        already, which the kernel answers with a reset.
        """
        (record,) = self.world.records.closes
        heard = {CLIENT: record.bytesFromClient, BACKEND: record.bytesFromBackend}
        peer = self.peers[side]
        return peer.endedWhole and peer.sent > heard[side]

    def checkPace(self, thrownAway: int) -> None:
        """What was read and not delivered was read at a bounded pace."""
        assert thrownAway <= SLACK + PACE * (time.monotonic() - self.begun)

    def cutOff(self, sender: str, receiver: str) -> bool:
        """Whether the sender was reset, and the receiver could see it."""
        peer = self.peers[receiver]
        return (
            self.deeds[sender] == ["reset"]
            and self.peers[sender].hasReset
            and peer.hasReset
            and not peer.closesWhole
            and not self.wasClosed(sender)
            and self.world.records.closes[0].backend is not None
        )

    def wasClosed(self, side: str) -> bool:
        """Whether the other side's end, which came first, closed both directions."""
        peer = self.peers[side]
        return (peer.closesWhole or peer.endedWhole) and self.order[0][0] != side

    def gentle(self, sender: str, receiver: str) -> bool:
        """Whether the sender ended cleanly and the receiver heard it out."""
        if sender not in self.peers:
            return False
        if self.deeds[sender] != ["end"] or self.deeds[receiver] != ["end"]:
            return False
        # A TLS peer that is sent more after its end resets; so it came out.
        end = self.world.records.closes[0].end
        if self.world.short and end is not None and not end.normal:
            return False
        if self.peers[sender].endedWhole and self.order[0][0] == receiver:
            return False  # It was closed before it had said all.
        if self.peers[sender].closesWhole and end is HARSH[sender]:
            return False
        # Over Twisted's TLS the receiver's own end, if it did not come last,
        # was the end of both directions.
        return not self.peers[receiver].closesWhole or receiver in self.heardOut

    def possibleEnds(self) -> set[End]:
        ends = set()
        for side, deed in self.order:
            if deed in ("end", "close") or not self.peers[side].hasReset:
                ends.add(CLEAN[side])
            # To close with something unread, or to be sent more, is a reset.
            harshly = deed == "close" or self.peers[side].closesWhole
            if deed == "reset" or (harshly and self.world.closeIsHarsh):
                ends.add(HARSH[side])
        if self.peers[CLIENT].closesWhole and set(self.deeds[CLIENT]) - {"end"}:
            ends.add(End.TLS_FAILED)  # if it left that early
        if self.world.short:
            ends |= TIMEOUTS
        if backendIsPlain(self.peers):
            ends.add(End.BACKEND_RESET)  # It may bring more than can be kept.
        return ends


def backendIsPlain(peers: dict[str, Peer]) -> bool:
    """Whether the backend is behind a transport that cannot be paused."""
    return BACKEND in peers and peers[BACKEND].endedWhole
