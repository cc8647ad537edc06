"""What the kernel says about a socket."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios

_TCP_CLOSE = 7
"""TCP_CLOSE of <netinet/tcp.h>: the state of a connection that is over."""

_BYTES_ACKED = 120
"""Where C{tcpi_bytes_acked} is in C{struct tcp_info} (Linux 4.1 and later)."""

_EMPTY = b"\0\0\0\0"
_number = struct.Struct("i").unpack


def undeliveredTo(descriptor: int) -> int:
    """
    How many bytes were given to the kernel and not acknowledged by the peer's
    kernel (SIOCOUTQ, see tcp(7)); 0 where that is not known.
    """
    try:
        answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, _EMPTY)
    except (OSError, ValueError):
        return 0
    undelivered: int = _number(answer)[0]
    return undelivered


def acknowledgedBy(connected: socket.SocketType) -> int:
    """
    How many bytes the peer's kernel has acknowledged so far on a TCP connection; 0
    where that is not known.
    """
    length = _BYTES_ACKED + 8
    try:
        info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, length)
    except (AttributeError, OSError):
        return 0
    if len(info) < length:
        return 0
    return int.from_bytes(info[_BYTES_ACKED:], sys.byteorder)


def wasConnected(dialled: socket.SocketType) -> bool:
    """
    Whether a TCP connection has been one: its peer has acknowledged the SYN.

    Nothing that is still to be read of it is lost by this, as by C{SO_ERROR}.
    """
    length = _BYTES_ACKED + 8
    info = dialled.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, length)
    return len(info) < length or info[_BYTES_ACKED:] != bytes(8)


def connectionIsOver(connected: socket.SocketType) -> bool:
    """Whether a TCP connection was reset: the first byte of tcp_info is its state."""
    try:
        info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except (AttributeError, OSError):
        return False
    return bool(info[0] == _TCP_CLOSE)
