"""C{python -m bench.compact PORT BACKEND...}: serve until a signal."""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorCore
from twisted.logger import globalLogBeginner, textFileLogObserver

from lbproxy.balance.pickers import RoundRobin
from lbproxy.balance.pool import Pool
from lbproxy.observe.endslog import EndsLog
from lbproxy.proxy.capacity import affordable
from lbproxy.streams.alarm import alarmFor
from lbproxy.streams.wheel import Wheel
from lbproxy.words.backend import Backend

from .balancer import HOST, Balancer


def main(port: int, backends: list[int]) -> None:
    """
    Relay from one port of the loopback interface to others, in turn.

    @param backends: The ports of the backends.
    """
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)])
    wheel = Wheel(alarmFor(reactor))
    members = [Backend(f"tcp:{HOST}:{each}") for each in backends]
    pool = Pool("compact", members, RoundRobin())
    Balancer(reactor, wheel, pool, EndsLog(wheel), affordable(), port)
    IReactorCore(reactor).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(each) for each in sys.argv[2:]])
