"""
A socket that speaks TLS, with the methods of a plain one that streams call.

OpenSSL reads and writes memory, and not the socket itself: once a write of its own has
failed, it reads nothing any more, although a peer may have answered before it closed.
"""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from OpenSSL import SSL

if TYPE_CHECKING:
    from collections.abc import Callable

_RECORD = 16384
"""Bytes of plaintext in the largest record (RFC 8446, 5.1)."""

_WIRE = _RECORD + 2048 + 5
"""
Bytes of the largest record itself (RFC 5246, 6.2.3).  No more is given to OpenSSL at a
time: the memory that it reads from, and writes to, never shrinks.
"""

_HEADER = 5
"""Bytes that each record begins with (RFC 8446, 5.1); the last two say its length."""

_AT_ONCE = 65536
"""Bytes of ciphertext to read at once."""

_READS = 16
"""
After so many reads what OpenSSL answers is sent, though it came with data: a peer that
changes its keys with each byte, and is sent nothing, would have its answers kept.
"""

_FLAGS: int = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL

_LATER = frozenset({errno.EAGAIN, errno.ENOBUFS})

_ciphertext = memoryview(bytearray(_AT_ONCE))


class CutOffError(ConnectionResetError):
    """The peer has closed without the close_notify that ends TLS."""


class BrokenTLSError(ConnectionError):
    """
    What the peer sends is no TLS, or an alert.

    @ivar why: OpenSSL's own error.
    """

    def __init__(self, why: SSL.Error) -> None:
        super().__init__(errno.EPROTO, "TLS")
        self.why = why


class TLSSocket:
    """
    A connected socket, and the state of TLS on it.

    Its methods raise what those of a plain socket raise: L{BlockingIOError} for what
    cannot be done now, another L{OSError} for what failed.

    @ivar connection: The state of TLS.
    @ivar raw: The socket.
    @ivar family: Of the socket.
    @ivar out: Ciphertext that the kernel has not taken.
    @ivar isHeard: Whether the peer has sent a byte of its handshake.
    """

    __slots__ = (
        *("_error", "_isFed", "_left", "_more", "connection", "family", "isHeard"),
        *("_reads", "out", "raw"),
    )

    def __init__(
        self,
        raw: socket.SocketType,
        connection: SSL.Connection,
        more: Callable[[], object],
    ) -> None:
        """
        @param connection: On no socket.  It has a side to play, and has not begun.
        @param more: Called when a read has found, behind what it returns, the end of
            the stream or an error: the next one returns or raises that.
        """
        self.raw = raw
        self.connection = connection
        self.family = raw.family
        self.out = b""
        self.isHeard = False
        # Whether OpenSSL was given something that it may not have decrypted.
        self._isFed = False
        # How many bytes of the present record are still to come; L{None} if unknown.
        self._left: int | None = 0
        self._more = more
        self._reads = 0
        self._error: OSError | None = None

    # The handshake.

    def hear(self, data: bytes) -> None:
        """Take what was read of the socket before, which comes first."""
        self.isHeard = True
        self._left = None
        self.connection.bio_write(data)

    def shake(self) -> bool:
        """
        Go on with the handshake.

        @return: Whether it is done.
        @raise SSL.Error: If it fails.
        @raise OSError: If the socket fails.
        """
        while True:
            isDone = self._shakeOnce()
            self.flush()
            if isDone:
                # The first bytes may have come with the last ones of the handshake.
                self._isFed = True
                return True
            try:
                length = self.raw.recv_into(_ciphertext, _WIRE, _FLAGS)
            except BlockingIOError:
                return False
            if not length:
                raise CutOffError(errno.ECONNRESET, "closed during the handshake")
            self.isHeard = True
            self._feed(0, length)

    def _shakeOnce(self) -> bool:
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return False
        finally:
            self._takeOut()
        return True

    # Reading.

    def recv_into(self, buffer: memoryview, length: int, flags: int = 0) -> int:
        """
        Read what there is.

        @param length: Most bytes to read.  Less is returned only if the socket has no
            more, unless C{more} was called.
        @param flags: Of no effect.
        @return: How many bytes were read; 0 for the end of the stream.
        """
        got = 0
        self._reads += 1
        if self._reads % _READS == 0:
            self._answer()
        try:
            if self._error is not None:
                raise self._error
            if self._isFed:
                got = self._decrypt(buffer, 0, length)
            while got < length:
                most = min(_AT_ONCE, length - got + _WIRE - _RECORD)
                read = self.raw.recv_into(_ciphertext, most, _FLAGS)
                if not read:
                    raise CutOffError(errno.ECONNRESET, "no close_notify")
                for at in range(0, read, _WIRE):
                    records = self._feed(at, min(at + _WIRE, read))
                    got = self._decrypt(buffer, got, length, records)
                if read < most:
                    break
        except BlockingIOError:
            if not got:
                raise
        except SSL.ZeroReturnError:
            return 0
        except OSError as error:
            self._error = error
            if not got:
                raise
            self._more()
        if not got:
            # It was a part of a record, or something that asks for an answer.
            self._answer()
            raise BlockingIOError(errno.EAGAIN, "no data")
        return got

    def _answer(self) -> None:
        """Send what OpenSSL answers to what it has read, such as a change of keys."""
        self._takeOut()
        with suppress(OSError):  # The next send finds that, too.
            self.flush()

    def _feed(self, begin: int, end: int) -> int:
        """
        Give OpenSSL some ciphertext.

        To know how many records end in it saves asking OpenSSL for one more, and being
        told by an exception that there is none: 4 us for each message.

        @return: How many; -1 if that is not known.
        """
        self.connection.bio_write(_ciphertext[begin:end])
        if self._left is None:
            return -1
        at, ended = begin + self._left, int(0 < self._left <= end - begin)
        while at < end:
            if end - at < _HEADER:
                self._left = None
                return -1
            at += _HEADER + (_ciphertext[at + 3] << 8 | _ciphertext[at + 4])
            ended += at <= end
        self._left = at - end
        return ended

    def _decrypt(
        self, buffer: memoryview, got: int, length: int, records: int = -1
    ) -> int:
        """
        Decrypt what OpenSSL was given.

        @param got: How many bytes there are in C{buffer}.
        @param records: How many records there are to decrypt at most; -1 for any.
        @return: How many bytes there are afterwards.
        """
        receive, self._isFed = self.connection.recv_into, True
        try:
            while got < length and records:
                got += receive(buffer[got:length], _RECORD)
                records -= 1
            if got < length:
                self._isFed = False
        except SSL.WantReadError:
            self._isFed = False
        except SSL.ZeroReturnError:
            if not got:
                raise
            self._more()  # It is found again.
        except SSL.Error as error:
            self._takeOut()  # The alert that tells the peer.
            self._error = BrokenTLSError(error)
            if not got:
                raise self._error from None
            self._more()
        return got

    def recv(self, length: int, flags: int = 0) -> bytes:
        """As L{recv_into}, but return the bytes."""
        buffer = memoryview(bytearray(length))
        return bytes(buffer[: self.recv_into(buffer, length)])

    # Writing.

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """
        Encrypt and send some bytes.

        @return: How many were taken; some of them may be in L{out}.
        @raise BlockingIOError: If the kernel has not taken yet what was sent before.
        """
        if self.out:
            self.flush()
            if self.out:
                raise BlockingIOError(errno.EAGAIN, "not taken yet")
        sent, view = 0, memoryview(data)
        connection, pieces = self.connection, []
        try:
            while sent < len(view):
                sent += connection.send(view[sent : sent + _RECORD])
                piece = connection.bio_read(_WIRE)
                pieces.append(piece)
                if len(piece) == _WIRE:
                    pieces.append(self._rest())  # There were answers before it.
        except SSL.Error as error:
            raise BrokenTLSError(error) from None
        self.out = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.flush()
        return sent

    def flush(self) -> None:
        """
        Send as much of L{out} as the kernel takes.

        @raise OSError: If that fails; then there is nothing to be sent any more.
        """
        if self.out:
            try:
                sent = self.raw.send(self.out, _FLAGS)
            except OSError as error:
                if error.errno not in _LATER:
                    self.out = b""
                    raise
                sent = 0
            self.out = self.out[sent:]

    def shutdown(self, how: int) -> None:
        """
        Send a close_notify.

        @raise OSError: If that fails.
        """
        try:
            self.connection.shutdown()
        except SSL.Error as error:
            raise BrokenTLSError(error) from None
        finally:
            self._takeOut()
        self.flush()

    def _takeOut(self) -> None:
        """Take what OpenSSL has to say."""
        self.out += self._rest()

    def _rest(self) -> bytes:
        """All that OpenSSL has to say."""
        pieces = []
        try:
            while True:
                pieces.append(self.connection.bio_read(_WIRE))
        except SSL.WantReadError:
            return b"".join(pieces)

    # What is only the socket's.

    def fileno(self) -> int:
        """The descriptor."""
        return self.raw.fileno()

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        """Set an option."""
        self.raw.setsockopt(level, name, value)

    def getsockopt(self, level: int, name: int, length: int) -> bytes:
        """Get an option."""
        return self.raw.getsockopt(level, name, length)

    def close(self) -> None:
        """Close it, without a close_notify."""
        self.raw.close()
