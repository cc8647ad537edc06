"""Reloads that need privileges which were dropped after the start."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trustme
from handshakes import authority, issued, written

from .daemon import READABLE, Daemon, eventually, freePort, listens, lowPort
from .peers import Backend, asks, echo, names, readExactly
from .test_tls_backends import secured, serverContext

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else"),
    pytest.mark.skipif(not READABLE, reason="nobody else may read this checkout"),
]


class Dropped:
    """
    A balancer that root has started, and that C{nobody} runs.

    @ivar directory: Where everybody may read and write.
    @ivar closed: A directory in it that only root may look into.
    @ivar config: The file it was started with.
    @ivar further: A port that any user may listen on.
    """

    def __init__(
        self, directory: Path, backend: Backend, secure: bool = False, keys: str = ""
    ) -> None:
        """
        @param secure: Whether TLS is spoken to the backend, with files that only root
            may read.
        @param keys: Further lines for the listener; C{{closed}} is that directory.
        """
        directory.chmod(0o777)
        self.directory = directory
        self.closed = directory / "closed"
        self.closed.mkdir(mode=0o700)
        self.config = directory / "lbproxy.toml"
        self.port, self.further = freePort(), freePort()
        issued = trustme.CA().issue_cert("localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(self.closed / "own.pem")
        secrets = self.secrets() if secure else ""
        self.write(backend, tls=secrets, keys=keys.format(closed=self.closed))
        arguments = ["--uid=nobody", "lbproxy", f"--config={self.config}"]
        self.daemon = Daemon(arguments, directory)

    def write(
        self,
        backend: Backend,
        *listen: str,
        keys: str = "",
        log: str = "access.log",
        tls: str = "",
    ) -> None:
        """
        Write the file.

        @param listen: Endpoints besides the first one.
        @param keys: Further lines for the listener.
        @param tls: The keys of TLS to the backend; empty for none.
        """
        connect = f'connect = "{backend.connect}"'
        if tls:
            connect += f", tls = {{ {tls} }}"
        endpoints = [f"tcp:{self.port}:interface=127.0.0.1", *listen]
        self.config.write_text(
            f'log.access = "{self.directory / log}"\n'
            f'[[listener]]\nname = "front"\nlisten = {endpoints}\n{keys}\n'
            f"[pool.web]\nbackends = [{{ {connect} }}]\n"
        )

    def secrets(self) -> str:
        """Write the files of TLS to the backend; the keys that name them."""
        own = issued("lbproxy.internal", by="clients")
        both = written(self.closed, "own.pem", own.private_key_and_cert_chain_pem)
        ca = written(self.closed, "ca.pem", authority("ours").cert_pem)
        return f'ca = "{ca}", chain = "{both}"'

    def reload(self, words: str) -> str:
        """Load the file again; the line with some words that is logged then."""
        before = len(self.daemon.log)
        self.daemon.process.send_signal(signal.SIGHUP)

        def line() -> str:
            lines = self.daemon.log[before:].splitlines()
            return next((each for each in lines if words in each), "")

        return eventually(line, f"{words!r} is never logged")


@pytest.fixture
def dropped(serve: Callable[..., Backend]) -> Iterator[Dropped]:
    """Start one before an echo; its log has to be clean at the end."""
    with TemporaryDirectory(prefix="lb") as name, ExitStack() as stack:
        started = Dropped(Path(name), serve(echo))
        stack.callback(started.daemon.stop, signal.SIGQUIT)
        started.daemon.untilListening(1)
        yield started


# Each writes a file that needs privileges, and returns what the log has to name.


def needsPort(dropped: Dropped, backend: Backend) -> str:
    start = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    port = lowPort()
    if start.exists() and int(start.read_text()) <= port:
        pytest.skip("any user may listen on a low port here")
    low = f"tcp:{port}:interface=127.0.0.1"
    # The first of the two can be listened on, and has to be closed again.
    dropped.write(backend, f"tcp:{dropped.further}:interface=127.0.0.1", low)
    return f"cannot listen on {low}: Permission denied"


def needsSocket(dropped: Dropped, backend: Backend) -> str:
    path = dropped.closed / "socket"
    dropped.write(backend, f"unix:{path}")
    return f"cannot listen on unix:{path}: Permission denied"


def needsOwner(dropped: Dropped, backend: Backend) -> str:
    path = dropped.directory / "socket"
    dropped.write(backend, f"unix:{path}", keys='socket-owner = "root"')
    return f"cannot listen on unix:{path}: its owner cannot be set"


def needsLog(dropped: Dropped, backend: Backend) -> str:
    dropped.write(backend, log="closed/access.log")
    return f"access log: Permission denied: {dropped.closed}/access.log"


def needsKey(dropped: Dropped, backend: Backend) -> str:
    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(dropped.closed / "all.pem")
    dropped.write(backend, f"tls:{dropped.closed}:{dropped.further}")
    return f"Permission denied: {dropped.closed}"


def needsSecrets(dropped: Dropped, backend: Backend) -> str:
    dropped.write(backend, tls=dropped.secrets())
    return f'tls.chain = "{dropped.closed}/own.pem": Permission denied'


def needsFile(dropped: Dropped, backend: Backend) -> str:
    dropped.write(backend)
    dropped.config.chmod(0o600)
    return f"{dropped.config}: cannot be read: Permission denied"


@pytest.mark.parametrize(
    "needs",
    [needsPort, needsSocket, needsOwner, needsLog, needsKey, needsSecrets, needsFile],
    ids=["low-port", "socket", "socket-owner", "access-log", "key", "secrets", "file"],
)
def test_reload(
    dropped: Dropped,
    serve: Callable[..., Backend],
    needs: Callable[[Dropped, Backend], str],
) -> None:
    """
    Nothing is changed, and the log names what is lacking and says that privileges
    were dropped.  Clients notice nothing, and a file that needs none is loaded.
    """
    other = serve(names(b"other"))
    with dropped.daemon.connect() as old:
        assert asks(old, b"hello") == b"hello"
        lacking = needs(dropped, other)
        line = dropped.reload("Nothing is changed: ")
        assert lacking in line
        assert line.endswith(" (privileges were dropped)")
        assert asks(old, b"still there") == b"still there"
        with dropped.daemon.connect() as new:
            assert asks(new, b"hello") == b"hello"
    assert len(dropped.daemon.records(2)) == 2
    assert not listens(dropped.further)
    assert not list(dropped.directory.glob("socket*"))
    assert other.accepted == 0
    dropped.config.chmod(0o644)
    dropped.write(other)
    dropped.reload("The configuration was loaded again")
    with dropped.daemon.connect() as new:
        assert readExactly(new, 5) == b"other"


def test_secrets(serve: Callable[..., Backend]) -> None:
    """What TLS to backends needs is read while root may read it."""
    backend = serve(secured(serverContext(issued("127.0.0.1")), echo))
    with TemporaryDirectory(prefix="lb") as name, ExitStack() as stack:
        dropped = Dropped(Path(name), backend, secure=True)
        stack.callback(dropped.daemon.stop, signal.SIGQUIT)
        dropped.daemon.untilListening(1)
        for _ in range(2):
            with dropped.daemon.connect() as client:
                assert asks(client, b"hello") == b"hello"
            line = dropped.reload("Nothing is changed: ")
            assert line.endswith(" (privileges were dropped)")


def test_keyInUse(serve: Callable[..., Backend]) -> None:
    """
    A reload does not need the key that the balancer has read before: clients are
    served with it, by what else the new file says.
    """
    keys = """
    [listener.tls]
    certificates = [{{ chain = "{closed}/own.pem", key = "{closed}/own.pem" }}]
    """
    with TemporaryDirectory(prefix="lb") as name, ExitStack() as stack:
        dropped = Dropped(Path(name), serve(echo), keys=keys)
        stack.callback(dropped.daemon.stop, signal.SIGQUIT)
        dropped.daemon.untilListening(1)
        dropped.write(serve(names(b"other")), keys=keys.format(closed=dropped.closed))
        dropped.reload("The configuration was loaded again")
        assert "keeps the certificates it has: " in dropped.daemon.log
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(dropped.daemon.connect()) as client:
            assert readExactly(client, 5) == b"other"
        moved = keys.format(closed=dropped.closed).replace("own.pem", "../own.pem")
        dropped.write(serve(echo), keys=moved)
        line = dropped.reload("Nothing is changed: ")
        assert "own.pem" in line
