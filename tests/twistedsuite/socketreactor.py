"""
A whole reactor whose TCP and UNIX sockets are lbproxy's, for Twisted's own tests.

Those replace the global reactor by the one that they test, which an object that wraps a
reactor does not survive.
"""

from __future__ import annotations

from twisted.internet.epollreactor import EPollReactor

from lbproxy.streams.socketloop import SocketLoop
from lbproxy.streams.sockets import SocketReactor


class SocketEPollReactor(EPollReactor):
    """Twisted's reactor, except that it listens and connects as L{SocketReactor}."""

    def __init__(self) -> None:
        self.loop = SocketLoop(self)
        super().__init__()

    listenTCP = SocketReactor.listenTCP
    connectTCP = SocketReactor.connectTCP
    listenUNIX = SocketReactor.listenUNIX
    connectUNIX = SocketReactor.connectUNIX
    adoptStreamPort = SocketReactor.adoptStreamPort
    adoptStreamConnection = SocketReactor.adoptStreamConnection
