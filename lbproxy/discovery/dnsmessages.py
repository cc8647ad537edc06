"""
Writes the questions for DNS servers, and reads their answers (RFC 1035, 2308, 2782).

L{twisted.names.dns} encodes and decodes the messages.  What it decodes is bounded here:
its own limits let a message of 64 KiB take some seconds, and would refuse one with a
thousand addresses.
"""

from __future__ import annotations

from enum import Enum
from io import BytesIO
from ipaddress import ip_address
from struct import unpack_from
from typing import Any, Final, Self

from attrs import evolve, frozen
from twisted.names import dns

from .answers import Answer, Service

_HEADER = 12
_LONGEST_NAME = 253
_LONGEST_LABEL = 63

_READS = 6
"""
Pieces of a message that are read for each of its bytes before it is given up.  One of
64 KiB with 4,000 addresses has 52,000 pieces in all; the limit is reached after 0.2 s
(on one core of an AMD EPYC at 2.6 GHz).
"""

_NONSENSE: Answer[Any] = Answer(None, reason="the server's answer makes no sense")
_CIRCLE: Answer[Any] = Answer(None, reason="its aliases lead in a circle")
_REFERS: Answer[Any] = Answer(None, reason="the server only refers to other servers")

_FAILURES = {
    dns.EFORMAT: "the server did not understand the question",
    dns.ESERVER: "the server failed",
    dns.ENOTIMP: "the server does not answer such questions",
    dns.EREFUSED: "the server refused to answer",
}
"""What the codes of failures mean (RFC 1035, section 4.1.1)."""


class Truncated(Enum):
    """An answer that is too long for a datagram, and has to be asked for by TCP."""

    TRUNCATED = "truncated"


TRUNCATED: Final = Truncated.TRUNCATED


@frozen
class Question:
    """
    What a server is asked: the records of one kind that a name has.

    @ivar name: As it is sent, in lower case, without a dot at its end.
    @ivar kind: The number of the kind: L{dns.A}.
    """

    name: bytes
    kind: int

    @classmethod
    def about(cls, name: str, kind: int) -> Self:
        """
        Ask about a name, which is an absolute one.

        @raise ValueError: If DNS can have no such name.
        """
        return cls(_checked(name.removesuffix(".").encode("idna")), kind)

    def written(self, ident: int) -> bytes:
        """
        Encode the question.

        @param ident: The number by which its answer is recognized: 0 to 65535.
        """
        message = dns.Message(ident, recDes=1)
        message.addQuery(self.name, self.kind)
        return message.toStr()


@frozen
class Alias:
    """
    An answer that the name is an alias, which does not say of what.

    @ivar question: The same question about the name that the alias leads to.
    @ivar ttl: The seconds for which the alias holds.
    """

    question: Question
    ttl: float


Reply = Answer[Any] | Alias | Truncated
"""
What a server says to a question.  The records are addresses, as text, or each a
L{Service}.
"""


class _Message(dns.Message):
    """A message whose records are decoded only if they are of the kinds that count."""

    # The most records that 64 KiB can have, with two names each.
    maxCompressionPointers = 12_000
    _KINDS = frozenset({dns.A, dns.AAAA, dns.CNAME, dns.SOA, dns.SRV})

    def lookupRecordType(self, type: int) -> Any:
        """The class that decodes a kind of record."""
        if type in self._KINDS:
            return super().lookupRecordType(type)
        return dns.UnknownRecord


class _Bounded(BytesIO):
    """The bytes of a message, which can be read only so often."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = _READS * len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read some bytes."""
        self._left -= 1
        if not self._left:
            raise ValueError("the message has too many parts")
        return super().read(size)


def identOf(data: bytes) -> int:
    """The number by which a message is recognized; -1 if it is too short for one."""
    return int.from_bytes(data[:2]) if len(data) >= _HEADER else -1


def reply(data: bytes, question: Question) -> Reply | None:
    """
    Read what a server says to a question.

    Only records that belong to the name count, or to a name that it is an alias of.
    There are at most about 4,000, for a message has at most 64 KiB.

    @param data: A message with the number that the question had.
    @return: L{None} if it is not the answer to this question.
    """
    try:
        message = _decoded(data)
    except Exception:
        # Twisted documents no exceptions for what may be any bytes.
        return _NONSENSE
    if not message.answer or not _isAbout(message, question):
        return None
    if message.rCode not in (dns.OK, dns.ENAME):
        unknown = f"the server answered with code {message.rCode}"
        return Answer(None, reason=_FAILURES.get(message.rCode, unknown))
    if message.trunc:
        return TRUNCATED
    try:
        return _read(message, question)
    except ValueError:
        return _NONSENSE


def _decoded(data: bytes) -> _Message:
    message = _Message()
    message.decode(_Bounded(data))
    # Twisted takes what is cut off for the end of the message.
    sections = (message.queries, message.answers, message.authority)
    there = tuple(len(each) for each in sections)
    if there != unpack_from("!3H", data, 4) and not message.trunc:
        raise ValueError("the message is cut off")
    return message


def _isAbout(message: dns.Message, question: Question) -> bool:
    if not message.queries:
        # A server that did not understand the question may not repeat it.
        return message.rCode not in (dns.OK, dns.ENAME)
    query, *others = message.queries
    asked = query.name.name.lower(), query.type, query.cls
    return not others and asked == (question.name, question.kind, dns.IN)


def _read(message: dns.Message, question: Question) -> Reply:
    """
    Read the answer of a server that has not failed.

    @raise ValueError: If a record that counts makes no sense.
    """
    records: dict[tuple[bytes, int], list[dns.RRHeader]] = {}
    for each in message.answers:
        if each.cls == dns.IN:
            records.setdefault((each.name.name.lower(), each.type), []).append(each)
    name = question.name
    names = {name}
    ttls: list[float] = []
    while (name, question.kind) not in records and (name, dns.CNAME) in records:
        alias: Any = records[name, dns.CNAME][0]
        ttls.append(_ttl(alias.ttl))
        name = alias.payload.name.name.lower()
        if name in names:
            return _CIRCLE
        names.add(name)
    end = evolve(question, name=_checked(name))
    if found := records.get((name, question.kind)):
        return _found(found, ttls)
    return _nothing(message, end, ttls)


def _found(records: list[dns.RRHeader], ttls: list[float]) -> Answer[Any]:
    ttl = min([*ttls, *(_ttl(each.ttl) for each in records)])
    found = [_value(each) for each in records]
    # This target says that the service is not offered (RFC 2782).
    there = tuple(each for each in found if each != "")
    return Answer(there, ttl, "" if there else "the service is not offered")


def _nothing(message: dns.Message, end: Question, ttls: list[float]) -> Reply:
    """
    Read an answer without records.

    @param end: What was asked, about the name at the end of all aliases.
    @param ttls: Those of the aliases.
    """
    negative = _negativeTtl(message, end.name)
    ttl = None if negative is None else min([*ttls, negative])
    if message.rCode == dns.ENAME:
        return Answer((), ttl, "there is no such name")
    if negative is None and ttls:
        return Alias(end, min(ttls))
    refers = any(each.type == dns.NS for each in message.authority)
    if negative is None and refers and not message.auth:
        return _REFERS
    return Answer((), ttl, f"it has no {dns.QUERY_TYPES[end.kind]} records")


def _negativeTtl(message: dns.Message, name: bytes) -> float | None:
    """The seconds for which it holds that there is nothing (RFC 2308, section 5)."""
    for each in message.authority:
        zone = each.name.name.lower()
        if each.type == dns.SOA and (b"." + name).endswith(
            b"." + zone if zone else b""
        ):
            soa: Any = each.payload
            return min(_ttl(each.ttl), _ttl(soa.minimum))
    return None


def _value(record: dns.RRHeader) -> str | Service:
    """
    The value of an address record, or of an SRV record; empty if that has no target.

    @raise ValueError: If it makes no sense.
    """
    payload: Any = record.payload
    if record.type == dns.SRV:
        target = payload.target.name.lower()
        if not target:
            return ""
        checked = _checked(target).decode("ascii")
        return Service(payload.priority, payload.weight, payload.port, checked)
    if record.rdlength != len(payload.address):
        raise ValueError("the address is of another length")
    return str(ip_address(payload.address))


def _checked(name: bytes) -> bytes:
    """
    Check a name that is to be asked for, and return it in lower case.

    @raise ValueError: If it is too long, or has characters that no host's name has.
    """
    labels = name.split(b".")
    plain = all(0x21 <= each <= 0x7E for each in name)
    fits = all(1 <= len(each) <= _LONGEST_LABEL for each in labels)
    if not plain or not fits or len(name) > _LONGEST_NAME:
        raise ValueError("not the name of a host")
    return name.lower()


def _ttl(seconds: int) -> int:
    """The TTL as it is meant: RFC 2181, section 8, has no negative ones."""
    return seconds if seconds < 1 << 31 else 0
