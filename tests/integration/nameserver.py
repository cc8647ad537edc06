"""A DNS server for tests, whose answers can be changed, or made wrong, at any time."""

from __future__ import annotations

import socket
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer, UDPServer
from threading import Lock, Thread
from typing import Any, Self

from twisted.names import dns

from .daemon import PATIENCE

KINDS = {"A": dns.A, "AAAA": dns.AAAA, "CNAME": dns.CNAME, "SRV": dns.SRV}
CODES = {"FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}

ANYTHING = b"\x7f" * 40
"""A datagram that is no answer to any question, or to one in 65,536."""

Misbehaviour = Callable[[dns.Message, bytes], bytes]
"""What is sent, given the question and the right answer to it; nothing if empty."""


class NameServer:
    """
    A DNS server on the loopback interface, over UDP and TCP, in threads of its own.

    It answers as a recursive server does: a name that it does not have is
    C{NXDOMAIN}, one that has only other kinds of records has none, both with an SOA;
    an alias is followed; and an answer of more than 512 bytes is cut off by UDP.

    @ivar address: Its IP address and port.
    @ivar recursive: Whether aliases are followed in the answer.
    @ivar negativeTtl: The seconds of the SOA; without one if it is L{None}.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.recursive = True
        self.negativeTtl: int | None = 60
        self._lock = Lock()
        self._records: dict[str, dict[int, list[dns.RRHeader]]] = defaultdict(dict)
        self._codes: dict[str, int] = {}
        self._misbehaves: dict[str, Misbehaviour] = {}
        self._questions: Counter[tuple[str, str, str]] = Counter()
        self._udp, self._tcp = _listening(self, host, port)
        self.address: tuple[str, int] = self._udp.server_address[:2]
        self._threads = [
            Thread(target=each.serve_forever, args=(0.02,))
            for each in (self._udp, self._tcp)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def resolver(self) -> str:
        """The server as configuration writes it."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def answer(self, name: str, kind: str, *values: Any, ttl: int = 60) -> None:
        """
        From now on, answer with these records, and with no others of this kind.

        @param kind: C{"A"}, C{"AAAA"}, C{"CNAME"} or C{"SRV"}.
        @param values: Addresses, the name that it is an alias of, or (priority,
            weight, port, target) for each service.  Without any there is the name, but
            no such record.
        """
        made = [
            dns.RRHeader(name, KINDS[kind], ttl=ttl, payload=_record(kind, each))
            for each in values
        ]
        with self._lock:
            self._behave(name)
            self._records[name.lower()][KINDS[kind]] = made

    def forget(self, name: str) -> None:
        """From now on, there is no such name."""
        with self._lock:
            self._behave(name)
            self._records.pop(name.lower(), None)

    def fail(self, name: str, code: str = "SERVFAIL") -> None:
        """From now on, answer with the code of a failure."""
        with self._lock:
            self._behave(name)
            self._codes[name.lower()] = CODES[code]

    def silent(self, name: str) -> None:
        """From now on, answer nothing about a name, by UDP or TCP."""
        self.misbehave(name, lambda question, right: b"")

    def misbehave(self, name: str, how: Misbehaviour) -> None:
        """
        From now on, answer about a name as a function says.

        @param how: Perhaps L{garbage}, L{cutOff}, L{wrongNumber} or L{otherName}.
        """
        with self._lock:
            self._behave(name)
            self._misbehaves[name.lower()] = how

    def asked(self, name: str, kind: str = "", over: str = "") -> int:
        """
        How often it was asked about a name until now.

        @param kind: Only for this kind of records.
        @param over: Only by C{"udp"} or C{"tcp"}.
        """
        with self._lock:
            return sum(
                count
                for (asked, of, by), count in self._questions.items()
                if asked == name.lower() and kind in ("", of) and over in ("", by)
            )

    def close(self) -> None:
        """Be gone: the port is closed."""
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def respond(self, data: bytes, over: str) -> bytes:
        """The answer to a question; empty if there is none."""
        question = dns.Message()
        question.fromStr(data)
        query = question.queries[0]
        name = query.name.name.decode("ascii").lower()
        with self._lock:
            self._questions[name, dns.QUERY_TYPES[query.type], over] += 1
            right = self._right(question, name, query.type)
            misbehaves = self._misbehaves.get(name)
        right.maxSize = 512 if over == "udp" else 0
        sent = right.toStr()
        return misbehaves(question, sent) if misbehaves else sent

    def _behave(self, name: str) -> None:
        self._misbehaves.pop(name.lower(), None)
        self._codes.pop(name.lower(), None)

    def _right(self, question: dns.Message, name: str, kind: int) -> dns.Message:
        answer = dns.Message(question.id, answer=1, recDes=1, recAv=1)
        answer.queries = question.queries
        names: list[str] = []
        while name not in names and not answer.rCode:
            names.append(name)
            records = self._records.get(name, {})
            found = records.get(kind) or records.get(dns.CNAME, [])
            answer.answers += found
            answer.rCode = self._codes.get(name, 0 if name in self._records else 3)
            if self.recursive and found and found[0].type != kind:
                payload: Any = found[0].payload
                name = str(payload.name).lower()
        if not answer.answers or answer.answers[-1].type != kind:
            self._addAuthority(answer)
        return answer

    def _addAuthority(self, answer: dns.Message) -> None:
        ttl = self.negativeTtl
        follows = self.recursive or not answer.answers
        if ttl is not None and follows and answer.rCode in (0, 3):
            soa = dns.Record_SOA("ns.test", "you.test", 1, 60, 60, 60, minimum=ttl)
            answer.authority.append(dns.RRHeader("", dns.SOA, ttl=3600, payload=soa))


def garbage(question: dns.Message, right: bytes) -> bytes:
    """Send bytes that are no answer to anything."""
    return ANYTHING


def cutOff(question: dns.Message, right: bytes) -> bytes:
    """Send all of the answer but its last byte."""
    return right[:-1]


def wrongNumber(question: dns.Message, right: bytes) -> bytes:
    """Send the answer to a question that was not asked."""
    return bytes([right[0] ^ 0x55]) + right[1:]


def otherName(question: dns.Message, right: bytes) -> bytes:
    """Send an answer with the right number, about another name."""
    answer = dns.Message(question.id, answer=1)
    answer.addQuery("other.test", question.queries[0].type)
    record = dns.Record_A("192.0.2.66")
    answer.answers.append(dns.RRHeader("other.test", payload=record))
    return answer.toStr()


def _record(kind: str, value: Any) -> Any:
    if kind == "SRV":
        return dns.Record_SRV(*value)
    made: Any = getattr(dns, f"Record_{kind}")
    return made(value)


class _Datagram(BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        data, over = self.request
        if sent := self.server.told.respond(data, "udp"):
            over.sendto(sent, self.client_address)


class _Connected(BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        self.request.settimeout(PATIENCE)
        with suppress(OSError):
            while length := self._read(2):
                sent = self.server.told.respond(
                    self._read(int.from_bytes(length)), "tcp"
                )
                if sent:
                    self.request.sendall(len(sent).to_bytes(2) + sent)

    def _read(self, count: int) -> bytes:
        return self.request.recv(count, socket.MSG_WAITALL)


def _listening(told: NameServer, host: str, port: int) -> tuple[Any, Any]:
    """UDP and TCP on one port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    class Udp(UDPServer):
        address_family = family

    class Tcp(ThreadingTCPServer):
        address_family = family
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    for _ in range(100):
        udp: Any = Udp((host, port), _Datagram)
        try:
            tcp: Any = Tcp(udp.server_address[:2], _Connected)
        except OSError:
            # The port is taken for TCP.
            udp.server_close()
        else:
            udp.told = tcp.told = told
            return udp, tcp
    raise AssertionError("there is no port for both UDP and TCP")
