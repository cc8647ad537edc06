"""Dial a TCP address, and speak TLS to it, without a transport of Twisted's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .socketdials import SocketDial
from .socketloop import ERR
from .tlsstreams import TLSStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from OpenSSL.SSL import Connection
    from twisted.python.failure import Failure

    from .socketdials import DialOwner
    from .socketloop import SocketLoop
    from .stream import Stream


class TLSDial(SocketDial):
    """
    One attempt to connect to a TCP address, and to complete a TLS handshake.

    It is cancelled, and calls its owner, as L{SocketDial} has it.
    """

    __slots__ = ("_preface", "_secured", "_stream")

    def __init__(
        self,
        owner: DialOwner,
        loop: SocketLoop,
        where: tuple[str, int],
        local: str | None,
        keepalive: float,
        secured: Callable[[], Connection],
        preface: bytes = b"",
    ) -> None:
        """
        @param secured: Makes the state of TLS, on no socket, with a side to play.
        @param preface: What goes first, before TLS begins.
        """
        self._secured = secured
        self._preface = preface
        self._stream: TLSStream | None = None
        super().__init__(owner, loop, where, local, keepalive)

    def cancel(self) -> None:
        """Stop; the owner is not called.  Never raises."""
        super().cancel()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()

    def socketEvent(self, events: int) -> None:
        """Begin the handshake, or fail."""
        opened = self._opened
        assert opened is not None
        if events & ERR and self._isRefused(opened):
            return
        stream = self._stream = TLSStream(self, opened, self._loop, self._secured())
        self._opened = None
        self._loop.replace(opened.fileno(), stream)
        stream.begin(self._preface)

    # Called by the stream.

    def streamShakes(self, stream: Stream) -> None:
        """Nothing to do: the handshake is a part of the dial."""

    def streamReady(self, stream: Stream) -> None:
        """The handshake is complete."""
        owner, self._owner, self._stream = self._owner, None, None
        stream.owner = None
        if owner is not None:
            owner.dialled(stream)

    def streamHeld(self, stream: Stream) -> None:
        """Nothing to do: the backend is not looked at."""

    def streamEnded(self, stream: Stream) -> None:
        """Nothing to do: it was not ready yet."""

    def streamDeaf(self, stream: Stream) -> None:
        """Nothing to do: it will be lost."""

    def streamLost(self, stream: Stream, reason: Failure) -> None:
        """The handshake has failed."""
        owner, self._owner, self._stream = self._owner, None, None
        if owner is not None:
            owner.dialFailed(reason)
