"""
As many connections as there are descriptors for, and no more.

A client that is accepted with the last descriptor finds none left for its
backend.  So the ports stop accepting a little before, the clients beyond wait
in the kernel's backlog, and accepting goes on as soon as a connection ends.
"""

from __future__ import annotations

import errno
import os
import resource

from twisted.internet.interfaces import IListeningPort, IPushProducer
from twisted.logger import Logger

from ..streams.wheel import Timer, Wheel

_SPARE = 16
"""Descriptors for log files, resolvers and whatever else opens one."""

_RETRY = 1.0
"""Seconds of rest after a shortage though no connection has ended."""

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""The errors by which the system says that it has no more for this process."""


class Capacity:
    """
    Counts the connections of a process and pauses its ports when there are
    enough.

    @ivar limit: How many connections, of two descriptors each.
    @ivar paused: Whether there are that many.
    """

    _log = Logger()

    def __init__(self, wheel: Wheel, limit: int) -> None:
        self.limit = limit
        self._wheel = wheel
        self._rest: Timer | None = None
        self._count = 0
        self._ports: list[IPushProducer] = []
        self.paused = False
        self._told: set[str] = set()

    def watch(self, port: IListeningPort) -> None:
        """Pause and resume this port too, if it is of a kind that can be."""
        if IPushProducer.providedBy(port):
            self._ports.append(port)
            if self.paused:
                port.pauseProducing()

    def forget(self, port: object) -> None:
        """A port is about to be closed."""
        self._ports = [each for each in self._ports if each is not port]

    def close(self) -> None:
        """Let nothing be left to come; for when the last port is closed."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        self.paused = False

    def taken(self) -> None:
        """A connection was accepted."""
        self._count += 1
        if self._count >= self.limit and not self.paused:
            self._pause()
            self._tell(
                "{connections} connections are as many as there may be; new clients "
                "wait until one ends. The limit on descriptors (ulimit -n) decides "
                "how many there may be."
            )

    def released(self) -> None:
        """A connection is over."""
        self._count -= 1
        if self.paused and self._count < self.limit:
            self._resume()

    def exhausted(self, why: str) -> None:
        """
        A socket was wanted and the system had none.

        @param why: Its words for that.
        """
        if not self.paused:
            self._pause()
            self._rest = self._wheel.call(_RETRY, self._resume)
            self._tell(
                "{why}, with {connections} connections; new clients wait until one "
                "ends, or for a second.",
                why,
            )

    def _pause(self) -> None:
        self.paused = True
        for port in self._ports:
            port.pauseProducing()

    def _tell(self, message: str, why: str = "") -> None:
        """Log it once: at the limit, ports pause and resume with each connection."""
        if why not in self._told:
            self._told.add(why)
            self._log.warn(message, why=why, connections=self._count)

    def _resume(self) -> None:
        if self.paused and self._count < self.limit:
            self.paused = False
            for port in self._ports:
                port.resumeProducing()


def affordable() -> int:
    """How many connections this process has descriptors for, at least one."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        used = 32
    return max(1, (allowed - used - _SPARE) // 2)
