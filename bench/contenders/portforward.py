"""
C{python -m bench.contenders.portforward PORT BACKEND}: the forwarder of ports that
Twisted itself has, as it comes.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorCore, IReactorTCP
from twisted.protocols.portforward import Proxy, ProxyFactory

from .processes import HOST


def main(port: int, backend: int) -> None:
    """Forward until a signal."""
    # A line in the log for each connection is not a forwarder's work.
    Proxy.noisy = False
    # Its types do not say that it is a server's factory.
    factory: Any = ProxyFactory(HOST, backend)
    factory.noisy = False
    # As many as the kernel holds for the other contenders; Twisted's 50 are too few.
    IReactorTCP(reactor).listenTCP(port, factory, backlog=1024, interface=HOST)
    IReactorCore(reactor).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
