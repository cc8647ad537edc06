"""
One client's connection: dialled, relayed, and ended, in one object.

The kinds of ends are lbproxy's.  What it leaves out is what lbproxy does beyond: it
neither splices bulk nor asks what a peer's kernel has acknowledged.  So a reset that is
passed on may overtake what was sent before; and when both streams have ended, both
sockets are closed, and the kernel delivers what is left.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from typing import TYPE_CHECKING

from lbproxy.proxy.capacity import SHORTAGES
from lbproxy.streams.kernel import wasConnected
from lbproxy.streams.limits import LINGER
from lbproxy.streams.socketloop import EDGES, ERR, IN, OUT, READABLE
from lbproxy.streams.splice import BUFFER, FLAGS, LATER
from lbproxy.words.backend import Member
from lbproxy.words.connection import Connection, End

from .side import Side

if TYPE_CHECKING:
    from typing import Any

    from lbproxy.balance.lease import Lease

    from .balancer import Balancer

RETRIES = 3
"""How many further members are tried after the first."""

CONNECT_TIMEOUT = 5.0
"""Seconds that a member has to accept."""

IDLE_TIMEOUT = 600.0
"""Seconds that a connection may go without a byte either way."""

_READS = 8
"""Full reads after which others have their turn: 512 KiB."""

_RESET = struct.pack("ii", 1, 0)
"""The value of SO_LINGER with which a close is a reset."""

_DIALLED = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_DONTWAIT = socket.MSG_DONTWAIT

_ENDED: int = IN | select.EPOLLRDHUP
"""
Events after which a read that finds less than it could has found all, and the end of
the stream follows.  After urgent data or an error only a further read can tell.
"""

_shared = memoryview(bytearray(BUFFER))

_DIALLING, _RELAYING, _OVER = range(3)


class Session:
    """
    One client's connection, from accept to its record.

    @ivar connection: Its record.
    """

    __slots__ = (
        "_backend",
        "_balancer",
        "_client",
        "_lease",
        "_moved",
        "_state",
        "_tried",
        "_until",
        "connection",
    )

    def __init__(
        self,
        balancer: Balancer,
        opened: socket.SocketType,
        descriptor: int,
        connection: Connection,
    ) -> None:
        """
        @param opened: The client's socket.
        """
        self._balancer = balancer
        self._client = Side(self, opened, descriptor)
        self._backend: Side | None = None
        self._lease: Lease | None = None
        self._state = _DIALLING
        self._tried: tuple[Member, ...] = ()
        self._until = 0.0
        self._moved = 0
        self.connection = connection

    def begin(self) -> None:
        """Watch the client, and dial."""
        balancer, client = self._balancer, self._client
        balancer.sessions[self] = None
        balancer.sides[client.descriptor] = client
        # Also for what is read only later: that it leaves is noticed while dialling.
        balancer.watch(client.descriptor, EDGES)
        balancer.observer.opened(self.connection)
        self._dial()

    def event(self, side: Side, events: int) -> None:
        """
        Something has happened to one of the two sockets.

        @param events: As C{epoll_wait(2)} has them.
        """
        side.seen |= events & READABLE
        client, backend = self._client, self._backend
        assert backend is not None
        if self._state is not _RELAYING:
            if side is backend:
                self._answered(backend, events)
            elif events & ERR:
                self.cut(End.CLIENT_RESET)
            return
        peer = backend if side is client else client
        if events & ERR and side.ended:
            self._gone(side, peer)
            return
        if side.unsent and events & (OUT | ERR):
            self._flush(side, peer)
            self._moveOn(side, peer)
        elif side.seen and not side.ended and not peer.unsent:
            self._move(side, peer)

    # Dialling.

    def _dial(self) -> None:
        """Choose a member and connect to it, until a dial has begun."""
        balancer, connection = self._balancer, self.connection
        pool, now = balancer.pool, balancer.now
        while len(self._tried) <= RETRIES:
            candidates = pool.candidates(now, self._tried)
            if not candidates:
                break
            member = pool.picker.pick(candidates, connection)
            assert isinstance(member, Member)
            self._lease = pool.lease(member)
            try:
                opened = socket.SocketType(socket.AF_INET, _DIALLED)
            except OSError as error:
                self._failed(error.errno or 0)
                continue
            descriptor = opened.fileno()
            self._backend = side = Side(self, opened, descriptor)
            balancer.sides[descriptor] = side
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = opened.connect_ex(balancer.places[member])
            if number in (0, errno.EINPROGRESS):
                self._until = now + CONNECT_TIMEOUT
                balancer.watch(descriptor, EDGES)
                return
            self._failed(number)
        self._over(End.CONNECT_FAILED if self._tried else End.NO_BACKEND)

    def _failed(self, number: int) -> None:
        """The member that is leased was not connected to."""
        balancer, connection = self._balancer, self.connection
        lease, self._lease = self._lease, None
        assert lease is not None
        backend, self._backend = self._backend, None
        if backend is not None:
            balancer.leave(backend)
        reason = os.strerror(number).lower()
        if number not in SHORTAGES:
            lease.failed(balancer.now, reason)
        lease.release()
        self._tried = (*self._tried, lease.member)
        connection.tried.append(lease.backend)
        connection.detail = f"{lease.backend}: {reason}"

    def _answered(self, backend: Side, events: int) -> None:
        """The member has accepted, or it has not."""
        # What a connection that was reset has received can still be read, but not its
        # error once that was asked for: so that is asked for only if there was none.
        opened: Any = backend.socket
        if events & ERR and not wasConnected(opened):
            self._failed(opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            self._dial()
            return
        lease, balancer, connection = self._lease, self._balancer, self.connection
        assert lease is not None
        self._state = _RELAYING
        lease.succeeded()
        connection.detail = ""
        connection.backend = lease.member.backend
        connection.connected = balancer.now + balancer.epoch
        self._until = balancer.now + IDLE_TIMEOUT
        client = self._client
        if client.seen:
            self._move(client, backend)
        self._moveOn(backend, client)

    # Relaying.

    def _move(self, source: Side, sink: Side) -> None:
        """Send what has come from one side to the other, for which nothing is kept."""
        receive, send = source.receive, sink.send
        for _ in range(_READS):
            try:
                got = receive(_shared, 0, _DONTWAIT)
            except BlockingIOError:
                source.seen = 0
                return
            except OSError:
                self._cutBy(source)
                return
            if not got:
                self._ended(source, sink)
                return
            source.count += got
            if not sink.deaf:
                try:
                    sent = send(_shared[:got], FLAGS)
                except OSError as error:
                    if error.errno not in LATER:
                        self._deafened(sink, source, error)
                        self._moveOn(source, sink)
                        return
                    sent = 0
                if sent < got:
                    sink.unsent = bytes(_shared[sent:got])
                    return
            if got < BUFFER:
                if source.seen == IN:
                    source.seen = 0
                    return
                if source.seen == _ENDED:
                    self._ended(source, sink)
                    return
        self._balancer.announce(source.descriptor)

    def _moveOn(self, source: Side, sink: Side) -> None:
        """Do so if there is something, and nothing has come in between."""
        mayMove = source.seen and not source.ended and not sink.unsent
        if mayMove and self._state is _RELAYING:
            self._move(source, sink)

    def _flush(self, sink: Side, source: Side) -> None:
        """Send what is kept for one side, and read the other one again."""
        try:
            sent = sink.send(sink.unsent, FLAGS)
        except OSError as error:
            if error.errno not in LATER:
                self._deafened(sink, source, error)
            return
        sink.unsent = sink.unsent[sent:]
        self._moveOn(source, sink)

    def _deafened(self, sink: Side, source: Side, error: OSError) -> None:
        """
        A send has failed.  What that side had said before, such as why it takes no
        more, is read to its end, which for the other side is an end or a reset.
        """
        if sink.ended:
            self._gone(sink, source)
            return
        sink.deaf = True
        sink.unsent = b""
        # EPIPE is what remains of a reset after the peer has ended its stream.
        sink.dead = error.errno != errno.EPIPE
        sink.seen |= ERR
        self._moveOn(sink, source)

    def _gone(self, side: Side, peer: Side) -> None:
        """
        A side was reset after the end of its stream.  Nobody waits for an answer any
        more, if it is the client; else the answer may still be on its way to it.
        """
        if side is self._client:
            self._cutBy(side)
            return
        side.deaf = True
        side.unsent = b""
        self._until = self._balancer.now + LINGER
        self._moveOn(peer, side)

    # The end.

    def _ended(self, source: Side, sink: Side) -> None:
        """A read has found the end of one side's stream: pass it on."""
        if source.dead:
            self._cutBy(source)
            return
        connection = self.connection
        source.ended = True
        if connection.end is None:
            isClient = source is self._client
            connection.end = End.CLIENT_CLOSED if isClient else End.BACKEND_CLOSED
        if sink.ended:
            self._over(connection.end)
            return
        try:
            sink.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # It was reset, which its next event tells.
        if source.seen & ERR:
            self._gone(source, sink)

    def _cutBy(self, side: Side) -> None:
        """One side was reset: so is the other one."""
        self.cut(End.CLIENT_RESET if side is self._client else End.BACKEND_RESET)

    def cut(self, end: End) -> None:
        """
        End it at once, in whatever state it is, by a reset of what is open.

        @param end: Why, for the record.
        """
        if self._state is _OVER:
            return
        for each in (self._client, self._backend):
            if each is not None:
                each.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._over(end)

    def look(self) -> None:
        """End it, or its dial, if its time is over.  It is called now and then."""
        client, backend, now = self._client, self._backend, self._balancer.now
        if backend is None:
            return
        lingers = client.deaf or backend.deaf
        if self._state is _RELAYING and not lingers:
            kept = len(client.unsent) + len(backend.unsent)
            moved = client.count + backend.count - kept
            if moved != self._moved:
                self._moved = moved
                self._until = now + IDLE_TIMEOUT
        if now < self._until:
            return
        if self._state is _DIALLING:
            self._failed(errno.ETIMEDOUT)
            self._dial()
        else:
            end = self.connection.end if lingers else None
            self.cut(end or End.IDLE_TIMEOUT)

    def _over(self, end: End) -> None:
        """Close what is open, give the lease back, and complete the record."""
        self._state = _OVER
        balancer, connection = self._balancer, self.connection
        client, backend, lease = self._client, self._backend, self._lease
        connection.end = end
        connection.closed = balancer.now + balancer.epoch
        connection.bytesFromClient = client.count
        balancer.leave(client)
        if backend is not None:
            connection.bytesFromBackend = backend.count
            balancer.leave(backend)
        if lease is not None:
            lease.release()
        balancer.over(self)
