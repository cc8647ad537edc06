"""A balancer in the process of the tests, whose parts can be reached."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from configured import configured
from stories import Records, generationOf, processOf
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from lbproxy import LoadBalancer
from lbproxy.config.file import configurationFromText
from lbproxy.proxy.session import Session
from lbproxy.streams.stream import Stream

from .daemon import LOOPBACK, client, eventually


def besideReactor(test: Callable[..., None]) -> Callable[..., Deferred[None]]:
    """Run a test in a thread of its own, while the reactor runs."""

    @wraps(test)
    def beside(*arguments: object, **fixtures: object) -> Deferred[None]:
        return deferToThread(test, *arguments, **fixtures)

    return beside


class Inside:
    """
    A balancer with one listener, C{front}, and one pool, C{web}.

    @ivar records: What observers were told.
    """

    def __init__(
        self,
        *backends: str,
        listener: str = "",
        pool: str = "",
        process: str = "",
        on: Any = reactor,
        **arguments: Any,
    ) -> None:
        """
        @param listener: Further lines for the listener; the others likewise.
        @param on: The reactor that it is given.
        """
        self.records = Records()
        text = configured(
            *backends, listen=LOOPBACK, listener=listener, pool=pool, process=process
        )
        configuration = configurationFromText(text, "inside")
        self.balancer = LoadBalancer(
            on, configuration, observers=[self.records], **arguments
        )

    def __enter__(self) -> Inside:
        self.call(self.balancer.startService)
        return self

    def __exit__(self, *raised: object) -> None:
        self.call(self.balancer.stopService)
        assert not len(processOf(self.balancer).wheel)

    def call(self, function: Callable[..., object], *arguments: object) -> Any:
        """Call something where the balancer runs, and wait for its outcome."""
        return blockingCallFromThread(cast(Any, reactor), function, *arguments)

    def connect(self) -> Any:
        """A client."""
        return client(str(self.balancer.addresses[0]))

    def session(self) -> Session:
        """Wait for the one session that is joined to its backend."""

        def joined() -> list[Session]:
            sessions = list(generationOf(self.balancer).sessions)
            return [each for each in sessions if each.connection.connected is not None]

        (session,) = eventually(joined)
        return session

    def backend(self) -> Stream:
        """Wait for the one session that is joined to its backend; that side of it."""
        session = self.session()
        (stream,) = (s for s in session.watch.streams if s is not session.client)
        return stream

    def over(self, count: int = 1) -> Any:
        """Wait for so many connections to be over; the last record."""
        eventually(lambda: len(self.records.closes) >= count)
        return self.records.closes[-1]
