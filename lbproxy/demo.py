"""Three small HTTP services, which are the backends if the user names none."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IReactorTCP
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from .words.backend import Backend

NAMES = ("demo-1", "demo-2", "demo-3")

ADVICE = (
    "This is lbproxy's demo. To balance over backends of your own, name them: "
    "twistd lbproxy --listen tcp:8080 --backend tcp:HOST:PORT --backend tcp:HOST:PORT"
)


class _Answer(Resource):
    """Answers every request with the name of its service."""

    isLeaf = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self._text = f"Answered by {name}.\n{ADVICE}\n".encode()

    def render(self, request: Any) -> bytes:
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return self._text


class _QuietSite(Site):
    """A site without a log of requests; the balancer has its own."""

    noisy = False

    def log(self, request: Request) -> None:
        """Do nothing."""


class Demo:
    """
    The three services, on free ports of the loopback interface.

    @ivar backends: The services, once they are started.
    @ivar advice: One line that says how to name other backends.
    """

    advice = ADVICE

    def __init__(self, reactor: IReactorTCP) -> None:
        self._reactor = reactor
        self.backends: tuple[Backend, ...] = ()
        self.ports: list[IListeningPort] = []

    def start(self) -> tuple[Backend, ...]:
        """
        Listen on a free port for each service.

        @return: The services, as backends.
        @raise CannotListenError: If there is no free port.
        """
        backends = []
        for name in NAMES:
            site = _QuietSite(_Answer(name))
            endpoint = TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1")
            endpoint.listen(site).addCallback(self.ports.append)
            address = cast("IPv4Address", self.ports[-1].getHost())
            backends.append(Backend(f"tcp:127.0.0.1:{address.port}", name=name))
        self.backends = tuple(backends)
        return self.backends

    def close(self) -> None:
        """Stop listening."""
        ports, self.ports = self.ports, []
        for port in ports:
            port.stopListening()
