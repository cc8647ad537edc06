"""A whole balancer in memory, for tests that tell what happens to a connection."""

from __future__ import annotations

from journeys import Records
from twisted.internet.defer import Deferred
from zope.interface import implementer

from lbproxy import (
    Address,
    Connection,
    End,
    IBackendPicker,
    IRouter,
    LoadBalancer,
)
from lbproxy.balance.pool import Pool
from lbproxy.config.file import configurationFromText
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


class Story:
    """
    A balancer with pool C{web}; what it does is seen by its clients and backends.

    @ivar backends: What is at each backend's address.
    @ivar records: What observers were told.
    """

    def __init__(
        self,
        *backends: str,
        listener: str = "",
        pool: str = "",
        process: str = "",
        members: str = "",
        observers=(),
        **arguments,
    ) -> None:
        self.network = MemoryNetwork()
        self.records = Records()
        self.backends: list[ScriptedBackend] = [
            self.network.backend(*self._address(each)) for each in backends
        ]
        text = (
            f"[process]\n{process}\n"
            f'[[listener]]\nname = "front"\nlisten = "tcp:8080"\npool = "web"\n'
            f"{listener}\n[pool.web]\n{pool}\n"
            + (members or f"backends = {list(backends)!r}\n")
        )
        self.balancer = LoadBalancer(
            self.network,
            configurationFromText(text, "story"),
            observers=[self.records, *observers],
            **arguments,
        )
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
        return self.balancer._generation.sessions

    @property
    def pool(self) -> Pool:
        """The pool C{web}."""
        return self.balancer._generation._destinations["web"].pool

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
