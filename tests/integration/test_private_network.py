"""
Backends by name, as the system's resolver finds them: by a hosts file and a name server
of the test's own.

Clients come over UNIX sockets, which do not belong to a network.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic

import pytest
from twisted.names import dns

from .conftest import StartTwistd
from .daemon import Daemon, eventually
from .load import Load, get
from .peers import Backend, answers
from .privatenetwork import NAME_SERVER, PrivateNetwork, lacking

FIRST, SECOND = "127.0.0.1", "127.0.0.2"

Serve = Callable[..., Backend]


@pytest.fixture(scope="module")
def allowed() -> None:
    """Skip where a process may not have a network and files of its own."""
    if reason := lacking():
        pytest.skip(f"no private network: {reason}")


@pytest.fixture
def network(allowed: None, tmp_path: Path) -> Iterator[PrivateNetwork]:
    """A private network, with an empty hosts file."""
    directory = tmp_path / "etc"
    directory.mkdir()
    with PrivateNetwork(directory) as network:
        yield network


class Start:
    """Starts balancers in a private network."""

    def __init__(
        self,
        network: PrivateNetwork,
        twistd: StartTwistd,
        sockets: str,
        directory: Path,
    ) -> None:
        self._network, self._twistd = network, twistd
        self._sockets, self._config = sockets, directory / "lbproxy.toml"

    def __call__(self, process: str = "", **pools: str) -> Daemon:
        """
        Start one, and wait until it listens.

        @param process: Lines of the table C{process}.
        @param pools: The keys of each pool; it has the listener of the same number.
        """
        text = f"[process]\n{process}\n"
        for name, keys in pools.items():
            listen = f"unix:{self._sockets}/{name}"
            text += f'[[listener]]\nlisten = "{listen}"\npool = "{name}"\n'
            text += f"[pool.{name}]\n{keys}\n"
        self._config.write_text(text)
        return self._twistd(
            "lbproxy",
            f"--config={self._config}",
            listeners=len(pools),
            prefix=self._network.prefix,
        )


@pytest.fixture
def start(
    network: PrivateNetwork, startTwistd: StartTwistd, short: str, tmp_path: Path
) -> Start:
    """Start a balancer in the private network; its log has to be clean at the end."""
    return Start(network, startTwistd, short, tmp_path)


class Silent:
    """A name server that hears every question, and answers none."""

    def __init__(self, network: PrivateNetwork) -> None:
        self._socket = network.socket(kind=socket.SOCK_DGRAM)
        self._socket.bind(NAME_SERVER)
        self._socket.setblocking(False)
        self._heard: list[tuple[str, str]] = []

    def heard(self) -> list[tuple[str, str]]:
        """The name and the kind of each question so far."""
        with suppress(BlockingIOError):
            while data := self._socket.recv(65536):
                message = dns.Message()
                message.fromStr(data)
                (query,) = message.queries
                kind = dns.QUERY_TYPES[query.type]
                self._heard.append((query.name.name.decode("ascii"), kind))
        return self._heard

    def close(self) -> None:
        """Be gone."""
        self._socket.close()


@pytest.fixture
def silent(network: PrivateNetwork) -> Iterator[Silent]:
    """The name server of the private network."""
    server = Silent(network)
    yield server
    server.close()


def test_silentNameServer(
    network: PrivateNetwork, silent: Silent, start: Start, serve: Serve
) -> None:
    """
    A name server that says nothing holds up neither clients of other pools, of which
    one has a name of the hosts file, nor a stop.  However many clients wait for a name,
    it is asked about once.
    """
    # The name server is asked about the addresses of IPv6, which the file lacks.
    network.hosts(f"{FIRST} named.internal")
    serve(answers(b"named"), FIRST, 8001, network.socket)
    serve(answers(b"literal"), FIRST, 8002, network.socket)
    daemon = start(
        'drain-timeout = "200ms"',
        slow='backends = ["tcp:silent.internal:8000"]',
        named='backends = ["tcp:named.internal:8001"]',
        literal=f'backends = ["tcp:{FIRST}:8002"]',
    )
    daemon.says(f"tcp:named.internal:8001@{FIRST}")
    question = ("silent.internal", "A")
    eventually(lambda: question in silent.heard(), "it is not asked")
    with ExitStack() as stack:
        for _ in range(30):
            waiting = stack.enter_context(daemon.connect())
            # It may be over already.
            with suppress(ConnectionError):
                waiting.sendall(b"GET / HTTP/1.0\r\n\r\n")
        began = monotonic()
        for _ in range(20):
            assert get(daemon, listener=1) == b"named"
            assert get(daemon, listener=2) == b"literal"
        assert monotonic() - began < 10
        assert len(list(Path(f"/proc/{daemon.pid}/task").iterdir())) < 20
        began = monotonic()
        assert daemon.stop() == 0
        assert monotonic() - began < 2
    heard = silent.heard()
    assert len(heard) == len(set(heard)), heard


def test_oneAddressRefuses(network: PrivateNetwork, start: Start, serve: Serve) -> None:
    """A name of which one address refuses works for every client."""
    network.hosts(f"{FIRST} two.internal", f"{SECOND} two.internal")
    second = serve(answers(b"second"), SECOND, 8001, network.socket)
    daemon = start(web='backends = ["tcp:two.internal:8001"]')
    name = "tcp:two.internal:8001"
    daemon.says(f"{name}@{FIRST}, {name}@{SECOND} came")
    assert [get(daemon) for _ in range(20)] == [b"second"] * 20
    assert second.accepted == 20


def test_onlyIpv6(network: PrivateNetwork, start: Start, serve: Serve) -> None:
    """A name with an address of IPv6 alone works for every client."""
    network.hosts("::1 six.internal")
    six = serve(answers(b"six"), "::1", 8001, network.socket)
    daemon = start(web='backends = ["tcp:six.internal:8001"]')
    daemon.says("@::1 came")
    assert [get(daemon) for _ in range(10)] == [b"six"] * 10
    assert six.accepted == 10
    assert "127.0.0.1" not in daemon.log


def test_hostsFileChanges(network: PrivateNetwork, start: Start, serve: Serve) -> None:
    """Another address in the hosts file serves soon, and no request fails of it."""
    network.hosts(f"{FIRST} web.internal")
    serve(answers(b"first"), FIRST, 8001, network.socket)
    serve(answers(b"second"), SECOND, 8001, network.socket)
    discovery = """
        discovery.name = "web.internal"
        discovery.port = 8001
        discovery.resolve-interval = "1s"
    """
    daemon = start(web=discovery)
    daemon.says(f"tcp:{FIRST}:8001 came")
    with Load(daemon) as load:
        eventually(lambda: load.answers, "the first one does not answer")
        network.hosts(f"{SECOND} web.internal")
        daemon.says(f"tcp:{SECOND}:8001 came, tcp:{FIRST}:8001 went")
        assert get(daemon) == b"second"
        eventually(lambda: b"second" in load.answers, "the second one gets no load")
    assert not load.failures
    assert set(load.answers) == {b"first", b"second"}
