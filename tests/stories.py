"""A whole balancer in memory, for tests that tell what happens to a connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from configured import configured
from twisted.internet.defer import Deferred
from zope.interface import implementer

from lbproxy import (
    Address,
    Connection,
    End,
    IBackendPicker,
    IConnectionObserver,
    IRouter,
    LoadBalancer,
)
from lbproxy.balance.pool import Pool
from lbproxy.config.file import configurationFromText
from lbproxy.generation import Generation, Process
from lbproxy.proxy.listener import Sessions
from lbproxy.testing import Far, MemoryNetwork, ScriptedBackend

A, B, C = "tcp:10.0.0.1:80", "tcp:10.0.0.2:80", "tcp:10.0.0.3:80"


@implementer(IBackendPicker)
class Picks:
    """Answers with what it is given: a value, or a function of the candidates."""

    def __init__(self, answer) -> None:
        self.answer = answer

    def pick(self, candidates, connection):
        return self.answer(candidates) if callable(self.answer) else self.answer


@implementer(IRouter)
class Routes:
    def __init__(self, answer) -> None:
        self.answer = answer

    def route(self, connection):
        return self.answer() if callable(self.answer) else self.answer


@implementer(IConnectionObserver)
class Records:
    """Keeps what observers are told."""

    def __init__(self) -> None:
        self.opens: list[Connection] = []
        self.closes: list[Connection] = []

    def opened(self, connection: Connection) -> None:
        self.opens.append(connection)

    def closed(self, connection: Connection) -> None:
        self.closes.append(connection)


def processOf(balancer: LoadBalancer) -> Process:
    """What a balancer has only one of."""
    return balancer._process


def generationOf(balancer: LoadBalancer) -> Generation:
    """The one that accepts clients."""
    assert balancer._generation is not None
    return balancer._generation


class Story:
    """
    A balancer with pool C{web}; what it does is seen by its clients and backends.
    It is stopped at the end of the test, if it has not been before.

    @ivar backends: What is at each backend's address.
    @ivar records: What observers were told.
    @cvar told: All of this test.
    """

    told: ClassVar[list[Story]] = []

    def __init__(
        self,
        *backends: str,
        listener: str = "",
        pool: str = "",
        process: str = "",
        members: str = "",
        log: str = "none",
        listen: str = "tcp:8080",
        observers: Iterable[Any] = (),
        held: Iterable[str] = (),
        **arguments,
    ) -> None:
        """
        @param held: Host names whose lookups have no answer yet.
        """
        self.network = MemoryNetwork()
        for name in held:
            self.network.hold(name)
        self.records = Records()
        self.backends: list[ScriptedBackend] = [
            self.network.backend(*self._address(each)) for each in backends
        ]
        named = () if members else backends
        text = (
            configured(
                *named,
                listen=listen,
                listener=listener,
                pool=pool,
                process=process,
                log=log,
            )
            + members
        )
        self.balancer = LoadBalancer(
            self.network,
            configurationFromText(text, "story"),
            observers=[self.records, *observers],
            **arguments,
        )
        self.told.append(self)
        self.balancer.startService()

    @staticmethod
    def _address(connect: str) -> tuple[str, int]:
        _, host, port = connect.split(":")
        return host, int(port)

    def client(self, said: bytes = b"") -> Far:
        """A client comes, says something, and all that takes no time happens."""
        far = self.network.client(8080)
        if said:
            far.send(said)
        self.network.settle()
        return far

    def settle(self, seconds: float = 0.0) -> None:
        self.network.settle(seconds)

    @property
    def sessions(self) -> Sessions:
        """Those under way."""
        return generationOf(self.balancer).sessions

    @property
    def pool(self) -> Pool:
        """The pool C{web}."""
        return generationOf(self.balancer)._destinations["web"].pool

    @property
    def end(self) -> Connection:
        """The record of the one connection that has ended."""
        (record,) = self.records.closes
        return record

    def stop(self) -> None:
        """Stop, and see that nothing is left: no call, no lease, no deadline."""
        stopped = self.balancer.stopService()
        self.settle()
        assert isinstance(stopped, Deferred)
        assert stopped.called
        assert not self.network.getDelayedCalls()
        assert len(self.records.opens) == len(self.records.closes)


def record(end: End = End.CLIENT_CLOSED, number: int = 7, **more) -> Connection:
    """What is known of a connection that is over."""
    return Connection(
        id=number,
        listener="front",
        client=Address("192.0.2.1", 40001),
        local=Address("127.0.0.1", 8080),
        opened=1000.0,
        closed=1002.5,
        end=end,
        **more,
    )
