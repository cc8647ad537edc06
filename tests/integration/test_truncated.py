"""TLS that ends without a close_notify: when it counts, and when it does not."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from .conftest import StartWith
from .daemon import eventually, secureListener
from .peers import Backend, Pages, Web, outcome, readAll, readExactly
from .test_tls_clients import ran

ANSWER = b"all of it\n" * 1000


@pytest.mark.parametrize("unread", [False, True])
def test_backendSkipsIt(
    startWith: StartWith,
    secure: Callable[..., Backend],
    authority: trustme.CA,
    roots: Path,
    unread: bool,
) -> None:
    """
    A healthy backend that closes without one, after its client has ended its
    stream, has ended normally, whether or not it has read the client's own.
    """

    def answers(connected: socket.socket) -> None:
        if unread:
            readExactly(connected, 8)
        else:
            readAll(connected)
        connected.sendall(ANSWER)

    port = secure(authority, answers).port
    daemon = startWith(f"tls:localhost:{port}:trustRoots={roots}")
    for _ in range(20):
        with daemon.connect() as client:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            data, _ = outcome(client)
            assert data == ANSWER
    ends = [record.end for record in daemon.records(20)]
    assert set(ends) <= {"client-closed", "backend-closed"}, ends


def test_backendCutsOff(
    startWith: StartWith,
    secure: Callable[..., Backend],
    authority: trustme.CA,
    roots: Path,
) -> None:
    """
    One that leaves without it before its client has ended may have been cut off:
    the client is reset, and the record says why.
    """

    def answers(connected: socket.socket) -> None:
        readExactly(connected, 8)
        connected.sendall(ANSWER)

    port = secure(authority, answers).port
    daemon = startWith(f"tls:localhost:{port}:trustRoots={roots}")
    with daemon.connect() as client:
        client.sendall(b"question")
        assert outcome(client) == (ANSWER, "RST")
    record = daemon.record()
    assert (record.end, record.detail) == ("backend-reset", "truncated")


class Unmeasured(Pages):
    """Does not say how long its answer is: it goes to the end of the stream."""

    def answer(self, body: bytes) -> None:
        """Send one whole answer, and the end."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize("program", ["wget", "curl"])
@pytest.mark.parametrize("header", ["keep-alive", "close"])
def test_clientsThatLeave(
    startWith: StartWith,
    web: Callable[..., Web],
    certificate: Path,
    authority: trustme.CA,
    tmp_path: Path,
    program: str,
    header: str,
) -> None:
    """
    curl says goodbye, and wget does not.  That is a normal end once the server has
    ended its stream; before it has, it counts as a reset.
    """
    root = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(root)
    # Or they might leave with the last byte, before the server has ended.
    server = web(pages=Unmeasured if header == "close" else Pages)
    daemon = startWith(server, listen=secureListener("tls", certificate))
    url = f"https://localhost:{daemon.port}/page"
    options = {
        "wget": ("-q", "-O", "-", "--ca-certificate", str(root)),
        "curl": ("-s", "-S", "--cacert", str(root), "-H"),
    }[program]
    option = f"Connection: {header}"
    header_ = (option,) if program == "curl" else (f"--header={option}",)
    for _ in range(10):
        page = ran(program, "-4", *options, *header_, url)
        assert page == "web /page\n"
    eventually(lambda: daemon.connections() == 0)
    ends = {(record.end, record.detail) for record in daemon.records(10)}
    if (program, header) == ("wget", "keep-alive"):
        assert ends == {("client-reset", "truncated")}
    else:
        assert ends <= {("client-closed", ""), ("backend-closed", "")}
