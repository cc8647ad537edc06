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
from functools import partial

from twisted.internet.interfaces import IListeningPort, IPushProducer
from twisted.logger import Logger

from ..streams.wheel import Timer, Wheel
from ..words.units import formatDuration

_SPARE = 16
"""Descriptors for log files, resolvers and whatever else opens one."""

_RETRY = 1.0
"""Seconds of rest after a shortage though no connection has ended."""

_CALM = 5.0
"""Seconds without a client that has to wait, after which an episode is over."""

_MAX_CONNECTIONS = "max-connections is reached"
_DESCRIPTORS = "All connections are in use that there are descriptors for (ulimit -n)"

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""The errors by which the system says that it has no more for this process."""


class _Episode:
    """
    A time in which clients had to wait, for one reason.

    @ivar since: When it began.
    @ivar calm: What ends it, if clients have not to wait again before.
    """

    __slots__ = ("calm", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.calm: Timer | None = None


class Capacity:
    """
    Counts the connections of a process and pauses its ports when there are
    enough.

    At the limit, ports pause and resume with each connection.  So the log tells
    of an episode: once when clients begin to wait, and once when they have not
    had to for some seconds.

    @ivar limit: How many connections, of two descriptors each.
    @ivar paused: Whether there are that many.
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
        Allow as many connections as there may be.

        @param configured: C{max-connections}; 0 for as many as there are
            descriptors for, which may be fewer in any case.
        """
        affordableNow = affordable()
        self.limit = min(configured or affordableNow, affordableNow)
        few = 0 < configured <= affordableNow
        self._reason = _MAX_CONNECTIONS if few else _DESCRIPTORS

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
        A socket was wanted and the system had none.

        @param why: Its words for that.
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
        """Clients have to wait from now on, or once more."""
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


def affordable() -> int:
    """How many connections this process has descriptors for, at least one."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        used = 32
    return max(1, (allowed - used - _SPARE) // 2)
