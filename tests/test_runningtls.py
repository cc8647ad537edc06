"""Certificates of a running listener: files that are replaced, and what expires."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from securing import Files, shake, shakeWith
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent

from lbproxy.runningtls import DAY, LOOK_EVERY, RunningTLS
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.certificates import CertificateFiles, TLSRefused
from lbproxy.streams.tlsoptions import ServerTLSOptions
from lbproxy.streams.wheel import Wheel


class Listener:
    """The TLS of listener C{web}, on a clock that begins now."""

    def __init__(self, *certificates: CertificateFiles) -> None:
        self.clock = Clock()
        self.clock.advance(datetime.now(UTC).timestamp())
        self.wheel = Wheel(ClockAlarm(self.clock))
        self.options = ServerTLSOptions(certificates=certificates)
        self.running = RunningTLS(self.wheel, self.clock, "web", self.options)
        self.running.use(self.options, self.running.prepare(self.options))

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(LOOK_EVERY + 0.01)

    def names(self, files: Files) -> list[str]:
        """The names in the certificate that a new client gets."""
        client = files.client()
        client.check_hostname = False
        return shake(self.running.termination.server, client, "nobody.example").names


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def lines(logged: list[LogEvent]) -> list[str]:
    """What was logged since the last call."""
    found = [formatEvent(each) for each in logged]
    logged.clear()
    return found


def test_replaced(files: Files, logged: list[LogEvent]) -> None:
    """New files are used in a few seconds; who has begun goes on with the old ones."""
    made = files.issue("a.example")
    web = Listener(made)
    begun = web.running.termination.server.connection(None)
    client = files.client()
    client.check_hostname = False
    files.issue("b.example", to="a.example")
    web.look()
    assert web.names(files) == ["a.example"]  # One of them may be half written.
    web.look()
    assert web.names(files) == ["b.example"]
    assert shakeWith(begun, client, "b.example").names == ["a.example"]
    (line,) = lines(logged)
    assert line.startswith(
        f"Listener web has read its certificates anew: {made.chain} (until "
    )
    web.look(5)
    assert not lines(logged)


def test_oneOfTwo(files: Files, logged: list[LogEvent]) -> None:
    """As long as only one of the two files is new, the old ones stay in use."""
    made = files.issue("a.example")
    web = Listener(made)
    other = files.issue("b.example")
    os.replace(other.chain, made.chain)
    web.look(5)
    assert web.names(files) == ["a.example"]
    assert lines(logged) == [
        (
            f"Listener web keeps the certificates it has: {made.key}: the key does not "
            f"belong to the certificate in {made.chain}"
        )
    ]
    os.replace(other.key, made.key)
    web.look(2)
    assert web.names(files) == ["b.example"]


@pytest.mark.parametrize("how", ["nonsense", "gone", "half"])
def test_broken(files: Files, logged: list[LogEvent], how: str) -> None:
    """A broken file is told of once, and the old certificate stays in use."""
    made = files.issue("a.example")
    web = Listener(made)
    chain = Path(made.chain)
    if how == "gone":
        chain.unlink()
    else:
        chain.write_bytes(
            b"nonsense" if how == "nonsense" else chain.read_bytes()[:300]
        )
    web.look(20)
    (line,) = lines(logged)
    assert line.startswith(
        f"Listener web keeps the certificates it has: {made.chain}: "
    )
    assert web.names(files) == ["a.example"]
    files.issue("b.example", to="a.example")
    web.look(2)
    assert web.names(files) == ["b.example"]


def test_touched(files: Files, logged: list[LogEvent]) -> None:
    """Files that are written again with the same content change nothing."""
    made = files.issue("a.example")
    web = Listener(made)
    before = web.running.termination.server.contexts
    for each in (made.chain, made.key):
        Path(each).write_bytes(Path(each).read_bytes())
    web.look(3)
    assert web.running.termination.server.contexts is before
    assert not lines(logged)


def test_reloadKeepsSessions(files: Files) -> None:
    """After a reload with the same files, clients resume their sessions."""
    made = files.issue("a.example")
    web = Listener(made)
    server, client = web.running.termination.server, files.client()
    first = shake(server, client)
    web.running.use(web.options, web.running.prepare(web.options))
    again = shake(server, client, session=first.client.session).facts
    assert again is not None
    assert again.resumed
    more = ServerTLSOptions(certificates=(made,), alpn=("h2",))
    web.running.use(more, web.running.prepare(more))
    facts = shake(server, files.client(alpn=("h2",))).facts
    assert facts is not None
    assert facts.alpn == "h2"


def test_reloadThatFails(files: Files) -> None:
    """What cannot be read is refused, and nothing is changed."""
    made = files.issue("a.example")
    web = Listener(made)
    other = ServerTLSOptions(certificates=(files.issue("b.example"),))
    Path(other.paths[1]).unlink()
    with pytest.raises(TLSRefused, match="No such file"):
        web.running.prepare(other)
    assert web.names(files) == ["a.example"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_mayNotReadAnyMore(files: Files, logged: list[LogEvent]) -> None:
    """
    A reload for other reasons needs no key that is in use: after privileges were
    dropped, it may be that nobody here can read it.
    """
    made = files.issue("a.example")
    web = Listener(made)
    files.directory.chmod(0o700)
    present = web.running.termination.server.contexts
    other = ServerTLSOptions(certificates=(made,), alpn=("h2",))
    os.seteuid(65534)
    try:
        for _ in range(2):
            assert web.running.prepare(web.options) is present
        web.look(3)
        with pytest.raises(TLSRefused, match="Permission denied"):
            web.running.prepare(other)
    finally:
        os.seteuid(0)
    assert lines(logged) == [
        (
            f"Listener web keeps the certificates it has: {made.chain}: cannot be "
            "read: Permission denied"
        )
    ]
    assert web.names(files) == ["a.example"]


def test_oldRevocations(files: Files, logged: list[LogEvent]) -> None:
    """A revocation list after its time refuses all clients; the log says so once."""
    made, revoked = files.issue("a.example"), files.revoking()
    web = Listener(made)
    options = ServerTLSOptions(
        certificates=(made,),
        clientCa=files.root,
        clientCertificate="required",
        clientCrl=revoked,
    )
    web.running.use(options, web.running.prepare(options))
    assert not lines(logged)
    for _ in range(4):
        web.clock.advance(DAY + 1)
    (line,) = lines(logged)
    assert line.startswith(
        f"Listener web: the revocation list in {revoked}: a newer one was due on "
    )


def test_expiry(files: Files, logged: list[LogEvent]) -> None:
    """It is told of 30, 7 and 1 days before, and after; each of it once."""
    until = datetime.now(UTC) + timedelta(days=40)
    made = files.issue("a.example", until=until)
    web = Listener(made)
    told: list[tuple[int, LogLevel, str]] = []
    for day in range(50):
        told += ((day, each["log_level"], formatEvent(each)) for each in logged)
        logged.clear()
        web.clock.advance(DAY + 1)
    line = f"Listener web: the certificate in {made.chain}: it "
    on = f"on {until:%Y-%m-%d}"
    assert [(level, text.removeprefix(line)) for _, level, text in told] == [
        (LogLevel.warn, f"expires in 29 days, {on}"),
        (LogLevel.warn, f"expires in 6 days, {on}"),
        (LogLevel.warn, f"expires in 0 days, {on}"),
        (LogLevel.error, f"has expired {on}"),
    ]
    web.running.use(web.options, web.running.prepare(web.options))
    assert not lines(logged)


def test_expiresSoonAtTheStart(files: Files, logged: list[LogEvent]) -> None:
    """A certificate that is about to expire is told of at once."""
    made = files.issue("a.example", until=datetime.now(UTC) + timedelta(days=5))
    Listener(made)
    (line,) = lines(logged)
    assert "it expires in 4 days" in line


def test_closed(files: Files) -> None:
    """A listener that is gone looks at nothing."""
    web = Listener(files.issue("a.example"))
    web.running.close()
    assert not len(web.wheel)
