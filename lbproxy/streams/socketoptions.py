"""Set the options of the TCP sockets that lbproxy relays between."""

from __future__ import annotations

import socket
from functools import cache
from typing import Any

_PROBES = 3
"""Keep-alive probes that may go unanswered before a peer counts as gone."""


def tune(transport: Any, keepalive: float) -> None:
    """
    Set TCP_NODELAY, and TCP keep-alive to find peers that are gone.

    A peer that answers nothing for about C{keepalive} seconds is reset: half
    of them pass before the first probe, the rest while probes go unanswered.
    TCP_USER_TIMEOUT is not used for it: it would also cut off a peer that is
    alive but has not read for that long (the kernel counts zero-window probes,
    answered or not; see tcp_probe_timer), which is what C{stall-timeout} is
    for.

    @param transport: The lowest transport, or a port; left alone if it has no TCP
        socket.
    @param keepalive: Seconds; 0 leaves keep-alive off.
    """
    # The socket of a port may be an object that stands for one.
    handle: Any = getattr(transport, "socket", None)
    if getattr(handle, "family", None) in (socket.AF_INET, socket.AF_INET6):
        tuneSocket(handle, keepalive)


def tuneSocket(opened: socket.SocketType, keepalive: float) -> None:
    """
    Do the same to a TCP socket.

    @param keepalive: Seconds; see L{tune}.
    """
    try:
        for level, name, value in _options(keepalive):
            opened.setsockopt(level, name, value)
    except OSError:
        # The peer is gone already; reading will report that.
        return


@cache
def _options(keepalive: float) -> tuple[tuple[int, int, int], ...]:
    """The options to set, each with its level and its value."""
    options = {
        "TCP_NODELAY": 1,
        "TCP_KEEPIDLE": max(1, round(keepalive / 2)),
        "TCP_KEEPINTVL": max(1, round(keepalive / 2 / _PROBES)),
        "TCP_KEEPCNT": _PROBES,
    }
    if not keepalive:
        options = {"TCP_NODELAY": 1}
    known = ((getattr(socket, name, None), value) for name, value in options.items())
    return (
        # The socket of a port that reload has kept may have it on.
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(keepalive > 0)),
        *((socket.IPPROTO_TCP, name, value) for name, value in known if name),
    )
