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

from twisted.internet.defer import Deferred
from twisted.logger import Logger

_HELD = {signal.SIGTERM}
"""
What waits until the reactor runs.  It does not replace a handler of SIGINT that is set.
"""


class Signals:
    """
    Sets the signal handlers of the process.

    By default SIGHUP, SIGUSR1, SIGUSR2 and SIGQUIT would each end the process at once,
    and leave its pid file behind.

    The first SIGTERM or SIGINT drains, and then stops the reactor without a signal's
    status.  A second one, or SIGQUIT at any time, is what Twisted makes of SIGTERM: the
    reactor stops now, and twistd ends with the status of that signal.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        drain: Callable[[], Deferred[Any]],
        reload: Callable[[], object],
        reopenLogs: Callable[[], object],
    ) -> None:
        """
        @param reactor: Twisted's own reactor, which the signals stop.
        @param drain: Called on the first SIGTERM or SIGINT; the reactor is stopped when
            what it returns fires.
        @param reload: Called on SIGHUP.
        @param reopenLogs: Called on SIGUSR1.
        """
        self._reactor = reactor
        self._drain = drain
        self._reloadAll = reload
        self._reopenLogs = reopenLogs
        self._draining = False
        self._stopping = False

    def take(self) -> None:
        """
        Set the handlers.

        SIGTERM waits until the reactor runs, or until L{release}.
        """
        # When it begins to run, the reactor sets a handler of its own for SIGTERM, with
        # which this signal would end twistd with its status.  Threads that are made
        # from now on do not take the signal either.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
        signal.signal(signal.SIGHUP, self._inTurn(self._reload))
        signal.signal(signal.SIGUSR1, self._inTurn(self._reopen))
        signal.signal(signal.SIGUSR2, self._inTurn(self._ignore))
        signal.signal(signal.SIGQUIT, self._quit)
        self._takeStops()
        self._reactor.callWhenRunning(self._runs)

    def release(self) -> None:
        """Let SIGTERM through, since the reactor runs or will not run."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)

    def leave(self) -> None:
        """Ignore further signals to stop, since the reactor is stopping."""
        self._stopping = True

    def _runs(self) -> None:
        # Again, since the reactor has just set its own.
        self._takeStops()
        self.release()

    def _takeStops(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        # A shell's script has SIGINT ignored by what it starts in the background.
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._stop)

    def _inTurn(
        self, action: Callable[[], None]
    ) -> Callable[[int, FrameType | None], None]:
        """Make a handler that has the reactor call the action."""

        def handle(number: int, frame: FrameType | None) -> None:
            self._reactor.callFromThread(action)

        return handle

    def _reload(self) -> None:
        self._log.info("Received SIGHUP, which loads the configuration again")
        self._reloadAll()

    def _reopen(self) -> None:
        self._reopenLogs()
        self._log.info("Received SIGUSR1: log files that were moved are begun anew")

    def _ignore(self) -> None:
        self._log.info("Received SIGUSR2, which has no meaning here")

    # Stopping.

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Drain; or stop now, if this is not the first signal to stop."""
        if self._draining:
            self._stopNow(number, frame)
            return
        self._draining = True
        # Before the reactor runs, this waits until it does.
        self._reactor.callFromThread(self._drainFor, signal.Signals(number).name)

    def _drainFor(self, name: str) -> None:
        if self._stopping:
            return  # A second signal came first.
        self._log.info(
            "Received {name}: connections may finish; a second signal stops at once",
            name=name,
        )
        self._drain().addBoth(self._drained)

    def _drained(self, result: Any) -> Any:
        # A signal can come between any two steps.  With these two in this order, it
        # stops the reactor only if this does not.
        stopping, self._stopping = self._stopping, True
        if not stopping:
            self._reactor.stop()
        return result

    def _quit(self, number: int, frame: FrameType | None) -> None:
        if self._stopping:
            return
        self._log.info("Received SIGQUIT, which stops at once")
        # twistd ends itself with the signal that stopped it, and for SIGQUIT the system
        # would write a core file.  A limit of 1 prevents that.  It does so even where
        # cores are piped to a program, to which other limits do not apply; core(5).
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        if hard:
            resource.setrlimit(resource.RLIMIT_CORE, (1, hard))
        self._stopNow(number, frame)

    def _stopNow(self, number: int, frame: FrameType | None) -> None:
        # A third signal would log a traceback of ReactorNotRunning.
        if not self._stopping:
            self._stopping = True
            # The reactor's own handler stores the number of the signal for twistd.
            interrupted = number == signal.SIGINT
            stop = self._reactor.sigInt if interrupted else self._reactor.sigTerm
            self._reactor.callWhenRunning(stop, number, frame)
