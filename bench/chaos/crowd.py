"""The thread in which all peers live: who comes, who is served, and by whom."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from collections import deque
from random import Random
from threading import Event, Thread

from attrs import define, field, frozen

from .peers import Peer
from .scripts import script

_MOST = 60
"""Clients at once."""

_WINDOW = 65536
"""Bytes of a peer's receive buffer: what is in it counts as delivered."""


@frozen
class Target:
    """
    Where clients connect to.

    @ivar kind: C{tcp}, C{unix}, C{tls} or C{rough}.
    @ivar address: For C{connect}.
    """

    kind: str
    address: object


@define(eq=False)
class Place:
    """
    Where backends are.

    @ivar kind: C{tcp}, C{unix} or C{tls}.
    @ivar manner: C{serve}, C{refuse}, C{full} or C{mute}.
    @ivar connect: The endpoint description to reach it by.
    """

    kind: str
    manner: str
    listening: socket.socket
    connect: str
    fillers: list[socket.socket] = field(factory=list)

    def close(self) -> None:
        """Be gone."""
        for each in (self.listening, *self.fillers):
            each.close()


def place(kind: str, manner: str, path: str) -> Place:
    """
    Make one.

    @param path: For a UNIX socket.
    """
    if kind == "unix":
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        address: object = path
        connect = f"unix:{path}"
    else:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        listening.bind(("127.0.0.1", 0))
        address = listening.getsockname()
        connect = f"tcp:127.0.0.1:{listening.getsockname()[1]}"
    listening.setblocking(False)
    made = Place(kind, manner, listening, connect)
    if manner != "refuse":
        listening.listen(0 if manner == "full" else 100)
    if manner == "full":
        for _ in range(3):
            filler = socket.socket(listening.family)
            filler.setblocking(False)
            filler.connect_ex(address)  # type: ignore[arg-type]
            made.fillers.append(filler)
    return made


class Crowd(Thread):
    """
    Clients that come one after another, and the backends that serve them.

    @ivar targets: Where clients go; none keeps them from coming.
    @ivar frozen: While it is set nobody does anything.
    @ivar still: Set once they have noticed that.
    @ivar leave: When it is set, no client comes any more and all leave.
    @ivar peers: All there ever were, by key.
    @ivar errors: What went wrong in this thread itself.
    """

    def __init__(
        self,
        rng: Random,
        places: list[Place],
        client: ssl.SSLContext,
        server: ssl.SSLContext,
        rate: float,
        budget: int,
    ) -> None:
        """
        @param rate: Clients a second.
        @param budget: How many bytes one peer sends at most.
        """
        super().__init__(name="crowd", daemon=True)
        self.targets: list[Target] = []
        self.frozen = Event()
        self.still = Event()
        self.leave = Event()
        self.ends = Event()
        self.peers: dict[int, Peer] = {}
        self.errors: deque[BaseException] = deque()
        self._rng = rng
        self._places = places
        self._client = client
        self._server = server
        self._rate = rate
        self._budget = budget
        self._alive: list[Peer] = []
        self._keys = 0
        self._names = 0
        self._next = 0.0

    def run(self) -> None:
        """Go on until told to end; then everything is closed."""
        never = Event()
        try:
            while not self.ends.is_set():
                if self.frozen.is_set():
                    self.still.set()
                elif self.leave.is_set():
                    self._closeAll()
                else:
                    self.still.clear()
                    self._goOn(time.monotonic())
                never.wait(0.003)
        except BaseException as error:
            self.errors.append(error)
        self._closeAll()

    def _goOn(self, now: float) -> None:
        # The other thread may put another list in its place.
        targets = self.targets
        if targets and now >= self._next and len(self._alive) < 2 * _MOST:
            self._next = now + self._rng.expovariate(self._rate)
            self._come(self._rng.choice(targets))
        for each in self._places:
            self._accept(each)
        for peer in self._alive:
            peer.turn(now)
        self._alive = [peer for peer in self._alive if not peer.over]

    def _closeAll(self) -> None:
        for peer in self._alive:
            peer.close(reset=self._rng.random() < 0.5)
        for each in self._places:
            each.close()

    def _peer(self, sock: socket.socket, kind: str, **how: object) -> Peer:
        self._keys += 1
        rng = Random(f"{self._keys}-{self._rng.random()}")
        peer = Peer(
            self._keys,
            rng,
            script(rng),
            sock,
            kind,
            self._budget,
            **how,  # type: ignore[arg-type]
        )
        self.peers[peer.key] = peer
        self._alive.append(peer)
        return peer

    def _come(self, target: Target) -> None:
        if isinstance(target.address, str):
            sock = socket.socket(socket.AF_UNIX)
            self._names += 1
            sock.bind(f"\0chaos-{os.getpid()}-{id(self)}-{self._names}")
        else:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        secure = None
        # Some come without TLS to where it is spoken.
        if target.kind == "tls" and self._rng.random() < 0.9:

            def secure(connected: socket.socket) -> ssl.SSLSocket:
                return self._client.wrap_socket(
                    connected,
                    server_hostname="localhost",
                    do_handshake_on_connect=False,
                    suppress_ragged_eofs=False,
                )

        kind = target.kind if secure or target.kind != "tls" else "astray"
        self._peer(sock, kind, address=target.address, secure=secure)

    def _accept(self, place: Place) -> None:
        if place.manner != "serve":
            return
        for _ in range(20):
            try:
                sock, _ = place.listening.accept()
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                    raise
                return
            secure = None
            if place.kind == "tls":

                def secure(connected: socket.socket) -> ssl.SSLSocket:
                    return self._server.wrap_socket(
                        connected,
                        server_side=True,
                        do_handshake_on_connect=False,
                        suppress_ragged_eofs=False,
                    )

            self._peer(sock, place.kind, secure=secure)
