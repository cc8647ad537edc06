"""Where clients come in: the server factory and the client-side protocol."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory

from ..streams.backlog import lowest
from ..streams.side import Side
from ..streams.socketoptions import tune
from ..words.connection import Address, Connection, End
from .capacity import Capacity
from .session import Policy, Session


class ClientSide(Side):
    """The protocol on a client's transport; it begins a session."""

    def __init__(self, session: Session, factory: ListenerFactory) -> None:
        super().__init__(session)
        self.factory = factory
        self._session = session

    def connectionMade(self) -> None:
        """A client is here."""
        self.factory.begin(self._session, self)
        super().connectionMade()
        self._session.awaitHandshake()


class ListenerFactory(ServerFactory):
    """
    Builds a client-side protocol, and with it a session, for each client.

    @ivar sessions: Those under way.
    """

    noisy = False

    def __init__(
        self,
        name: str,
        policy: Policy,
        capacity: Capacity,
        ids: Iterator[int] | None = None,
    ) -> None:
        """
        @param name: The listener's, as logs and records have it.
        @param ids: Where connections get their numbers from; shared by all the
            listeners of a process.
        """
        self.sessions: set[Session] = set()
        self._awaitingIdle: list[Deferred[None]] = []
        self._name = name
        self._policy = policy
        self._capacity = capacity
        self._ids = count(1) if ids is None else ids

    def buildProtocol(self, addr: IAddress | None) -> ClientSide:
        """The protocol for a client that has just been accepted."""
        connection = Connection(
            id=next(self._ids),
            listener=self._name,
            client=toAddress(addr),
            local=_UNKNOWN,
            opened=self._policy.deadlines.seconds(),
        )
        return ClientSide(Session(self._policy, connection, self._over), self)

    def begin(self, session: Session, client: ClientSide) -> None:
        """A client's transport is there: its journey begins."""
        self.sessions.add(session)
        self._capacity.taken()
        session.connection.local = toAddress(client.transport.getHost())
        tune(lowest(client.transport), self._policy.options.keepalive)
        session.arrive(client)

    def abort(self, end: End) -> int:
        """
        Cut all connections off.

        @return: How many there were.
        """
        sessions = list(self.sessions)
        for session in sessions:
            session.abort(end)
        return len(sessions)

    def whenIdle(self) -> Deferred[None]:
        """Fires when there is no session under way."""
        idle: Deferred[None] = Deferred()
        if self.sessions:
            self._awaitingIdle.append(idle)
        else:
            idle.callback(None)
        return idle

    def _over(self, session: Session) -> None:
        self.sessions.discard(session)
        self._capacity.released()
        if not self.sessions:
            awaiting, self._awaitingIdle = self._awaitingIdle, []
            for idle in awaiting:
                idle.callback(None)


_UNKNOWN = Address("")


def toAddress(address: object) -> Address:
    """
    Put one of Twisted's addresses into our own words.

    @param address: An L{IAddress}, or what an endpoint gives instead.
    """
    if isinstance(address, (IPv4Address, IPv6Address)):
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
