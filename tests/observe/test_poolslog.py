"""What an operator reads of sick backends, in the log."""

from __future__ import annotations

from pathlib import Path

from stories import A, B, C, Story, record
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent
from zope.interface.verify import verifyObject

from lbproxy import Backend, End
from lbproxy.balance.pool import Pool
from lbproxy.balance.rotation import RoundRobin
from lbproxy.interfaces import IPoolObserver
from lbproxy.observe.endslog import EndsLog
from lbproxy.observe.poolslog import PoolsLog
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import Wheel

NIGHT = Path(__file__).with_name("night.txt")
"""
The log of one night, approved: whoever changes a line of the log sees here how the
whole story reads.  Delete the file, and the test writes it anew, and fails.
"""


def test_interface() -> None:
    """It is told of pools."""
    verifyObject(IPoolObserver, PoolsLog(Wheel(ClockAlarm(Clock()))))


def lines(logged: list[LogEvent]) -> list[str]:
    """The log as it is read, less the times and the numbers of connections."""
    return [
        f"{event['log_level'].name:5} "
        + formatEvent({**event, "id": "N"} if "id" in event else event)
        for event in logged
    ]


class Night:
    """Clients come all night, while one thing after the other goes wrong."""

    def __init__(self) -> None:
        names = "".join(
            f'[[pool.web.backends]]\nname = "b{at}"\nconnect = "{connect}"\n'
            for at, connect in enumerate((A, B, C), 1)
        )
        self.story = Story(A, B, C, members=names)

    def clients(self, number: int, seconds: float = 1.0) -> None:
        """So many clients come and ask, one after the other, and leave."""
        for _ in range(number):
            client = self.story.client(b"GET / HTTP/1.0\r\n\r\n")
            self.story.settle(seconds)
            for backend in self.story.backends:
                while backend.accepted and backend.answer == "accept":
                    self.answer(backend.accepted.pop())
            self.story.settle()
            client.end()
            self.story.settle()

    def answer(self, far) -> None:
        if self.empty:
            far.end()
        else:
            far.send(b"HTTP/1.0 200 OK\r\n\r\n")
            far.end()

    empty = False


def test_aNight(logged: list[LogEvent]) -> None:
    """Kill, black hole, accept and close, nobody left, and back again."""
    night = Night()
    one, two, three = night.story.backends
    logged.clear()
    told: list[str] = []

    def chapter(title: str) -> None:
        told.extend(lines(logged))
        logged.clear()
        told.append(f"-- {title}")

    chapter("all is well")
    night.clients(3)
    chapter("b1 is killed")
    one.answer = "refuse"
    night.clients(18)
    chapter("b2 is behind a black hole")
    two.answer = "hang"
    night.clients(8, 6.0)
    chapter("b3 is killed as well")
    three.answer = "refuse"
    night.clients(2, 6.0)
    chapter("all are back")
    for backend in night.story.backends:
        backend.answer = "accept"
    night.clients(40)
    chapter("b1, b2 and b3 accept and close")
    night.empty = True
    night.clients(14)
    night.story.settle(61)
    chapter("the end")
    night.story.stop()
    told.extend(lines(logged))
    text = "\n".join(told) + "\n"
    if not NIGHT.exists():
        NIGHT.write_text(text)
        raise AssertionError(f"read {NIGHT} and approve of it")
    assert text == NIGHT.read_text()


def test_clientsThatOnlyLook(logged: list[LogEvent]) -> None:
    """A client that leaves before its first byte is not worth a line."""
    log = EndsLog(Wheel(ClockAlarm(Clock())))
    log.closed(record(End.CLIENT_RESET))
    assert logged == []
    log.closed(record(End.CLIENT_RESET, bytesFromClient=1))
    assert len(logged) == 1
    log.close()


def test_nobodyLeft(logged: list[LogEvent]) -> None:
    """With the whole pool ejected it is said that all are tried."""
    log = PoolsLog(Wheel(ClockAlarm(Clock())))
    log.nobodyLeft("web", 2, 1, True)
    assert lines(logged) == [
        "warn  pool web: no member available (2 ejected, 1 down), trying all"
    ]


def test_tiers(logged: list[LogEvent]) -> None:
    """It is said when backups serve, which ones if there are several tiers, and not."""
    log = PoolsLog(Wheel(ClockAlarm(Clock())))
    backends = [Backend("tcp:a:80", tier=10), Backend("tcp:b:80", tier=20)]
    pool = Pool("srv", backends, RoundRobin(), observer=log)
    pool.setState(pool.members[0], "drain", 0.0)
    pool.setState(pool.members[0], None, 0.0)
    backends = [Backend("tcp:a:80"), Backend("tcp:b:80", backup=True)]
    pool = Pool("web", backends, RoundRobin(), observer=log)
    pool.setState(pool.members[0], "drain", 0.0)
    pool.setState(pool.members[0], None, 0.0)
    assert [each for each in lines(logged) if " pool " in each] == [
        "warn  pool srv: only backups of tier 20 are available, using them",
        "info  pool srv: its backups are not used any more",
        "warn  pool web: only backups are available, using them",
        "info  pool web: its backups are not used any more",
    ]
