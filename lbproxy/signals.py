"""
Handles the signals of C{twistd lbproxy}.

Only the command line does this.  A balancer that is part of another application leaves
signals to that application.
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
    Sets the signal handlers of the process.

    By default SIGHUP, SIGUSR1, SIGUSR2 and SIGQUIT would each end the process at once,
    and leave its pid file behind.
    """

    _log = Logger()

    def __init__(self, reactor: Any, reopenLogs: Callable[[], object]) -> None:
        """
        @param reactor: Twisted's own reactor, which SIGTERM and SIGINT stop.
        @param reopenLogs: Called on SIGUSR1.
        """
        self._reactor = reactor
        self._reopenLogs = reopenLogs
        self._stopping = False

    def take(self) -> None:
        """Set the handlers."""
        signal.signal(signal.SIGHUP, self._inTurn(self._reload))
        signal.signal(signal.SIGUSR1, self._inTurn(self._reopen))
        signal.signal(signal.SIGUSR2, self._inTurn(self._ignore))
        signal.signal(signal.SIGQUIT, self._once(self._quit))
        # Later, since the reactor sets its own handlers when it begins to run.
        self._reactor.callWhenRunning(self._stopOnce)

    def _inTurn(
        self, action: Callable[[], None]
    ) -> Callable[[int, FrameType | None], None]:
        """Make a handler that has the reactor call the action."""

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
        Pass only the first of several stop signals on to the reactor.

        A second one would log a traceback of ReactorNotRunning.
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
        # twistd ends itself with the signal that stopped it, and for SIGQUIT the system
        # would write a core file.  A limit of 1 prevents that.  It does so even where
        # cores are piped to a program, to which other limits do not apply; core(5).
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        if hard:
            resource.setrlimit(resource.RLIMIT_CORE, (1, hard))
        # The reactor's own handler stores the number of the signal for twistd.
        self._reactor.callWhenRunning(self._reactor.sigTerm, number, frame)
