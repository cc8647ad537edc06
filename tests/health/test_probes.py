"""What each kind of health check takes for healthy, and that it leaves nothing open."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from lbproxy import Address, Backend, IHealthProbe
from lbproxy.health.contact import ANSWER_LIMIT, AT_ONCE, GATHERING, Dialogue
from lbproxy.health.options import HealthCheckOptions
from lbproxy.health.probes import ContactProbe
from lbproxy.plugins.making import buildProbe
from lbproxy.proxy.reasons import brief
from lbproxy.streams.proxyprotocol.build import LOCAL_V2, headerV1
from lbproxy.testing import Far, MemoryNetwork

HOST = "10.0.0.1"
A = Backend(f"tcp:{HOST}:80")


class Check:
    """One check of one kind."""

    def __init__(
        self, kind: str, connect: str = A.connect, header: str = "off", **options
    ) -> None:
        self.network = MemoryNetwork()
        self.network.alias("a.internal", HOST)
        self.backend = self.network.backend(HOST, 80)
        self.options = HealthCheckOptions(kind=kind, options=options)
        self.checked = Backend(connect, proxyProtocol=header)
        self.outcomes: list[str] = []

    def begin(self, dialogue: Dialogue | None = None) -> Check:
        probe: Any = buildProbe(self.options, self.network)
        if dialogue is not None:
            probe = ContactProbe(self.network, lambda backend: dialogue)
        verifyObject(IHealthProbe, probe)
        self.deferred = probe.probe(self.checked)
        self.deferred.addCallbacks(self._passed, self._failed)
        self.network.settle()
        return self

    def _passed(self, answer) -> None:
        assert answer is None
        self.outcomes.append("passed")

    def _failed(self, failure: Failure) -> None:
        cancelled = failure.check(CancelledError)
        self.outcomes.append("cancelled" if cancelled else brief(failure))

    @property
    def far(self) -> Far:
        return self.backend.accepted[0]

    def answer(self, *pieces: bytes, end: bool = False) -> str:
        """Answer, and say what came of it; nothing is left then."""
        self.begin()
        for piece in pieces:
            self.far.send(piece)
            self.network.settle()
        if end:
            self.far.end()
        return self.outcome()

    def outcome(self) -> str:
        self.network.settle()
        (outcome,) = self.outcomes
        assert all(far.closed for far in self.backend.accepted)
        assert not self.network.getDelayedCalls()
        return outcome


KINDS = [("tcp", {}), ("http", {}), ("exchange", {"expect": "x"})]
WAYS = [A.connect, "tcp:a.internal:80"]


@pytest.mark.parametrize("connect", WAYS)
@pytest.mark.parametrize(("kind", "options"), [*KINDS, ("tls", {})])
def test_refused(kind: str, options: dict, connect: str) -> None:
    """A backend that is not there fails every kind of check."""
    check = Check(kind, connect, **options)
    check.backend.refuses()
    assert check.begin().outcome() == "connection refused"


OWN, THERE = Address("127.0.0.1", 39999), Address(HOST, 80)


@pytest.mark.parametrize(
    ("header", "sent"), [("v1", headerV1(OWN, THERE)), ("v2", LOCAL_V2)]
)
@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("tcp", {}, b""),
        ("http", {}, b"GET / HTTP/1.1\r\n"),
        ("exchange", {"send": "hello", "expect": "x"}, b"hello"),
        ("tls", {}, b"\x16\x03"),
    ],
)
def test_header(
    kind: str, options: dict, said: bytes, header: str, sent: bytes
) -> None:
    """It comes before anything that a check says, the TLS handshake included."""
    check = Check(kind, header=header, **options).begin()
    assert check.far.received.startswith(sent + said)
    check.deferred.cancel()
    check.network.settle()


@pytest.mark.parametrize("connect", WAYS)
def test_tcp(connect: str) -> None:
    """To accept is enough; the connection is closed in good order."""
    check = Check("tcp", connect).begin()
    assert check.outcome() == "passed"
    assert check.far.hasEnd
    assert not check.far.wasReset


@pytest.mark.parametrize("connect", WAYS)
@pytest.mark.parametrize("answer", ["accept", "hang"])
@pytest.mark.parametrize(("kind", "options"), KINDS[1:])
def test_cancelled(kind: str, options: dict, answer, connect: str) -> None:
    """A check without an answer leaves nothing when its time is over."""
    check = Check(kind, connect, **options)
    check.backend.answer = answer
    check.begin()
    assert check.outcomes == []
    check.deferred.cancel()
    check.network.settle(60)
    assert check.outcome() == "cancelled"


def test_aPeerThatTakesNothingIsCutOff() -> None:
    """What cannot be delivered does not keep a connection open."""
    check = Check("exchange", send="x" * 100, expect="220")
    check.backend.stalls()
    check.begin().far.send(b"220 hello")
    check.network.settle()
    assert check.outcomes == ["passed"]
    assert not check.far.closed
    check.network.settle(1)
    assert check.far.wasReset
    assert check.outcome() == "passed"


def test_httpRequest() -> None:
    """One plain request, which asks for the connection to be closed."""
    check = Check("http", path="/health?full", host="shop.example.com").begin()
    head, *fields = bytes(check.far.received).split(b"\r\n")
    assert head == b"GET /health?full HTTP/1.1"
    assert b"Host: shop.example.com" in fields
    assert b"Connection: close" in fields
    check.deferred.cancel()


@pytest.mark.parametrize(
    ("connect", "host"),
    [
        (A.connect, b"10.0.0.1"),
        ("tcp:a.internal:port=80:timeout=3", b"a.internal"),
    ],
)
def test_httpHost(connect: str, host: bytes) -> None:
    """Without a host of its own the request names the backend's."""
    check = Check("http", connect).begin()
    assert b"Host: " + host + b"\r\n" in check.far.received
    check.deferred.cancel()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (OK, "passed"),
        (b"HTTP/1.0 204 No Content\r\n\r\n", "passed"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "passed"),
        (b"HTTP/1.1 503 No\r\n\r\n", "status 503, expected 200-399"),
        (b"HTTP/1.1 404 No\r\n\r\n", "status 404, expected 200-399"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_http(answer: bytes, outcome: str, split: bool) -> None:
    """The status decides, however the answer is split."""
    pieces = [answer[at : at + 1] for at in range(len(answer))] if split else [answer]
    assert Check("http").answer(*pieces) == outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "passed"), (404, "passed"), (201, "status 201, expected 200,400-404")],
)
def test_expectStatus(status: int, outcome: str) -> None:
    """Ranges and single codes are what passes."""
    answer = b"HTTP/1.1 %d -\r\n\r\n" % status
    options = {"expect-status": "200,400-404"}
    assert Check("http", **options).answer(answer) == outcome


@pytest.mark.parametrize(
    ("pieces", "end", "outcome"),
    [
        ([], True, "no answer before it closed"),
        ([b"HTTP/1.1 200 OK\r\n"], True, "the head of the answer was not complete"),
        ([b"SSH-2.0-x\r\n\r\n"], False, "the answer is not HTTP"),
        ([b"HTTP/1.1 100 -\r\n\r\n"] * 4000, False, "not complete in its first 64"),
        ([b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20000], False, "the answer is not H"),
    ],
)
def test_noHttp(pieces: list[bytes], end: bool, outcome: str) -> None:
    """What is no answer fails, at once and within bounds."""
    assert outcome in Check("http").answer(*filter(None, [b"".join(pieces)]), end=end)


def test_reset() -> None:
    """A backend that resets has not answered."""
    check = Check("http").begin()
    check.far.reset()
    assert check.outcome() == "it reset the connection"


PING = {"send": "PING\r\n", "expect": "+PONG"}
BANNER = {"expect-regex": "(?m)^220[ -].*ready"}


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (PING, b"+PONG\r\n"),
        (PING, b"-LOADING\r\n+PO+PONG"),
        (BANNER, b"220 mail.example.com is ready\r\n"),
        (BANNER, b"hello\r\n220-ready\r\n"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_exchange(options: dict, answer: bytes, split: bool) -> None:
    """What is expected may come in pieces, and after other things."""
    pieces = [answer[at : at + 1] for at in range(len(answer))] if split else [answer]
    check = Check("exchange", **options)
    assert check.answer(*pieces) == "passed"
    assert check.far.received == options.get("send", "").encode()


@pytest.mark.parametrize(
    ("options", "pieces", "outcome"),
    [
        (PING, [b"-ERR\r\n"], 'the answer did not contain "+PONG" before it closed'),
        (BANNER, [b"421 no\r\n"], 'the answer did not match "(?m)^220[ -].*ready"'),
        (PING, [], "no answer before it closed"),
        ({"expect": "a\r\n"}, [b"x"], r'the answer did not contain "a\r\n"'),
    ],
)
def test_exchangeFails(options: dict, pieces: list[bytes], outcome: str) -> None:
    """The reason says what was missing, on one line."""
    assert outcome in Check("exchange", **options).answer(*pieces, end=True)


def test_exchangeIsBounded() -> None:
    """An answer without an end fails after 64 KiB, and not on what comes later."""
    check = Check("exchange", **PING)
    said = check.answer(b"x" * 65535, b"x+PONG")
    assert said == 'the answer did not contain "+PONG" in its first 64 KiB'


@pytest.mark.parametrize(
    ("before", "passes"),
    [
        (0, 0.0),
        (AT_ONCE - 4, 0.0),
        (AT_ONCE, GATHERING),
        (2 * AT_ONCE - 4, 0.0),
        (40_000, GATHERING),
        (ANSWER_LIMIT - 4, 0.0),
    ],
)
@pytest.mark.parametrize("expected", [{"expect": "220 "}, {"expect-regex": "220 $"}])
def test_aByteAtATime(expected: dict, before: int, passes: float) -> None:
    """
    A backend that has said what is expected, and waits then, passes at once; or a
    moment later if it has said much before.
    """
    check = Check("exchange", **expected).begin()
    for byte in b"x" * before + b"220 ":
        check.far.send(bytes([byte]))
    check.network.settle()
    assert check.outcomes == ["passed"] * (not passes)
    check.network.settle(passes)
    assert check.outcome() == "passed"


@pytest.mark.parametrize("end", ["end", "reset"])
def test_whatWasSaidLast(end: str) -> None:
    """What is expected counts, even if the backend leaves in the same moment."""
    check = Check("exchange", **BANNER).begin()
    for byte in b"220 " + b"x" * 2 * AT_ONCE + b" ready":
        check.far.send(bytes([byte]))
    getattr(check.far, end)()
    check.network.settle()
    assert check.outcome() == "passed"


def test_whatWasSaidLastIsWrong() -> None:
    """The reason is that of the answer, even if the backend leaves with it."""
    check = Check("http").begin()
    for byte in b"HTTP/1.1 503 No\r\nx: " + b"x" * 2000 + b"\r\n\r\n":
        check.far.send(bytes([byte]))
    check.far.reset()
    assert check.outcome() == "status 503, expected 200-399"


def test_nothingIsLookedAtTwice() -> None:
    """What was gathered, and then looked at with a longer piece, is over."""
    check = Check("http").begin()
    for piece in (b"HTTP/1.1 200 OK\r\nx: " + b"x" * AT_ONCE, b"x", b"x" * 2000):
        check.far.send(piece)
    check.network.settle(2 * GATHERING)
    check.far.send(b"\r\n\r\n")
    check.network.settle(GATHERING)
    assert check.outcome() == "passed"


def test_cancelledWhileItGathers() -> None:
    """A check whose time is over looks at nothing any more."""
    check = Check("exchange", **PING).begin()
    for byte in b"x" * AT_ONCE + b"+PONG":
        check.far.send(bytes([byte]))
    check.network.settle()
    check.deferred.cancel()
    assert check.outcome() == "cancelled"


class Rereading:
    """
    Looks at the whole answer again with each piece, as an expression is looked for.

    @ivar looked: At how many bytes it has looked.
    """

    opening = b""
    listens = True

    def __init__(self) -> None:
        self.length = self.looked = 0

    def hear(self, data: bytes) -> bool:
        self.length += len(data)
        self.looked += self.length
        return False

    def lacking(self) -> str:
        return "it did not end"


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_manyPiecesCostLittle(seconds: float) -> None:
    """A backend that says 64 KiB byte by byte takes no core from the clients."""
    dialogue = Rereading()
    check = Check("exchange", **PING).begin(dialogue)
    for _ in range(64):
        for _ in range(ANSWER_LIMIT // 64):
            check.far.send(b"x")
        check.network.settle(seconds / 64)
    assert check.outcome() == "it did not end in its first 64 KiB"
    assert dialogue.length == ANSWER_LIMIT
    assert dialogue.looked < (1 + 7 * seconds) * 2**20
