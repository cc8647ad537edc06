"""The TLS of one listener while it runs: its files are watched, and what expires."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from twisted.logger import Logger, LogLevel

from .config.listenertls import refusedAt
from .config.model import ListenerConfiguration
from .holdings import Holdings
from .proxy.termination import Handshakes, Termination
from .streams.certificates import WARN_WITHIN, Certificate, TLSRefused
from .streams.tlscontexts import Contexts, overdueWords
from .streams.tlsoptions import ServerTLSOptions
from .streams.tlsserver import ServerTLS
from .streams.wheel import Timer, Wheel

LOOK_EVERY = 2.0
"""Seconds between two looks at the files."""

DAY = 86400.0

WARNINGS = (1, 7, WARN_WITHIN)
"""The days before a certificate expires on which that is logged."""

Version = tuple[int, ...] | None
"""What is another if the file is; L{None} if there is none."""


class RunningTLS:
    """
    The TLS of one listener.

    Files that were replaced are used as soon as they are the same in two looks: a
    certificate and its key are two files, and one may be half written.  Connections
    under way go on with what they began with.

    @ivar termination: What the sessions of the listener use.
    """

    _log = Logger()

    def __init__(
        self,
        wheel: Wheel,
        reactor: Any,
        listener: str,
        options: ServerTLSOptions,
    ) -> None:
        """
        @param reactor: Tells the time of day; Twisted's TLS asks it for C{callLater}.
        @param listener: The name of the listener, for the log.
        @raise TLSRefused: If a file cannot be read or used.
        """
        self._wheel = wheel
        self._listener = listener
        self._seconds: Callable[[], float] = reactor.seconds
        self._options = options
        # Before they are read: what changes meanwhile is noticed later.
        self._read = self._used = self._seen = _versions(options.paths)
        self._server = ServerTLS(options)
        self.termination = Termination(
            self._server, Handshakes(options.maxHandshakes), reactor
        )
        self._isNew = True
        self._kept = ""
        self._overdue: datetime | None = None
        self._said: dict[bytes, int] = {}
        self._timers: dict[Callable[[], None], Timer] = {}

    def prepare(self, options: ServerTLSOptions) -> Contexts:
        """
        Read the files of some options, and use nothing of them yet.

        If this user may not read the files that are in use, such as after privileges
        were dropped, what was read of them is kept.

        @raise TLSRefused: If one of them cannot be read or used.
        """
        present, isSame = self._server.contexts, options == self._options
        isNew, self._isNew = self._isNew, False
        if isSame and isNew:
            return present
        self._read = _versions(options.paths)
        try:
            contexts = self._server.load(options)
        except TLSRefused as error:
            if not (isSame and error.forbidden):
                raise
            self._keep(error)
            return present
        self._kept = ""
        if isSame and contexts.content == present.content:
            # With other contexts no client could resume its session.
            return present
        return contexts

    def use(self, options: ServerTLSOptions, contexts: Contexts) -> None:
        """
        Let new connections go by some options.

        @param contexts: What L{prepare} has returned for them.
        """
        self._options = options
        self.termination.handshakes.allow(options.maxHandshakes)
        self._server.contexts = contexts
        self._used = self._seen = self._read
        self._every(LOOK_EVERY, self._look)
        self._every(DAY, self._tellExpiry)
        self._tellExpiry()

    def close(self) -> None:
        """Look at nothing any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _every(self, delay: float, what: Callable[[], None]) -> None:
        """Call something again and again, even if it raises."""

        def again() -> None:
            self._timers[what] = self._wheel.call(delay, again)
            what()

        if what not in self._timers:
            self._timers[what] = self._wheel.call(delay, again)

    def _look(self) -> None:
        """Use the files if others have taken their place."""
        seen, self._seen = self._seen, _versions(self._options.paths)
        if self._seen == self._used or self._seen != seen:
            return
        self._used = self._seen
        present = self._server.contexts
        try:
            contexts = self.prepare(self._options)
        except TLSRefused as error:
            self._keep(error)
            return
        if contexts is not present:
            self._server.contexts = contexts
            self._log.info(
                "Listener {listener} has read its certificates anew: {certificates}",
                listener=self._listener,
                certificates=", ".join(map(_described, contexts.certificates)),
            )
            self._tellExpiry()

    def _keep(self, error: TLSRefused) -> None:
        """Log why the files are not used, unless that is known."""
        if self._kept != str(error):
            self._kept = str(error)
            self._log.error(
                "Listener {listener} keeps the certificates it has: {error}",
                listener=self._listener,
                error=self._kept,
            )

    def _tellExpiry(self) -> None:
        """Log what expires soon, or has expired: each stage of it once."""
        now = datetime.fromtimestamp(self._seconds(), UTC)
        self._tellOverdue(now)
        for each in self._server.contexts.certificates:
            left = each.daysLeft(now)
            stage = next((days for days in (0, *WARNINGS) if left < days), None)
            said = self._said.get(each.fingerprint)
            if stage is None or (said is not None and said <= stage):
                continue
            self._said[each.fingerprint] = stage
            self._log.emit(
                LogLevel.warn if stage else LogLevel.error,
                "Listener {listener}: the certificate in {path}: {expiry}",
                listener=self._listener,
                path=each.files.chain,
                expiry=each.expiry(now),
            )

    def _tellOverdue(self, now: datetime) -> None:
        """Log that the revocation list is too old, once for each list."""
        due = self._server.contexts.trust.overdue(now)
        if due is not None and due != self._overdue:
            self._log.error(
                "Listener {listener}: the revocation list in {path}: {why}",
                listener=self._listener,
                path=self._options.clientCrl,
                why=overdueWords(due),
            )
        self._overdue = due


class HeldTLS:
    """The TLS of the listeners of one generation, which the next one may hold, too."""

    def __init__(
        self, holdings: Holdings[RunningTLS], wheel: Wheel, reactor: Any
    ) -> None:
        self._holdings = holdings
        self._wheel = wheel
        self._reactor = reactor
        self._names: list[str] = []
        self._prepared: list[tuple[RunningTLS, ServerTLSOptions, Contexts]] = []

    def take(self, listener: ListenerConfiguration) -> Termination | None:
        """
        Read the certificates of a listener; they are not used yet.

        @return: L{None} if its clients do not speak TLS.
        @raise ConfigurationError: If they cannot be used.
        """
        name, options = listener.name, listener.tls
        if options is None:
            return None
        make = partial(RunningTLS, self._wheel, self._reactor, name, options)
        try:
            running = self._holdings.take(name, make)
            self._names.append(name)
            self._prepared.append((running, options, running.prepare(options)))
        except TLSRefused as error:
            raise refusedAt(error, listener.place.key("tls")) from None
        return running.termination

    def use(self) -> None:
        """Let new connections go by what was read; nothing here fails."""
        for running, options, contexts in self._prepared:
            running.use(options, contexts)
        self._prepared.clear()

    def release(self) -> None:
        """Hold them no longer; connections under way are not touched."""
        names, self._names = self._names, []
        for name in names:
            running = self._holdings.release(name)
            if running is not None:
                running.close()


def _described(certificate: Certificate) -> str:
    return f"{certificate.files.chain} (until {certificate.expires:%Y-%m-%d})"


def _versions(paths: Iterable[str]) -> tuple[Version, ...]:
    return tuple(map(_version, paths))


def _version(path: str) -> Version:
    try:
        there = os.stat(path)
    except OSError:
        return None
    return (
        there.st_dev,
        there.st_ino,
        there.st_size,
        there.st_mtime_ns,
        there.st_ctime_ns,
    )
