"""A health check of replicas that say, in a line, how far they lag behind."""

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.error import ConnectionClosed
from twisted.protocols.basic import LineOnlyReceiver
from zope.interface import implementer

from lbproxy import Backend, CheckFailed, IHealthProbe


class _Line(LineOnlyReceiver):
    delimiter = b"\n"

    def __init__(self) -> None:
        self.heard: Deferred[bytes] = Deferred(
            lambda _: self.transport.loseConnection()
        )

    def lineReceived(self, line: bytes) -> None:
        if not self.heard.called:
            self.heard.callback(line)

    def connectionLost(self, reason=None) -> None:
        if not self.heard.called:
            self.heard.errback(reason or ConnectionClosed())


@implementer(IHealthProbe)
class Lagging:
    """Passes if the backend says a number of seconds that is small enough."""

    def __init__(self, reactor, most: float = 10.0) -> None:
        self._reactor = reactor
        self._most = most

    async def probe(self, backend: Backend) -> None:
        endpoint = clientFromString(self._reactor, backend.connect)
        protocol = await connectProtocol(endpoint, _Line())
        try:
            lag = float(await protocol.heard)
        except ValueError:
            raise CheckFailed("what it said is no number") from None
        finally:
            protocol.transport.loseConnection()
        if lag > self._most:
            raise CheckFailed(f"it lags {lag:g} seconds behind")
