"""Accept clients: the server factory of a listener, and the client-side protocol."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory

from ..interfaces import IConnectionObserver
from ..streams.socketstreams import SocketStream
from ..streams.stream import Stream
from ..streams.tlsstreams import TLSStream
from ..streams.transports import TransportStream
from ..words.backend import Member
from ..words.connection import Address, Connection, End
from .capacity import Capacity
from .policy import Policy
from .session import Session

if TYPE_CHECKING:
    from socket import SocketType

    from ..streams.socketloop import SocketLoop

_IDS = count(1)
"""The source of connection ids: no two connections of a process have the same."""


_IP = (IPv4Address, IPv6Address)
"""The address classes of nearly all clients; they are converted without a call."""


class ClientStream(TransportStream):
    """The protocol on a client's transport: the stream of one session."""


class ListenerFactory(ServerFactory):
    """
    Builds a client-side protocol, and with it a session, for each client.

    @ivar policy: The policy of new sessions; those that have begun keep theirs.
    @ivar sessions: The set that new sessions are added to.
    """

    noisy = False

    def __init__(self, name: str, policy: Policy, sessions: Sessions) -> None:
        """
        @param name: The listener's name, as logs and records show it.
        """
        self.use(name, policy, sessions)

    def use(self, name: str, policy: Policy, sessions: Sessions) -> None:
        """Serve new clients by another policy."""
        self._name = name
        self.policy = policy
        self.sessions = sessions
        self._secured = None if policy.tls is None else policy.tls.around(self._client)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the protocol of a client that has just been accepted."""
        if self._secured is not None:
            return self._secured.buildProtocol(addr)
        return self._client(addr)

    def _client(self, addr: IAddress | None) -> ClientStream:
        client = Address(addr.host, addr.port) if isinstance(addr, _IP) else None
        policy = self.policy
        connection = Connection(
            next(_IDS),
            self._name,
            client or toAddress(addr),
            _UNKNOWN,
            policy.seconds(),
        )
        return ClientStream(Session(policy, connection, self.sessions))

    def takeSocket(
        self, opened: SocketType, loop: SocketLoop, client: Address, local: Address
    ) -> None:
        """Make the stream, and the session, of a client on a socket of our own."""
        policy = self.policy
        connection = Connection(next(_IDS), self._name, client, local, policy.seconds())
        session = Session(policy, connection, self.sessions)
        tls = policy.tls
        if tls is None or policy.openings is not None:
            stream = SocketStream(session, opened, loop)
            loop.add(opened.fileno(), stream)
            session.streamReady(stream)
        else:
            secured = TLSStream(session, opened, loop, tls.server.connection(None))
            loop.add(opened.fileno(), secured)
            secured.begin()


class Sessions:
    """
    The open sessions of one running configuration: count them and call the
    observer.
    """

    def __init__(self, capacity: Capacity, observer: IConnectionObserver) -> None:
        self._capacity = capacity
        self._observer = observer
        self._sessions: set[Session] = set()
        self._awaitingIdle: list[Deferred[None]] = []

    def __iter__(self) -> Iterator[Session]:
        """Iterate over a copy of the open sessions."""
        return iter(tuple(self._sessions))

    def sessionBegun(self, session: Session, client: Stream) -> None:
        """A client is connected: count the session and call the observer."""
        self._sessions.add(session)
        self._capacity.taken()
        if session.connection.local is _UNKNOWN:
            local = client.transport.getHost()
            isIP = isinstance(local, _IP)
            local = Address(local.host, local.port) if isIP else toAddress(local)
            session.connection.local = local
        session.watch.streams = (client,)
        self._observer.opened(session.connection)

    def sessionOver(self, session: Session) -> None:
        """Both sides of a session are gone."""
        self._sessions.discard(session)
        self._capacity.released()
        if not self._sessions:
            awaiting, self._awaitingIdle = self._awaitingIdle, []
            for idle in awaiting:
                idle.callback(None)

    def abort(self, end: End) -> int:
        """
        Cut off all connections at once.

        @return: How many there were.
        """
        sessions = list(self)
        for session in sessions:
            session.abort(end)
        return len(sessions)

    def abortOn(self, member: Member, end: End) -> int:
        """
        Cut off the connections that use one member.

        @return: How many there were.
        """
        sessions = [each for each in self._sessions if each.member is member]
        for session in sessions:
            session.abort(end)
        return len(sessions)

    def whenIdle(self) -> Deferred[None]:
        """Return a Deferred that fires when no session is open."""
        idle: Deferred[None] = Deferred()
        if self._sessions:
            self._awaitingIdle.append(idle)
        else:
            idle.callback(None)
        return idle


_UNKNOWN = Address("")


def toAddress(address: object) -> Address:
    """
    Convert one of Twisted's addresses to an L{Address}.

    @param address: An L{IAddress}, or what an endpoint gives instead.
    """
    if isinstance(address, _IP):
        return Address(address.host, address.port)
    if isinstance(address, UNIXAddress):
        return Address(_readable(address.name))
    return Address("" if address is None else str(address))


def _readable(path: object) -> str:
    """A UNIX socket's path as text; an abstract one begins with an C{@}."""
    if not path:
        return ""
    text = path.decode("utf-8", "replace") if isinstance(path, bytes) else str(path)
    return text.replace("\0", "@", 1)
