"""The backend of all contenders: a local nginx with one worker."""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import HOST, Broken, Running, freePort, started

SMALL = 64
"""Bytes of the answer to C{/small}."""

MIDDLE = 16 * 1024
"""Bytes of the answer to C{/middle}."""

BULK = 64 * 1024 * 1024
"""Bytes of the answer to C{/bulk}, and of what C{/upload} takes."""

_CONFIG = """\
daemon off;
worker_processes 1;
pid {directory}/backend.pid;
error_log stderr crit;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=10;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    default_type application/octet-stream;
    client_max_body_size 0;
    client_body_buffer_size {bulk};
    {temporary}
    server {{
        listen {host}:{port} backlog=4096;
        root {directory}/pages;
        location = /small {{ return 200 "{small}"; }}
        # The whole body is read before the answer is asked for.
        location = /upload {{
            proxy_pass http://unix:{directory}/taken.sock;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
    }}
    server {{
        listen unix:{directory}/taken.sock;
        return 204;
    }}
}}
"""

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def userLine() -> str:
    """The directive that leaves nginx's workers to the user who started it."""
    # Or they become another one, who may not read the temporary directory.
    return f"user {getpass.getuser()};" if os.geteuid() == 0 else ""


@contextmanager
def backend(directory: Path) -> Iterator[Running]:
    """
    Start the backend.

    @raise Broken: If nginx is not installed or does not start.
    """
    program = shutil.which("nginx")
    if program is None:
        raise Broken("nginx: not installed, and the backend is one")
    pages = directory / "pages"
    pages.mkdir()
    for name, size in (("middle", MIDDLE), ("bulk", BULK)):
        (pages / name).write_bytes(b"x" * size)
    port = freePort()
    config = directory / "backend.conf"
    temporary = [f"{each}_temp_path {directory}/{each};" for each in _TEMPORARY]
    config.write_text(
        _CONFIG.format(
            directory=directory,
            host=HOST,
            port=port,
            bulk=BULK,
            small="x" * SMALL,
            user=userLine(),
            temporary=" ".join(temporary),
        )
    )
    command = [program, "-e", "stderr", "-p", str(directory), "-c", str(config)]
    with started("the backend", command, port, directory / "backend.log") as running:
        yield running
