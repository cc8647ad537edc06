"""
What a transport still holds for its peer: in this process, and in the kernel.

Twisted's transports say when they are full and when they are empty again, but
not how much they hold; a reader that takes a hundred bytes a second looks, for
twenty minutes, like one that takes nothing.  These few functions look at what
lies between, and are only called when a deadline is at stake.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Any, cast

from twisted.protocols.policies import ProtocolWrapper


def lowest(transport: object) -> object:
    """
    The transport that has the socket: the one below the layers (TLS) that
    Twisted wraps around it.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def unsent(transport: object) -> int:
    """
    How many bytes wait in this process because the kernel would not take them.
    Those that were written in this very turn of the reactor, and not offered to
    the kernel yet, are not among them.

    @param transport: The lowest one.  One that does not show its buffer as
        Twisted's L{FileDescriptor<twisted.internet.abstract.FileDescriptor>}
        does counts as empty.
    """
    return len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)


def undelivered(transport: Any) -> int:
    """
    How many bytes the kernel has taken and the peer's has not acknowledged
    (SIOCOUTQ, see tcp(7)).

    @param transport: The lowest one.  Where the kernel cannot tell, or there
        is no descriptor to ask it about, 0.
    """
    try:
        answer = fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (AttributeError, OSError, ValueError):
        return 0
    return cast("int", struct.unpack("i", answer)[0])
