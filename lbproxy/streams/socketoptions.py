"""Set the options of the TCP sockets that lbproxy relays between."""

from __future__ import annotations

import socket
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
    if getattr(handle, "family", None) not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if keepalive:
            _keepAlive(handle, keepalive)
        else:
            # The socket of a port that reload has kept may have it on.
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
    except OSError:
        # The peer is gone already; reading will report that.
        return


def _keepAlive(handle: Any, seconds: float) -> None:
    idle = max(1, round(seconds / 2))
    interval = max(1, round(seconds / 2 / _PROBES))
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", idle),
        ("TCP_KEEPINTVL", interval),
        ("TCP_KEEPCNT", _PROBES),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            handle.setsockopt(socket.IPPROTO_TCP, option, value)
