"""Asks DNS servers one question: one server, or several in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import define
from twisted.internet.defer import DeferredSemaphore
from twisted.names import dns
from twisted.python.failure import Failure

from ..proxy.reasons import brief
from ..streams.wheel import Timer, Wheel
from ..words.units import formatDuration
from .answers import Answer
from .dnsmessages import TRUNCATED, Alias, Question, Reply, identOf, reply
from .dnssockets import OverTcp, OverUdp
from .resolvconf import Server

_UNDER_WAY = 16384
"""
Questions that one server may be asked at once.  Each has a number of its own of 16
bits, which has to be hard to guess.
"""

_FIRST_WAIT = 1.0
"""Seconds until the next server is asked, in the first round; each round doubles it."""

_LONGEST_WAIT = 4.0

_CONTRADICTION: Answer[Any] = Answer(None, reason="the server's answer is cut off")


class DnsServer:
    """
    One server, and the questions that it was asked and has not answered.

    They share one UDP socket, so that thousands of names need one descriptor.  It is
    open only while there are questions, and has another port each time.
    """

    def __init__(
        self, reactor: Any, address: Server, places: DeferredSemaphore
    ) -> None:
        """
        @param places: Bounds the TCP connections.
        """
        self.reactor = reactor
        self.address = address
        self.places = places
        self._asked: dict[int, Asked] = {}
        self._udp: OverUdp | None = None

    def ask(self, question: Question, told: Callable[[Reply], object]) -> Asked:
        """
        Begin to ask a question.

        @param told: Called at most once, with the answer or why there is none.
        @raise OSError: If it cannot be asked.
        """
        if len(self._asked) >= _UNDER_WAY:
            raise OSError("too many names are looked up at once")
        ident = dns.randomSource()
        while ident in self._asked:
            ident = dns.randomSource()
        asked = Asked(self, ident, question, told)
        self._asked[ident] = asked
        try:
            asked.send()
        except OSError:
            asked.end()
            raise
        return asked

    def send(self, ident: int, data: bytes) -> None:
        """
        Send a datagram.

        @raise OSError: If that is not possible.
        """
        try:
            if self._udp is None:
                self._udp = OverUdp(
                    self.reactor, self.address, self._heard, self._failed
                )
            self._udp.send(data)
        except OSError:
            # It may be the error of an earlier datagram, which is told only once.
            self._failed(brief(Failure()), but=ident)
            raise

    def forget(self, ident: int) -> None:
        """Hear no more of a question."""
        self._asked.pop(ident, None)
        if not self._asked:
            self._close()

    def _heard(self, data: bytes) -> None:
        asked = self._asked.get(identOf(data))
        if asked is not None:
            asked.heard(data)

    def _failed(self, reason: str, but: int = -1) -> None:
        """Take an error of the socket, which is one of all questions."""
        self._close()
        for ident, each in tuple(self._asked.items()):
            if ident != but:
                each.failed(reason)

    def _close(self) -> None:
        udp, self._udp = self._udp, None
        if udp is not None:
            udp.close()


@define(eq=False)
class Asked:
    """A question that a server was asked."""

    _server: DnsServer
    _ident: int
    _question: Question
    _told: Callable[[Reply], object] | None
    _tcp: OverTcp | None = None

    def send(self) -> None:
        """
        Send the question, or send it again; without effect if it is asked by TCP.

        @raise OSError: If that is not possible.
        """
        if self._tcp is None:
            self._server.send(self._ident, self._question.written(self._ident))

    def end(self) -> None:
        """Give the question up; nothing is told any more."""
        self._told = None
        tcp, self._tcp = self._tcp, None
        if tcp is not None:
            tcp.close()
        self._server.forget(self._ident)

    def heard(self, data: bytes) -> None:
        """Take a message with the number of this question, by UDP."""
        if self._tcp is not None:
            return
        answer = reply(data, self._question)
        if answer is TRUNCATED:
            server = self._server
            self._tcp = OverTcp(
                server.reactor,
                server.address,
                server.places,
                self._question.written(self._ident),
                self._heardMore,
                self._tell,
            )
        elif answer is not None:
            self._tell(answer)

    def failed(self, reason: str) -> None:
        """Take an error of the UDP socket."""
        if self._tcp is None:
            self._tell(reason)

    def _heardMore(self, data: bytes) -> None:
        if identOf(data) != self._ident:
            return
        answer = reply(data, self._question)
        if answer is not None:
            self._tell(_CONTRADICTION if answer is TRUNCATED else answer)

    def _tell(self, answer: Reply | str) -> None:
        told = self._told
        self.end()
        if told is not None:
            told(Answer(None, reason=answer) if isinstance(answer, str) else answer)


class Inquiry:
    """
    Asks several servers one question, in turn, until one of them answers.

    A server that has failed is not asked again.  One that has said nothing may still
    answer while others are asked.
    """

    def __init__(
        self,
        servers: Sequence[DnsServer],
        wheel: Wheel,
        question: Question,
        until: float,
        told: Callable[[Answer[Any] | Alias], object],
    ) -> None:
        """
        @param until: When it is given up, in the seconds of the wheel.
        @param told: Called once, with the answer or why there is none; perhaps within
            L{begin}.
        """
        self._left = deque(servers)
        self._wheel = wheel
        self._question = question
        self._began = wheel.now()
        self._until = until
        self._told: Callable[[Answer[Any] | Alias], object] | None = told
        self._asked: dict[DnsServer, Asked] = {}
        self._sent = 0
        self._reasons: list[str] = []
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Ask the first server."""
        self._next()

    def stop(self) -> None:
        """Ask no more, and tell nothing."""
        self._told = None
        self._left.clear()
        if self._timer is not None:
            self._timer.cancel()
        while self._asked:
            self._asked.popitem()[1].end()

    def _next(self) -> None:
        """Ask the next server, or ask it again, and wait."""
        while self._left:
            server = self._left[0]
            try:
                self._ask(server)
            except OSError:
                self._giveUp(server, brief(Failure()))
            else:
                self._left.rotate(-1)
                return self._wait()
        reasons = self._reasons or ["there is no server to ask"]
        return self._end(Answer(None, reason=", ".join(dict.fromkeys(reasons))))

    def _ask(self, server: DnsServer) -> None:
        if server in self._asked:
            self._asked[server].send()
        else:
            heard = partial(self._heard, server)
            self._asked[server] = server.ask(self._question, heard)

    def _wait(self) -> None:
        wait = min(_FIRST_WAIT * 2 ** (self._sent // len(self._left)), _LONGEST_WAIT)
        self._sent += 1
        left = self._until - self._wheel.now()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._wheel.call(min(wait, left), self._due)

    def _due(self) -> None:
        if self._wheel.now() < self._until:
            self._next()
        else:
            took = round(self._until - self._began, 1)
            self._reasons.append(f"no answer in {formatDuration(took)}")
            self._left.clear()
            self._next()

    def _heard(self, server: DnsServer, answer: Reply) -> None:
        if isinstance(answer, Answer) and answer.found is None:
            self._giveUp(server, answer.reason)
            self._next()
        elif answer is not TRUNCATED:
            self._end(answer)

    def _giveUp(self, server: DnsServer, reason: str) -> None:
        # While it was asked, what somebody else heard may have stopped this.
        if server in self._left:
            self._left.remove(server)
        self._reasons.append(reason)
        asked = self._asked.pop(server, None)
        if asked is not None:
            asked.end()

    def _end(self, answer: Answer[Any] | Alias) -> None:
        told = self._told
        self.stop()
        if told is not None:
            told(answer)
