"""
One peer of the balancer, client or backend, on a non-blocking socket.

Peers live in a thread of their own (L{bench.chaos.crowd}), so that nothing they
do depends on the reactor they try to upset.
"""

from __future__ import annotations

import errno
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

from .content import Ear, said
from .scripts import Step

_CHUNK = 65536
_READS = 8
"""How many chunks a peer reads, or sends, in one turn."""

_PATIENCE = 3.0
"""Seconds in which a peer tries to say what it is to say, or to connect."""

_WAITING = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def soon(sock: socket.socket, address: object) -> bool:
    """
    Go on connecting a non-blocking socket.

    @return: Whether it is connected.
    @raise OSError: If it never will be.
    """
    error = sock.connect_ex(address)  # type: ignore[arg-type]
    if error in (0, errno.EISCONN):
        return True
    if error in (errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN):
        return False
    raise OSError(error, "connect")


class Peer:
    """
    One end of one connection, going through its script.

    @ivar key: With which its stream begins; no two peers have the same.
    @ivar said: How many bytes it has sent.
    @ivar ear: What it has heard.
    @ivar sawEnd: Whether the end of the stream came in good order.
    @ivar heardAtEnd: What it had heard by then.
    @ivar failed: What ended it otherwise.
    @ivar left: How it ended its own stream: C{end}, C{close}, C{reset} or not.
    @ivar over: Whether its socket is closed.
    @ivar name: Its address, if it is a client.
    """

    said = 0
    sawEnd = False
    heardAtEnd = -1
    failed = ""
    left = ""
    over = False
    name: object = None

    def __init__(
        self,
        key: int,
        rng: Random,
        steps: list[Step],
        sock: socket.socket,
        kind: str,
        budget: int,
        address: object = None,
        secure: Callable[[socket.socket], ssl.SSLSocket] | None = None,
    ) -> None:
        """
        @param kind: C{tcp}, C{unix}, C{tls} or C{rough}; for the accounts.
        @param budget: How many bytes it sends at most.
        @param address: Where to connect to, unless it is connected.
        @param secure: Puts TLS on the socket.
        """
        self.key = key
        self.kind = kind
        self.steps = steps
        self.script = list(steps)
        self.ear = Ear()
        self._rng = rng
        self._sock = sock
        self._address = address
        self._secure = secure
        self._shaking = False
        self._budget = budget
        self._reading = "eager"
        self._until = 0.0
        self._goal: int | None = None
        self._nextSip = 0.0
        self._since = time.monotonic()
        sock.setblocking(False)

    def turn(self, now: float) -> None:
        """Do what can be done now, without waiting."""
        try:
            if self._ready(now):
                self._read(now)
                self._go(now)
        except _WAITING:
            pass
        except (OSError, ValueError) as error:
            self.failed = f"{type(error).__name__}: {error}"
            self.close()

    def close(self, reset: bool = False) -> None:
        """Be gone."""
        if not self.over:
            self.over = True
            if reset:
                linger = struct.pack("ii", 1, 0)
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._sock.close()

    def __str__(self) -> str:
        return (
            f"key={self.key} {self.kind} said={self.said} heard={self.ear.heard} "
            f"of={self.ear.key} sawEnd={self.sawEnd} left={self.left or '-'} "
            f"failed={self.failed or '-'} over={self.over} name={self.name} "
            f"script={self.script}"
        )

    def _ready(self, now: float) -> bool:
        """Be connected, and through with the handshake."""
        if self._address is not None:
            if not soon(self._sock, self._address):
                if now - self._since > _PATIENCE:
                    raise OSError(errno.ETIMEDOUT, "never connected")
                return False
            self._address = None
            self.name = self._sock.getsockname()
        secure, self._secure = self._secure, None
        if secure is not None:
            self._sock = secure(self._sock)
            self._shaking = True
        if self._shaking:
            assert isinstance(self._sock, ssl.SSLSocket)
            if now - self._since > _PATIENCE:
                raise OSError(errno.ETIMEDOUT, "the handshake never ended")
            self._sock.do_handshake()
            self._shaking = False
        return True

    def _go(self, now: float) -> None:
        """Take the steps of the script that can be taken."""
        while self.steps and not self.over:
            what, amount = self.steps[0]
            if not self._take(what, amount, now):
                return
            self._goal = None
            self._until = 0.0
            self.steps.pop(0)
        self.left = self.left or "close"
        self.close()

    def _take(self, what: str, amount: float, now: float) -> bool:
        """Take one step; whether it is done."""
        if what in ("eager", "sip", "deaf"):
            self._reading = what
            return True
        if what == "end":
            self._end()
            return True
        if what in ("close", "reset"):
            self.left = self.left or what
            self.close(reset=what == "reset")
            return True
        if not self._until:
            self._until = now + (_PATIENCE if what == "say" else amount)
        if what == "say":
            if self._goal is None:
                self._goal = min(self.said + int(amount), self._budget)
            self._send(self._goal)
            return self.said >= self._goal or bool(self.left) or now > self._until
        if what == "flood":
            self._send(self._budget)
        if what == "drain":
            self._reading = "eager"
            return self.sawEnd or now > self._until
        return now > self._until

    def _end(self) -> None:
        if not self.left:
            self.left = "end"
            if isinstance(self._sock, ssl.SSLSocket):
                # This sends the close_notify and then wants to read its answer.
                with suppress(*_WAITING):
                    self._sock.unwrap()
            else:
                self._sock.shutdown(socket.SHUT_WR)

    def _send(self, upTo: int) -> None:
        if self.left:
            return
        for _ in range(_READS):
            length = min(_CHUNK, upTo - self.said)
            if length <= 0:
                return
            try:
                self.said += self._sock.send(said(self.key, self.said, length))
            except _WAITING:
                return

    def _read(self, now: float) -> None:
        if self.sawEnd or self._reading == "deaf":
            return
        length, times = _CHUNK, _READS
        if self._reading == "sip":
            if now < self._nextSip:
                return
            self._nextSip = now + 0.05
            length, times = self._rng.choice((1, 100, 2000)), 1
        for _ in range(times):
            try:
                data = self._sock.recv(length)
            except _WAITING:
                return
            if not data:
                self.sawEnd = True
                self.heardAtEnd = self.ear.heard
                return
            self.ear.hear(data)
