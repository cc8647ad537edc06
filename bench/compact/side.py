"""One end of a connection, as plain data of its session."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from .session import Session


class Side:
    """
    One end of a connection: a socket, and what is known of it.

    @ivar count: How many bytes were read from it.
    @ivar unsent: What the kernel has not taken yet; its peer is not read meanwhile.
    @ivar seen: Events after which there is something to read; 0 once nothing is left.
    @ivar ended: Whether all that it has to say was read.
    @ivar deaf: Whether a send has failed: what is for it is thrown away.
    @ivar dead: Whether it was reset, which only the failed send has told.
    """

    __slots__ = (
        "count",
        "dead",
        "deaf",
        "descriptor",
        "ended",
        "receive",
        "seen",
        "send",
        "session",
        "socket",
        "unsent",
    )

    def __init__(
        self, session: Session, opened: socket.SocketType, descriptor: int
    ) -> None:
        self.session = session
        self.socket = opened
        self.descriptor = descriptor
        self.receive = opened.recv_into
        self.send = opened.send
        self.count = self.seen = 0
        self.unsent = b""
        self.ended = self.deaf = self.dead = False
