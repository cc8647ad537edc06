"""Answers that come before the question is over, from backends that then leave."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
import trustme

from .conftest import StartWith
from .daemon import Daemon
from .peers import Backend, outcome, readHead

ANSWER = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n" + b"no, thanks\n" * 3000

HEAD = b"POST / HTTP/1.1\r\nContent-Length: 2097152\r\n\r\n"


def refuse(connected: socket.socket) -> None:
    """Answer the head of a request, and close with what comes behind it unread."""
    readHead(connected)
    connected.sendall(ANSWER)


def upload(daemon: Daemon) -> bytes:
    """Send two megabytes, as far as they are taken; what is answered."""

    def send() -> None:
        with suppress(OSError):
            client.sendall(HEAD + bytes(2 << 20))

    with daemon.connect() as client:
        sending = Thread(target=send)
        sending.start()
        answer, _ = outcome(client)
        sending.join()
    return answer


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_inputUnread(
    startWith: StartWith,
    serve: Callable[..., Backend],
    secure: Callable[..., Backend],
    authority: trustme.CA,
    roots: Path,
    kind: str,
) -> None:
    """
    A backend that answers 413 and closes with its input unread is heard: each of
    a hundred and fifty clients gets the whole answer.
    """
    if kind == "tls":
        port = secure(authority, refuse).port
        daemon = startWith(f"tls:localhost:{port}:trustRoots={roots}")
    else:
        daemon = startWith(serve(refuse))
    with ThreadPoolExecutor(3) as clients:
        answers = list(clients.map(upload, [daemon] * 150))
    assert [answer for answer in answers if answer != ANSWER] == []
