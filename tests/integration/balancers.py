"""Other balancers, as the other side of a test."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .daemon import PATIENCE, eventually, listens

HAPROXY = """\
global
    maxconn 100
defaults
    mode {mode}
    timeout connect 30s
    timeout client 30s
    timeout server 30s
    timeout check 30s
frontend front
    {front}
    default_backend back
backend back
    {back}
"""

NGINX = """\
daemon off;
{user}
pid {directory}/nginx.pid;
error_log stderr;
{module}
events {{ worker_connections 100; }}
stream {{ server {{ {server} }} }}
"""


def needs(program: str) -> pytest.MarkDecorator:
    """Skips a test where a program is not installed."""
    there = shutil.which(program) is not None
    return pytest.mark.skipif(not there, reason=f"{program} is not installed")


@contextmanager
def haproxy(
    directory: Path, port: int, front: str, back: str = "", mode: str = "tcp"
) -> Iterator[None]:
    """
    Run HAProxy.

    @param port: Where it is going to listen.
    @param front: The lines of its frontend.
    @param back: Those of its backend.
    """
    config = directory / "haproxy.cfg"
    config.write_text(HAPROXY.format(front=front, back=back, mode=mode))
    with _running(directory, port, "haproxy", "-db", "-f", str(config)):
        yield


@contextmanager
def nginx(directory: Path, port: int, server: str) -> Iterator[None]:
    """
    Run nginx; skip the test if it has no streams.

    @param port: Where it is going to listen.
    @param server: The directives of its server.
    """
    # Or its workers become another one, who may not read the directory.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    config.write_text(
        NGINX.format(
            directory=directory, user=user, module=_streamModule(), server=server
        )
    )
    with _running(directory, port, "nginx", "-e", "stderr", "-c", str(config)):
        yield


def _streamModule() -> str:
    """The directive that loads nginx's streams; empty if they are built in."""
    built = subprocess.run(
        ["nginx", "-V"], capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stderr
    if re.search(r"--with-stream(\s|$)", built):
        return ""
    found = re.search(r"--modules-path=(\S+)", built)
    path = Path(found[1] if found else "", "ngx_stream_module.so")
    if not path.exists():
        pytest.skip("nginx has no streams; Debian's are libnginx-mod-stream")
    return f"load_module {path};"


@contextmanager
def _running(directory: Path, port: int, *command: str) -> Iterator[None]:
    log = directory / f"{command[0]}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as process,
    ):
        try:
            eventually(lambda: listens(port) or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)
