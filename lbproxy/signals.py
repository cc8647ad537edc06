"""
What signals mean to C{twistd lbproxy}.

Only the command line takes them: to a balancer that is part of another
application they mean what that application says.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.logger import Logger


class Signals:
    """
    Answers the signals of a process until it ends.

    Left alone, SIGHUP, SIGUSR1, SIGUSR2 and SIGQUIT would each end it at once,
    with its pid file left behind.
    """

    _log = Logger()

    def __init__(self, reactor: Any, reopenLogs: Callable[[], object]) -> None:
        """
        @param reactor: Twisted's own; it is what SIGTERM and SIGINT stop.
        @param reopenLogs: What SIGUSR1 asks for.
        """
        self._reactor = reactor
        self._reopenLogs = reopenLogs
        self._stopping = False

    def take(self) -> None:
        """Answer them from now on."""
        signal.signal(signal.SIGHUP, self._inTurn(self._reload))
        signal.signal(signal.SIGUSR1, self._inTurn(self._reopen))
        signal.signal(signal.SIGUSR2, self._inTurn(self._ignore))
        signal.signal(signal.SIGQUIT, self._once(self._quit))
        # Later, since the reactor sets its own handlers when it begins to run.
        self._reactor.callWhenRunning(self._stopOnce)

    def _inTurn(
        self, action: Callable[[], None]
    ) -> Callable[[int, FrameType | None], None]:
        """A handler that leaves it to the reactor when the action is done."""

        def handle(number: int, frame: FrameType | None) -> None:
            self._reactor.callFromThread(action)

        return handle

    def _reload(self) -> None:
        self._log.info("Received SIGHUP: reloading is not available yet")

    def _reopen(self) -> None:
        self._reopenLogs()
        self._log.info("Received SIGUSR1: log files that were moved are begun anew")

    def _ignore(self) -> None:
        self._log.info("Received SIGUSR2, which has no meaning here")

    # Stopping.

    def _stopOnce(self) -> None:
        """
        Let only the first of several signals to stop reach the reactor: a second
        one is a traceback of ReactorNotRunning in the log.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if callable(before):
                signal.signal(number, self._once(before))

    def _once(
        self, before: Callable[[int, FrameType | None], object]
    ) -> Callable[[int, FrameType | None], None]:
        def stop(number: int, frame: FrameType | None) -> None:
            if not self._stopping:
                self._stopping = True
                before(number, frame)

        return stop

    def _quit(self, number: int, frame: FrameType | None) -> None:
        self._log.info("Received SIGQUIT, which stops as SIGTERM does")
        # twistd ends by the signal that stopped it, and for this one the system
        # would write a core file.  A limit of 1 prevents that also where cores
        # go to a program, to which other limits do not apply; core(5).
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        if hard:
            resource.setrlimit(resource.RLIMIT_CORE, (1, hard))
        # The reactor's own handler remembers the number for twistd.
        self._reactor.callWhenRunning(self._reactor.sigTerm, number, frame)
