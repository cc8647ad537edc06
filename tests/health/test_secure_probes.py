"""Checks of backends that TLS is spoken to: they see what a connection would see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from handshakes import SecureFar, Server, authority, issued, written
from OpenSSL import SSL
from twisted.python.failure import Failure

from lbproxy import Backend
from lbproxy.health.options import HealthCheckOptions
from lbproxy.plugins.making import buildProbe
from lbproxy.proxy.reasons import brief
from lbproxy.testing import MemoryNetwork
from lbproxy.words.tlsoptions import TLSOptions

HOST = "10.0.0.1"
A = Backend(f"tcp:{HOST}:443", hostName="a.internal")


@pytest.fixture
def secured(tmp_path: Path) -> Backend:
    """A backend that TLS is spoken to, and whose authority is trusted."""
    ca = written(tmp_path, "ca.pem", authority("ours").cert_pem)
    return evolve(A, tls=TLSOptions(ca=ca))


class Check:
    """Checks of one kind, each over one connection with TLS at its far end."""

    def __init__(self, kind: str, backend: Backend, server: Server, **options) -> None:
        self.network = MemoryNetwork()
        self.script = self.network.backend(HOST, 443)
        self.options = HealthCheckOptions(kind=kind, options=options)
        self.probe: Any = buildProbe(self.options, self.network)
        self.server = server
        self.backend = backend
        self.outcomes: list[str] = []

    def begin(self) -> SecureFar:
        self.probe.probe(self.backend).addCallbacks(
            lambda _: self.outcomes.append("passed"), self._failed
        )
        self.network.settle()
        far = self.script.accepted[-1]
        return SecureFar(self.network, far, self.server).settle()

    def _failed(self, failure: Failure) -> None:
        self.outcomes.append(brief(failure))

    def outcome(self) -> str:
        self.network.settle()
        outcome = self.outcomes.pop()
        assert not self.outcomes
        assert all(far.closed for far in self.script.accepted)
        assert not self.network.getDelayedCalls()
        return outcome


KINDS = [("tls", {}), ("http", {}), ("exchange", {"expect": "x"})]


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize(
    ("name", "issuer", "ends", "reason"),
    [
        ("a.internal", "a stranger", 9, "unknown ca"),
        ("a.internal", "ours", -1, "certificate expired"),
        (
            "b.internal",
            "ours",
            9,
            "its certificate is not for a.internal but for b.internal",
        ),
    ],
)
def test_refused(
    secured: Backend,
    kind: str,
    options: dict,
    name: str,
    issuer: str,
    ends: int,
    reason: str,
) -> None:
    """A backend whose certificate is refused is sick, for that reason."""
    server = Server(issued(name, by=issuer, begins=-9, ends=ends))
    check = Check(kind, secured, server, **options)
    check.begin()
    assert check.outcome() == reason


@pytest.mark.parametrize("backend", [A, evolve(A, tls=TLSOptions(verify=False))])
def test_anyCertificate(backend: Backend) -> None:
    """
    Where nothing is verified, a complete handshake is all that the kind C{tls} asks
    for; the host is named.
    """
    check = Check("tls", backend, Server(issued("b.internal", by="a stranger")))
    far = check.begin()
    assert check.outcome() == "passed"
    assert far.tls.get_servername() == b"a.internal"


def test_eachCheckVerifies(secured: Backend) -> None:
    """
    A certificate that has been replaced by a wrong one is noticed by the next check: no
    session goes on.
    """
    check = Check("http", secured, Server(issued("a.internal"), SSL.TLS1_2_VERSION))
    for server, outcome in (
        (check.server, "passed"),
        (Server(issued("a.internal"), SSL.TLS1_2_VERSION), "passed"),
        (Server(issued("a.internal", by="a stranger")), "unknown ca"),
    ):
        check.server = server
        far = check.begin()
        if outcome == "passed":
            far.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert check.outcome() == outcome


@pytest.mark.parametrize(
    ("offered", "chosen"), [(("h2", "http/1.1"), b"http/1.1"), ((), b"")]
)
def test_http(secured: Backend, offered: tuple[str, ...], chosen: bytes) -> None:
    """HTTP/1.1 is asked over TLS, and is what is offered if anything is."""
    assert secured.tls is not None
    backend = evolve(secured, tls=evolve(secured.tls, alpn=offered))
    check = Check("http", backend, Server(issued("a.internal"), alpn=b"http/1.1"))
    far = check.begin()
    assert far.heard.startswith(b"GET / HTTP/1.1\r\nHost: a.internal\r\n")
    assert far.tls.get_alpn_proto_negotiated() == chosen
    far.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert check.outcome() == "passed"


def test_exchange(secured: Backend) -> None:
    """What is sent and expected goes over TLS."""
    server = Server(issued("a.internal"))
    check = Check("exchange", secured, server, send="PING", expect="PONG")
    far = check.begin()
    assert far.heard == b"PING"
    far.say(b"PONG")
    assert check.outcome() == "passed"


def test_tcp(secured: Backend) -> None:
    """The kind C{tcp} asks no more than that the backend accepts."""
    check = Check("tcp", secured, Server(issued("b.internal")))
    check.begin()
    assert check.outcome() == "passed"
    assert not check.script.accepted[0].received


@pytest.mark.parametrize(("kind", "secure"), [("tls", True), ("http", False)])
@pytest.mark.parametrize("elsewhere", [{"port": 8443}, {"address": "10.0.0.9"}])
def test_elsewhere(secured: Backend, kind: str, secure: bool, elsewhere: dict) -> None:
    """
    Another place is asked by plain TCP, but for the kind C{tls}: it is to be the same
    server.
    """
    target = HealthCheckOptions(kind=kind, **elsewhere).target(secured)
    assert (target.tls is not None) is secure
    if target.tls is not None:
        assert target.serverName == "a.internal"


@pytest.mark.parametrize("reset", [False, True])
def test_leftHandshake(secured: Backend, reset: bool) -> None:
    """A backend that leaves during the handshake is sick, and is said to leave."""
    check = Check("tls", secured, Server(issued("a.internal")))
    check.probe.probe(secured).addErrback(check._failed)
    check.network.settle()
    (far,) = check.script.accepted
    if reset:
        far.reset()
    else:
        far.end()
    assert check.outcome() == "it left during the TLS handshake"
