"""What DNS servers say is understood, and nonsense does no harm."""

from __future__ import annotations

import struct
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.names import dns

from lbproxy.discovery.answers import Answer, Service
from lbproxy.discovery.dnsmessages import (
    TRUNCATED,
    Alias,
    Question,
    identOf,
    reply,
)

ADDRESSES = Question.about("web.test", dns.A)
SERVICES = Question.about("_http._tcp.web.test", dns.SRV)
NONSENSE: Answer[Any] = Answer(None, None, "the server's answer makes no sense")


def record(name: str, value: Any, ttl: int = 60, cls: int = dns.IN) -> dns.RRHeader:
    """A record, of the kind of its value; an address is written as text."""
    if isinstance(value, str):
        value = dns.Record_AAAA(value) if ":" in value else dns.Record_A(value)
    return dns.RRHeader(name, value.TYPE, cls, ttl, value)


def alias(name: str, target: str, ttl: int = 60) -> dns.RRHeader:
    """A record that says that a name is an alias."""
    return record(name, dns.Record_CNAME(target), ttl)


def service(target: str, ttl: int = 60) -> dns.RRHeader:
    """A record of the service that is asked for."""
    return record("_http._tcp.web.test", dns.Record_SRV(1, 2, 3, target), ttl)


def authority(zone: str, ttl: int, minimum: int) -> dns.RRHeader:
    """The SOA record of a zone."""
    soa = dns.Record_SOA("ns.test", "you.test", 1, 2, 3, 4, minimum)
    return record(zone, soa, ttl)


def message(
    *answers: dns.RRHeader,
    about: Question = ADDRESSES,
    authority: tuple[dns.RRHeader, ...] = (),
    **header: Any,
) -> bytes:
    """An answer as a server sends it."""
    made = dns.Message(7, answer=1, maxSize=0)
    for name, value in header.items():
        setattr(made, name, value)
    made.addQuery(about.name, about.kind)
    made.answers += answers
    made.authority += authority
    return made.toStr()


def test_question() -> None:
    """A question asks for recursion, and has its number."""
    data = Question.about("Web.Test.", dns.AAAA).written(0xABCD)
    read = dns.Message()
    read.fromStr(data)
    assert identOf(data) == read.id == 0xABCD
    assert (read.answer, read.recDes, len(read.queries)) == (0, 1, 1)
    assert read.queries[0] == dns.Query("web.test", dns.AAAA)
    assert identOf(data[:11]) == -1


def test_otherAlphabets() -> None:
    """A name in another alphabet is asked for as DNS has it."""
    assert Question.about("b\xfccher.test", dns.A).name == b"xn--bcher-kva.test"


@pytest.mark.parametrize(
    ("answers", "found", "ttl"),
    [
        ([record("web.test", "10.0.0.1", 9)], ["10.0.0.1"], 9),
        ([record("WEB.Test", "10.0.0.1")], ["10.0.0.1"], 60),
        (
            [record("web.test", "10.0.0.1", 9), record("web.test", "10.0.0.2", 7)],
            ["10.0.0.1", "10.0.0.2"],
            7,
        ),
        # Of other names, families and classes.
        (
            [
                record("web.test", "10.0.0.1", 9),
                record("other.test", "10.0.0.2", 1),
                record("web.test", "2001:db8::1", 1),
                record("web.test", "10.0.0.3", 1, dns.CH),
                alias("web.test", "other.test", 1),
            ],
            ["10.0.0.1"],
            9,
        ),
        # Aliases, in any order.
        (
            [
                record("c.test", "10.0.0.1", 30),
                alias("B.test", "c.TEST", 5),
                alias("web.test", "b.test", 50),
            ],
            ["10.0.0.1"],
            5,
        ),
        # TTLs that were meant to be negative.
        ([record("web.test", "10.0.0.1", 1 << 31)], ["10.0.0.1"], 0),
        ([record("web.test", "10.0.0.1", (1 << 31) - 1)], ["10.0.0.1"], (1 << 31) - 1),
        ([record("web.test", "10.0.0.1", 0)], ["10.0.0.1"], 0),
    ],
)
def test_found(answers: list[dns.RRHeader], found: list[str], ttl: int) -> None:
    """Only records of the name count, and of what it is an alias of."""
    assert reply(message(*answers), ADDRESSES) == Answer(tuple(found), ttl)


def test_services() -> None:
    """A service has all numbers of its record, and its target without a dot."""
    data = message(service("A.test", 5), service("b.test"), about=SERVICES)
    found = (Service(1, 2, 3, "a.test"), Service(1, 2, 3, "b.test"))
    assert reply(data, SERVICES) == Answer(found, 5)
    there = message(service("", 5), service("b.test"), about=SERVICES)
    assert reply(there, SERVICES) == Answer(found[1:], 5)
    nothing = message(service("", 5), about=SERVICES)
    assert reply(nothing, SERVICES) == Answer((), 5, "the service is not offered")


@pytest.mark.parametrize(
    ("zone", "ttl"),
    [
        (authority("test", 20, 30), 20),
        (authority("Web.Test", 40, 30), 30),
        (authority("", 20, 30), 20),
        (authority("eb.test", 20, 30), None),
        (authority("other", 20, 30), None),
        (authority("test", 1 << 31, 30), 0),
        (record("test", dns.Record_NS("ns.test")), None),
    ],
)
@pytest.mark.parametrize("code", [dns.OK, dns.ENAME])
def test_nothing(zone: dns.RRHeader, ttl: int | None, code: int) -> None:
    """That there is nothing holds as long as the SOA of its own zone says."""
    reason = "there is no such name" if code else "it has no A records"
    data = message(authority=(zone,), rCode=code, auth=1)
    assert reply(data, ADDRESSES) == Answer((), ttl, reason)


@pytest.mark.parametrize(
    ("zone", "code", "said"),
    [
        ([authority("test", 20, 30)], dns.OK, Answer((), 20, "it has no A records")),
        ([authority("test", 30, 30)], dns.OK, Answer((), 25, "it has no A records")),
        (
            [authority("test", 20, 30)],
            dns.ENAME,
            Answer((), 20, "there is no such name"),
        ),
        ([], dns.ENAME, Answer((), None, "there is no such name")),
        ([], dns.OK, Alias(Question.about("b.test", dns.A), 25)),
        # This is not the zone of the name that it is an alias of.
        (
            [authority("web.test", 20, 30)],
            dns.OK,
            Alias(Question.about("b.test", dns.A), 25),
        ),
        (
            [record("test", dns.Record_NS("ns.test"))],
            dns.OK,
            Alias(Question.about("b.test", dns.A), 25),
        ),
    ],
)
def test_aliasOfNothing(zone: list[dns.RRHeader], code: int, said: object) -> None:
    """An alias without its end is asked on about, unless the server knows the end."""
    answers = alias("web.test", "c.test", 90), alias("c.test", "b.test", 25)
    data = message(*answers, authority=tuple(zone), rCode=code)
    assert reply(data, ADDRESSES) == said


def test_referral() -> None:
    """A server that only refers to others has not said that there is nothing."""
    refers = record("test", dns.Record_NS("ns.test"))
    said = reply(message(authority=(refers,)), ADDRESSES)
    assert said == Answer(None, None, "the server only refers to other servers")


def test_circle() -> None:
    """Aliases that lead in a circle are a failure, not an endless loop."""
    data = message(alias("web.test", "b.test"), alias("b.test", "web.test"))
    assert reply(data, ADDRESSES) == Answer(None, None, "its aliases lead in a circle")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (dns.EFORMAT, "the server did not understand the question"),
        (dns.ESERVER, "the server failed"),
        (dns.ENOTIMP, "the server does not answer such questions"),
        (dns.EREFUSED, "the server refused to answer"),
        (9, "the server answered with code 9"),
    ],
)
def test_failures(code: int, reason: str) -> None:
    """A failure is said in words, whether the server repeats the question or not."""
    whole = message(record("web.test", "10.0.0.1"), rCode=code)
    header = whole[:4] + bytes(8)
    for data in (whole, header, message(rCode=code, trunc=1)):
        assert reply(data, ADDRESSES) == Answer(None, None, reason)


@pytest.mark.parametrize(
    "data",
    [
        message(record("web.test", "10.0.0.1"), about=SERVICES),
        message(about=Question.about("web.test", dns.AAAA)),
        message(record("web.test", "10.0.0.1"), answer=0),
        message(rCode=dns.ENAME)[:4] + bytes(8),
        message(queries=[dns.Query("web.test", dns.A), dns.Query("b.test", dns.A)]),
        message(queries=[dns.Query("web.test", dns.A)]),
    ],
)
def test_otherQuestions(data: bytes) -> None:
    """What is no answer to the question is passed over, for one may still come."""
    assert reply(data, ADDRESSES) is None


def test_truncated() -> None:
    """An answer that does not fit is asked for again, whatever part of it is there."""
    records = [record("web.test", f"10.0.0.{n}") for n in range(100)]
    assert reply(message(*records, maxSize=512), ADDRESSES) is TRUNCATED
    assert reply(message(trunc=1), ADDRESSES) is TRUNCATED


def test_cutOff() -> None:
    """An answer that lacks its end, but does not say so, is not taken for a whole."""
    data = message(
        record("web.test", "10.0.0.1"),
        record("web.test", "10.0.0.2"),
        authority=(authority("test", 1, 1),),
    )
    for length in range(12, len(data)):
        assert reply(data[:length], ADDRESSES) == NONSENSE


@pytest.mark.parametrize(
    "wrong",
    [
        alias("web.test", "a b.test"),
        alias("web.test", "a\n.test"),
        alias("web.test", ""),
        alias("web.test", "a." * 127 + "test"),
    ],
)
def test_strangeNames(wrong: dns.RRHeader) -> None:
    """Names that no host has are neither asked for nor written to a log."""
    assert reply(message(wrong), ADDRESSES) == NONSENSE
    target: Any = wrong.payload
    if target.name.name:
        data = message(service(target.name.name.decode()), about=SERVICES)
        assert reply(data, SERVICES) == NONSENSE


def test_lengthOfAddress() -> None:
    """An address record of another length is none."""
    data = bytearray(message(record("web.test", "10.0.0.1")) + b"\0")
    data[-6] = 5
    assert reply(bytes(data), ADDRESSES) == NONSENSE


def test_long() -> None:
    """An answer with as many addresses as a message can have is read quickly."""
    records = [record("web.test", f"10.1.{n // 256}.{n % 256}") for n in range(4000)]
    said = reply(message(*records), ADDRESSES)
    assert isinstance(said, Answer)
    assert said.found is not None
    assert len(said.found) == 4000


def test_bomb() -> None:
    """A small message cannot keep the reactor busy, though its names are huge."""
    header = struct.pack("!6H", 7, 0x8180, 0, 3000, 0, 0)
    rest = struct.pack("!HHIH", dns.A, dns.IN, 60, 4) + b"\x7f\0\0\1"
    first = b"\1a" * 8000 + b"\0" + rest
    data = header + first + 2999 * (b"\xc0\x0c" + rest)
    began = time.process_time()
    assert reply(data, ADDRESSES) == NONSENSE
    # Without a limit on what is read it took 14 s.
    assert time.process_time() - began < 3


@given(st.binary(max_size=600))
def test_anyBytes(data: bytes) -> None:
    """Whatever comes is answered with a failure, or passed over."""
    said = reply(data, ADDRESSES)
    assert said is None or said is TRUNCATED or isinstance(said, Answer | Alias)


@given(st.data())
def test_changedBytes(data: st.DataObject) -> None:
    """An answer of which some bytes were changed does no harm either."""
    good = message(
        alias("web.test", "b.test"),
        record("b.test", "10.0.0.1"),
        service("a.test"),
        authority=(authority("test", 1, 1),),
    )
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(good) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    for question in (ADDRESSES, SERVICES):
        said = reply(bytes(changed), question)
        assert said is None or said is TRUNCATED or isinstance(said, Answer | Alias)
