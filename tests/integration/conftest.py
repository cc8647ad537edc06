"""
What the integration tests start, and put away again: C{twistd lbproxy} and the
backends it balances over.
"""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pytest
import trustme
from configured import configured

from .daemon import LOOPBACK, Daemon
from .nameserver import NameServer
from .peers import Backend, Conversation, Pages, Web


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that is beside this file is C{integration}."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.integration)


class Start(Protocol):
    """How a test starts C{twistd lbproxy}."""

    def __call__(
        self,
        *options: str,
        over: Sequence[Backend | Web | str] = (),
        listen: Sequence[str] = (LOOPBACK,),
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> Daemon:
        """
        Start it and wait until it listens.

        @param options: Further ones, for C{lbproxy}.
        @param over: The backends, or their endpoint descriptions.
        @param listen: Endpoint descriptions.
        """


class StartWith(Protocol):
    """How a test starts C{twistd lbproxy} with some keys of its file."""

    def __call__(
        self,
        *backends: Backend | Web | str,
        listener: str = "",
        pool: str = "",
        process: str = "",
        listen: str = LOOPBACK,
        reactor: str = "epoll",
        environment: Mapping[str, str] | None = None,
    ) -> Daemon:
        """
        Start it, with an access log, and wait until it listens.

        @param listener: Further lines for the listener; the others likewise.
        """


class StartTwistd(Protocol):
    """How a test starts any C{twistd}."""

    def __call__(self, *arguments: str, listeners: int = 1, **how: object) -> Daemon:
        """Start it and wait until so many endpoints listen."""


@pytest.fixture(scope="session", autouse=True)
def forkServerEnds() -> Iterator[None]:
    """What forks daemons ends with the tests."""
    yield
    if Daemon.forkServer is not None:
        Daemon.forkServer.close()
        Daemon.forkServer = None


@pytest.fixture
def startTwistd(tmp_path: Path) -> Iterator[StartTwistd]:
    """Start C{twistd} with any arguments; its log has to be clean at the end."""
    started: list[Daemon] = []

    def start(*arguments: str, listeners: int = 1, **how: Any) -> Daemon:
        directory = tmp_path / f"twistd-{len(started)}"
        directory.mkdir()
        daemon = Daemon(arguments, directory, **how)
        started.append(daemon)
        return daemon.untilListening(listeners)

    with ExitStack() as stack:
        yield start
        for daemon in started:
            # At once, also with connections open.
            stack.callback(daemon.stop, signal.SIGQUIT)


@pytest.fixture
def start(startTwistd: StartTwistd) -> Start:
    """Start C{twistd lbproxy}; its log has to be clean at the end."""

    def start(
        *options: str,
        over: Sequence[Backend | Web | str] = (),
        listen: Sequence[str] = (LOOPBACK,),
        **how: object,
    ) -> Daemon:
        arguments = [f"--listen={each}" for each in listen]
        for each in over:
            connect = each if isinstance(each, str) else each.connect
            arguments.append(f"--backend={connect}")
        return startTwistd(
            "lbproxy", *arguments, *options, listeners=len(listen), **how
        )

    return start


@pytest.fixture
def startWith(startTwistd: StartTwistd, tmp_path: Path) -> StartWith:
    """Start C{twistd lbproxy} with some keys; its log has to be clean at the end."""

    def start(
        *backends: Backend | Web | str,
        listener: str = "",
        pool: str = "",
        process: str = "",
        listen: str = LOOPBACK,
        reactor: str = "epoll",
        environment: Mapping[str, str] | None = None,
    ) -> Daemon:
        connects = [
            each if isinstance(each, str) else each.connect for each in backends
        ]
        config = tmp_path / "keys.toml"
        text = configured(
            *connects,
            listen=listen,
            listener=listener,
            pool=pool,
            process=process,
            log="access.log",
        )
        config.write_text(text)
        return startTwistd(
            f"--reactor={reactor}",
            "lbproxy",
            f"--config={config}",
            environment=environment,
        )

    return start


@pytest.fixture
def serve() -> Iterator[Callable[..., Backend]]:
    """Start a backend that has one kind of conversation, whatever is tried."""
    started: list[Backend] = []

    def serve(conversation: Conversation, *where: Any) -> Backend:
        started.append(Backend(conversation, *where))
        return started[-1]

    with ExitStack() as stack:
        yield serve
        for backend in started:
            stack.callback(backend.close)
    errors = [error for backend in started for error in backend.errors]
    assert not errors


@pytest.fixture
def web() -> Iterator[Callable[..., Web]]:
    """Start an HTTP server."""
    with ExitStack() as stack:

        def serve(name: str = "web", pages: type[Pages] = Pages) -> Web:
            server = Web(name, pages)
            stack.callback(server.close)
            return server

        yield serve


@pytest.fixture
def nameserver() -> Iterator[NameServer]:
    """A DNS server that has no name yet."""
    with NameServer() as server:
        yield server


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of the tests' own."""
    return trustme.CA()


@pytest.fixture
def roots(authority: trustme.CA, tmp_path: Path) -> Path:
    """A directory with the authority whose certificates are trusted."""
    directory = tmp_path / "roots"
    directory.mkdir()
    authority.cert_pem.write_to_path(directory / "authority.pem")
    return directory


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client that verifies whom it talks to."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def secure(
    serve: Callable[..., Backend],
) -> Callable[[trustme.CA, Conversation], Backend]:
    """Start a TLS backend whose certificate comes from some authority."""

    def secure(
        issuer: trustme.CA, conversation: Conversation, name: str = "localhost"
    ) -> Backend:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert(name).configure_cert(context)

        def converse(connected: socket.socket) -> None:
            try:
                secured = context.wrap_socket(connected, server_side=True)
            except (ssl.SSLError, OSError):
                return
            # Or an answer would wait for the session tickets to be acknowledged,
            # and be dropped by a close with input unread.
            secured.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with secured:
                conversation(secured)

        return serve(converse)

    return secure


@pytest.fixture
def short() -> Iterator[str]:
    """A directory for sockets: their paths have at most 107 bytes."""
    with TemporaryDirectory(prefix="lb") as directory:
        yield directory


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Path:
    """A directory with key and certificate for C{localhost} in one file."""
    directory = tmp_path / "certificates"
    directory.mkdir()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(directory / "localhost.pem")
    return directory
