"""A discovery that asks Consul, or a service that speaks as it does, over HTTP."""

import json
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from zope.interface import implementer

from lbproxy import Backend, IDiscovery, IDiscoveryObserver
from lbproxy.words.units import parseDuration
from lbproxy.words.values import text, wholeNumber

LARGEST = 4 << 20  # Bytes of an answer; thousands of instances.
SHORTEST, LONGEST = 1.0, 30.0  # Seconds between an answer and the next question.

_port = wholeNumber(1, 65535)


class _Body(Protocol):
    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._close())
        self._read = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._read += data
        if len(self._read) > LARGEST and not self.whole.called:
            self.whole.errback(ValueError(f"the answer has more than {LARGEST} bytes"))
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        # The end of an answer without a length may be too early: it is no JSON then.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._read))
        else:
            self.whole.errback(reason)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


@implementer(IDiscovery)
class Consul:
    """Finds the instances of a service that pass their checks."""

    def __init__(
        self,
        reactor: Any,
        service: str = "",
        url: str = "http://127.0.0.1:8500",
        wait: object = "30s",
    ) -> None:
        name = quote(text("service = the name of a service")(service), safe="")
        self._reactor = reactor
        self._connections = HTTPConnectionPool(reactor)
        self._agent = Agent(reactor, pool=self._connections)
        self._wait = max(1, round(parseDuration(wait)))  # 0 is 5 minutes to Consul.
        path = f"{url.rstrip('/')}/v1/health/service/{name}"
        self._query = f"{path}?passing=true&wait={self._wait}s"
        self._index = 0
        self._stopped = False

    def start(self, observer: IDiscoveryObserver) -> None:
        self._asking = Deferred.fromCoroutine(self._ask(observer))

    def stop(self) -> None:
        self._stopped = True
        self._asking.cancel()
        self._connections.closeCachedConnections()

    async def _ask(self, observer: IDiscoveryObserver) -> None:
        pause = SHORTEST
        while True:
            try:
                observer.found(await self._answer(), "Consul says so")
                pause = SHORTEST
            except Exception as error:
                if self._stopped:
                    return
                observer.failed(_reason(error))
                self._index = 0  # The next question is answered at once.
                pause = min(2 * pause, LONGEST)
            try:
                await deferLater(self._reactor, pause)
            except CancelledError:
                return

    def _answer(self) -> Deferred[list[Backend]]:
        # Consul adds up to a sixteenth to what it is asked to wait.
        most = self._wait * 17 / 16 + 5.0
        late = TimeoutError(f"no whole answer came within {most:.0f} s")
        answer = Deferred.fromCoroutine(self._request())
        return answer.addTimeout(most, self._reactor, lambda *_: Failure(late))

    async def _request(self) -> list[Backend]:
        query = f"{self._query}&index={self._index}"
        response = await self._agent.request(b"GET", query.encode())
        body = _Body()
        response.deliverBody(body)
        content = await body.whole
        if response.code != 200:
            raise ValueError(f"the status is {response.code}")
        backends = _backends(content)
        (given, *_) = response.headers.getRawHeaders("X-Consul-Index", ["0"])
        index = int(given) if given.isdecimal() else 0
        # A smaller one is of a service that has started again; 0 waits for nothing.
        self._index = index if index >= self._index else 0
        return backends


def _backends(content: bytes) -> list[Backend]:
    try:
        instances = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the answer is not JSON: {error}") from None
    if not isinstance(instances, list):
        raise ValueError("the answer is not a list")
    try:
        return [_backend(each["Service"], each["Node"]) for each in instances]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"an instance is not right: {error!r}") from None


def _backend(service: dict[str, Any], node: dict[str, Any]) -> Backend:
    host = quoteStringArgument(service["Address"] or node["Address"])
    return Backend(
        f"tcp:{host}:{_port(service['Port'])}",
        # An ID is of one node: others may have instances of the same one.
        name=f"{service['ID']}@{node['Node']}",
        weight=service.get("Weights", {}).get("Passing", 1),
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ResponseFailed):
        return f"no whole answer came: {error.reasons[0].type.__name__}"
    return str(error)
