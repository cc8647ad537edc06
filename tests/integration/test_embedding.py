"""lbproxy as a part of something else: application files, and other programs."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from configured import configured

from .conftest import StartTwistd
from .daemon import LOOPBACK, Daemon, eventually, run
from .peers import Backend, asks, echo

TAC = Path(__file__).parents[2] / "lbproxy.tac"

EMBEDDING = """
from twisted.application.service import Application
from twisted.internet import reactor

from lbproxy import LoadBalancer

application = Application("mine")
listen = ["tcp:0:interface=127.0.0.1"]
balancer = LoadBalancer.fromEndpoints(reactor, listen, ["{backend}"])
balancer.setServiceParent(application)
"""

FROM_FILE = """
from twisted.application.service import Application
from twisted.internet import reactor

from lbproxy import LoadBalancer

application = Application("mine")
LoadBalancer.fromFile(reactor, "{config}").setServiceParent(application)
"""

OWN_PARTS = """
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.python.log import msg
from zope.interface import implementer

from lbproxy import IBackendPicker, IConnectionObserver, LoadBalancer

@implementer(IBackendPicker)
class Last:
    async def pick(self, candidates, connection):
        return candidates[len(candidates) - 1]

@implementer(IConnectionObserver)
class Told:
    def opened(self, connection):
        msg("opened", connection.id)
    def closed(self, connection):
        msg("closed", connection.id, connection.backend.name, str(connection.end))

application = Application("mine")
LoadBalancer.fromEndpoints(
    reactor,
    ["tcp:0:interface=127.0.0.1"],
    ["tcp:192.0.2.1:9", "{backend}"],
    picker=Last(),
    observers=[Told()],
).setServiceParent(application)
"""


@pytest.fixture
def startTwistd(startTwistd: StartTwistd) -> StartTwistd:
    """Start C{twistd} afresh: applications import what they need themselves."""
    return partial(startTwistd, afresh=True)


def echoes(daemon: Daemon) -> None:
    """It serves."""
    with daemon.connect() as client:
        assert asks(client, b"hello") == b"hello"


def test_applicationFile(
    startTwistd: Callable[..., Daemon], serve: Callable[..., Backend], tmp_path: Path
) -> None:
    """C{twistd --python lbproxy.tac} serves the file that LBPROXY_CONFIG names."""
    config = tmp_path / "mine.toml"
    config.write_text(configured(serve(echo).connect, listen=LOOPBACK))
    environment = {"LBPROXY_CONFIG": str(config)}
    daemon = startTwistd(f"--python={TAC}", environment=environment)
    assert "Listener front listens on" in daemon.log
    echoes(daemon)
    assert daemon.stop() == 0


def test_applicationFileWithoutConfiguration(tmp_path: Path) -> None:
    """
    Without a file it is the demonstration, on port 8080, and the log says which
    file there could have been.
    """
    with socket.socket() as taken:
        # So that the port is taken, by whomever, and the start ends at once.
        with suppress(OSError):
            taken.bind(("0.0.0.0", 8080))
            taken.listen()
        ended = run("-n", "--pidfile=", f"--python={TAC}", directory=tmp_path)
    assert f"There is no {tmp_path}/lbproxy.toml, and LBPROXY_CONFIG" in ended.stdout
    assert "This is lbproxy's demo." in ended.stdout
    assert ended.stderr == (
        "lbproxy: cannot listen on tcp:8080: Address already in use\n"
    )
    assert "Traceback" not in ended.stdout


def test_applicationFileFindsItsConfiguration(
    startTwistd: Callable[..., Daemon], serve: Callable[..., Backend], tmp_path: Path
) -> None:
    """C{lbproxy.toml} in the current directory is what it serves."""
    config = tmp_path / "lbproxy.toml"
    config.write_text(configured(serve(echo).connect, listen=LOOPBACK))
    echoes(startTwistd(f"--python={TAC}", prefix=["env", "-C", str(tmp_path)]))


def test_applicationFileThatIsNotThere(tmp_path: Path) -> None:
    """A file that LBPROXY_CONFIG names has to be there; one line says so."""
    ended = run(
        "-n",
        "--pidfile=",
        f"--python={TAC}",
        directory=tmp_path,
        environment={"LBPROXY_CONFIG": "mine.toml"},
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "lbproxy: mine.toml: cannot be read: No such file or directory\n"
    )
    assert "Traceback" not in ended.stdout


@pytest.mark.parametrize("program", [EMBEDDING, FROM_FILE], ids=["endpoints", "file"])
def test_threeLines(
    startTwistd: Callable[..., Daemon],
    serve: Callable[..., Backend],
    tmp_path: Path,
    program: str,
) -> None:
    """An application adds the balancer to its own services."""
    backend = serve(echo).connect
    config = tmp_path / "lbproxy.toml"
    config.write_text(configured(backend, listen=LOOPBACK))
    application = tmp_path / "application.py"
    application.write_text(program.format(backend=backend, config=config))
    daemon = startTwistd(f"--python={application}")
    echoes(daemon)
    assert daemon.stop() == -signal.SIGTERM


@pytest.mark.parametrize(
    "number",
    [signal.SIGHUP, signal.SIGUSR2, signal.SIGQUIT, signal.SIGTERM, signal.SIGINT],
)
def test_signalsAreTheApplications(
    startTwistd: Callable[..., Daemon], tmp_path: Path, number: signal.Signals
) -> None:
    """What signals mean is the application's to say; a balancer takes none."""
    application = tmp_path / "application.py"
    application.write_text(EMBEDDING.format(backend="tcp:127.0.0.1:9"))
    daemon = startTwistd(f"--python={application}")
    with daemon.connect():
        # It listens before the reactor runs and takes signals.
        eventually(daemon.connections, "it does not accept")
    assert daemon.stop(number) == -number
    assert "[lbproxy.signals" not in daemon.log


def test_ownParts(
    startTwistd: Callable[..., Daemon], serve: Callable[..., Backend], tmp_path: Path
) -> None:
    """A program brings a picker of its own, C{async}, and an observer."""
    program = tmp_path / "application.py"
    backend = serve(echo).connect
    program.write_text(OWN_PARTS.format(backend=backend))
    daemon = startTwistd(f"--python={program}")
    echoes(daemon)
    daemon.says(f"closed 1 {backend} client-closed")


def test_embeddedTakenPort(
    startTwistd: Callable[..., Daemon], serve: Callable[..., Backend], tmp_path: Path
) -> None:
    """When its port is taken the application does not start, and says why."""
    taken = serve(echo)
    program = tmp_path / "application.py"
    listen = f"tcp:{taken.port}:interface=127.0.0.1"
    program.write_text(
        EMBEDDING.format(backend=taken.connect).replace(
            "tcp:0:interface=127.0.0.1", listen
        )
    )
    ended = run("-n", "--pidfile=", f"--python={program}", directory=tmp_path)
    assert ended.returncode != 0
    assert f"cannot listen on {listen}" in ended.stdout + ended.stderr
