"""
Limit the connections of a process to what it has descriptors for.

A client that is accepted with the last descriptor leaves none for its backend.
So the ports stop accepting a little earlier.  Further clients wait in the
kernel's backlog.  Accepting goes on as soon as a connection ends.
"""

from __future__ import annotations

import errno
import os
import resource
from functools import partial

from twisted.internet.interfaces import IListeningPort, IPushProducer
from twisted.logger import Logger

from ..streams.pipes import mostPipes
from ..streams.wheel import Timer, Wheel
from ..words.units import formatDuration

_SPARE = 16
"""Descriptors kept free for log files, resolvers and all else that opens one."""

_RETRY = 1.0
"""Seconds until accepting goes on after a shortage, even if no connection has ended."""

_CALM = 5.0
"""Seconds without a waiting client after which an episode is over."""

_MAX_CONNECTIONS = "max-connections is reached"
_DESCRIPTORS = "All connections are in use that there are descriptors for (ulimit -n)"

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""The errors of a system call that lacks descriptors, buffers or memory."""


class _Episode:
    """
    A period in which clients had to wait, for one reason.

    @ivar since: When it began.
    @ivar calm: The timer that ends it, unless clients have to wait again before.
    """

    __slots__ = ("calm", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.calm: Timer | None = None


class Capacity:
    """
    Counts the connections of a process and pauses its ports when there are
    enough.

    At the limit, ports pause and resume with each connection.  So the log has two
    lines for an episode: one when clients begin to wait, and one when no client
    has had to wait for some seconds.

    @ivar limit: How many connections are allowed, of two descriptors each.
    @ivar paused: Whether the ports are paused.
    """

    _log = Logger()

    def __init__(self, wheel: Wheel, limit: int) -> None:
        self.limit = limit
        self._reason = _DESCRIPTORS
        self._wheel = wheel
        self._rest: Timer | None = None
        self._count = 0
        self._ports: list[IPushProducer] = []
        self.paused = False
        self._episodes: dict[str, _Episode] = {}

    def allow(self, configured: int) -> None:
        """
        Set the limit, to no more connections than there are descriptors for.

        @param configured: C{max-connections}; 0 for as many as there are
            descriptors for.
        """
        affordableNow = affordable(self._count)
        self.limit = min(configured or affordableNow, affordableNow)
        few = 0 < configured <= affordableNow
        self._reason = _MAX_CONNECTIONS if few else _DESCRIPTORS

    def watch(self, port: IListeningPort) -> None:
        """Pause and resume this port too, if it can be paused."""
        if IPushProducer.providedBy(port):
            self._ports.append(port)
            if self.paused:
                port.pauseProducing()

    def forget(self, port: object) -> None:
        """Pause and resume a port no longer: it is about to be closed."""
        self._ports = [each for each in self._ports if each is not port]

    def close(self) -> None:
        """Cancel all timers; for when the last port is closed."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        for episode in self._episodes.values():
            if episode.calm is not None:
                episode.calm.cancel()
        self._episodes.clear()
        self.paused = False

    def taken(self) -> None:
        """A connection was accepted."""
        self._count += 1
        if self._count >= self.limit and not self.paused:
            self._pause()
            self._begin(self._reason)

    def released(self) -> None:
        """A connection is over."""
        self._count -= 1
        if self.paused and self._count < self.limit:
            self._resume()

    def exhausted(self, why: str) -> None:
        """
        The system had no descriptor or memory for a socket: pause the ports for a
        while.

        @param why: The system's words for the shortage.
        """
        if not self.paused:
            self._pause()
            self._rest = self._wheel.call(_RETRY, self._resume)
            self._begin(why)

    def _pause(self) -> None:
        self.paused = True
        for port in self._ports:
            port.pauseProducing()

    def _resume(self) -> None:
        if self.paused and self._count < self.limit:
            self.paused = False
            for port in self._ports:
                port.resumeProducing()
            for why, episode in self._episodes.items():
                if episode.calm is None:
                    episode.calm = self._wheel.call(_CALM, partial(self._over, why))

    def _begin(self, why: str) -> None:
        """Begin an episode, or go on with it: clients have to wait from now on."""
        episode = self._episodes.get(why)
        if episode is None:
            self._episodes[why] = _Episode(self._wheel.now())
            self._log.warn(
                "{why}, with {connections} connections: new clients wait",
                why=why,
                connections=self._count,
            )
        elif episode.calm is not None:
            episode.calm.cancel()
            episode.calm = None

    def _over(self, why: str) -> None:
        seconds = self._wheel.now() - _CALM - self._episodes.pop(why).since
        self._log.info(
            "New clients wait no longer, after {duration} ({why})",
            duration=formatDuration(round(seconds, 1)),
            why=why,
        )


def affordable(connections: int = 0) -> int:
    """
    How many connections this process has descriptors for, at least one.

    @param connections: How many it has at present, whose descriptors count as free.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        used = 32
    used = max(0, used - 2 * connections)
    return max(1, (allowed - used - _SPARE) // 2 - mostPipes())
