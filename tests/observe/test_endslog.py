"""The abnormal ends in the log."""

from __future__ import annotations

from stories import A, record
from twisted.internet.task import Clock
from twisted.logger import eventAsText
from zope.interface.verify import verifyObject

from lbproxy import Address, Backend, Connection, End, IConnectionObserver
from lbproxy.observe.endslog import EndsLog
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import Wheel


def test_interface() -> None:
    """It is an observer."""
    verifyObject(IConnectionObserver, EndsLog(Wheel(ClockAlarm(Clock()))))


def test_floodOfEnds(logged) -> None:
    """Of a flood a few are written and the rest are counted."""
    clock = Clock()
    log = EndsLog(Wheel(ClockAlarm(clock)))
    log.opened(record())
    log.closed(record())
    for number in range(10):
        log.closed(record(End.CONNECT_FAILED, number, backend=Backend(A)))
    log.closed(record(End.IDLE_TIMEOUT))
    log.closed(record(End.INTERNAL_ERROR))
    assert [str(event["log_level"]) for event in logged] == [
        *["<LogLevel=warn>"] * 3,
        "<LogLevel=info>",
        "<LogLevel=critical>",
    ]
    assert logged[0]["id"] == 0
    clock.advance(1)
    assert [event.get("more") for event in logged[5:]] == [7]
    log.closed(record(End.CONNECT_FAILED))
    assert len(logged) == 7
    log.close()
    assert not clock.getDelayedCalls()


def test_throughAProxy(logged) -> None:
    """Both are told, the client and the proxy that has named it."""
    log = EndsLog(Wheel(ClockAlarm(Clock())))
    log.closed(record(End.CONNECT_FAILED, proxy=Address("/run/\x1b")))
    log.close()
    text = eventAsText(logged[0], includeTimestamp=False)
    assert r"from 192.0.2.1:40001 through unix:/run/\x1b, pool" in text


def test_clientsOwnWords(logged) -> None:
    """A client that chose its name writes no line of its own, and moves no cursor."""
    clock = Clock()
    log = EndsLog(Wheel(ClockAlarm(clock)))
    log.closed(
        Connection(
            id=7,
            listener="front",
            client=Address("/run/\x1b[2J\nchosen"),
            local=Address("/run/front"),
            opened=0.0,
            backend=Backend("unix:/run/\x1bback"),
            tried=[Backend("unix:/run/\x1btried")],
            end=End.CONNECT_FAILED,
            detail="\x07",
        )
    )
    log.close()
    (event,) = logged
    text = eventAsText(event, includeTimestamp=False)
    assert text.isprintable()
    for words in r"unix:/run/\x1b[2J\nchosen", r"\x1bback", r"\x1btried", r"\x07":
        assert words in text
