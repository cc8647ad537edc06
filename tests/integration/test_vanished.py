"""Members that vanish under load, as hosts do that are switched off, and come back."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

import pytest

from .conftest import StartWith
from .daemon import eventually
from .load import Load
from .peers import Backend, Conversation, readHead

EJECTION = 'ejection = { consecutive-failures = 3, base-time = "1s" }'
CHECK = (
    'health-check = { kind = "tcp", interval = "100ms", timeout = "500ms" }\n'
    "ejection = { consecutive-failures = 0 }"
)


def answers(name: bytes) -> Conversation:
    """Answer one request with a name."""

    def answer(connected: socket.socket) -> None:
        if readHead(connected):
            connected.sendall(name)

    return answer


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops SYNs like this")
@pytest.mark.parametrize(
    ("pool", "out", "back"),
    [
        (EJECTION, "ejected for 1s: 3 dials in a row failed", "is back after "),
        (CHECK, "is down: no answer in 500ms", "is up after "),
    ],
    ids=["ejection", "check"],
)
def test_vanished(
    startWith: StartWith, serve: Callable[..., Backend], pool: str, out: str, back: str
) -> None:
    """
    No request fails when a member's host answers no SYN any more.  The member is found
    out, and gets requests again when its host is back.
    """
    stays, leaves = serve(answers(b"stays")), serve(answers(b"leaves"))
    daemon = startWith(stays, leaves, pool=f'connect-timeout = "300ms"\n{pool}')
    member = f"member web/{leaves.connect} "
    with Load(daemon, clients=6) as load:

        def more(name: bytes, count: int = 20) -> None:
            begin = len(load.answers)
            eventually(
                lambda: load.answers[begin:].count(name) >= count,
                f"{name!r} answers no more",
            )

        more(b"leaves")
        leaves.vanish()
        daemon.says(member + out)
        more(b"stays")
        leaves.comeBack()
        daemon.says(member + back)
        more(b"leaves")
    assert not load.failures
    assert set(load.answers) == {b"stays", b"leaves"}
    assert {each.end for each in daemon.records(len(load.answers))} == {
        "backend-closed"
    }
