"""
The system's resolver, asked in threads of its own.

L{socket.getaddrinfo} may take as long as it likes, and cannot be cancelled.  So it runs
in daemon threads, which a stop does not wait for, and not in the reactor's: those are
few, and waited for when the reactor stops.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from .answers import Answer, Family, Service
from .hostsfile import HostsFile

THREADS = 64
"""
The most lookups at a time, two for each name.  By default glibc gives up on a name
after some 20 s, so that many silent names hold up the others for that long at most.
"""

_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}

_NOTHING = {
    getattr(socket, name, socket.EAI_NONAME)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
}
"""The errors that say that there is no such name, or no such address of it."""

LookUp = Callable[[str, int], list[str]]
"""Looks up the addresses of a name in one family of sockets; may raise anything."""

InThread = Callable[[Callable[[], object]], object]
"""Runs a function in a thread of its own; raises L{RuntimeError} if there is none."""

_Asked = tuple[str, Family, Callable[[Answer[str]], object]]


class SystemResolver:
    """Looks up addresses as other programs on this machine do."""

    def __init__(
        self,
        reactor: Any,
        lookUp: LookUp | None = None,
        inThread: InThread | None = None,
    ) -> None:
        """
        @param reactor: Provides L{twisted.internet.interfaces.IReactorThreads}.
        @param lookUp: By default L{socket.getaddrinfo}.
        @param inThread: By default it starts a daemon thread.
        """
        self._reactor = reactor
        self._lookUp = lookUp or _getaddrinfo
        self._inThread = inThread or _inThread
        self._queue: SimpleQueue[_Asked] = SimpleQueue()
        self._threads = 0
        self._closed = False

    def addresses(
        self, name: str, family: Family, heard: Callable[[Answer[str]], object]
    ) -> None:
        """Look up the addresses of a host; see L{Resolver.addresses}."""
        self._queue.put((name, family, heard))
        self._begin()

    def services(self, name: str, heard: Callable[[Answer[Service]], object]) -> None:
        """The system's resolver knows nothing of services."""
        raise NotImplementedError

    def close(self) -> None:
        """Tell nobody any more, and wait for no thread."""
        self._closed = True

    def _begin(self) -> None:
        if self._threads >= THREADS:
            return
        self._threads += 1
        try:
            self._inThread(self._work)
        except (RuntimeError, MemoryError) as error:
            # The limit for threads of the system, or of the user, is reached.
            self._threads -= 1
            if not self._threads:
                self._giveUp(_words(error))

    def _giveUp(self, reason: str) -> None:
        """Answer all that is asked; no thread will."""
        nothing: Answer[str] = Answer(None, reason=reason)
        while not self._queue.empty():
            _, _, heard = self._queue.get_nowait()
            # As any answer: in a later turn.
            self._reactor.callFromThread(self._tell, heard, nothing)

    def _work(self) -> None:
        """In a thread: look up all that is asked, until there is nothing more."""
        while not self._closed:
            try:
                name, family, heard = self._queue.get_nowait()
            except Empty:
                self._reactor.callFromThread(self._idle)
                return
            answer = self._answer(name, _FAMILIES[family])
            self._reactor.callFromThread(self._tell, heard, answer)

    def _answer(self, name: str, family: int) -> Answer[str]:
        try:
            return Answer(tuple(self._lookUp(name, family)))
        except socket.gaierror as error:
            found = () if error.errno in _NOTHING else None
            return Answer(found, reason=_words(error))
        except Exception as error:
            # UnicodeError of a label that is too long, MemoryError, whatever: a name
            # without any answer would not be looked up again.
            return Answer(None, reason=_words(error))

    def _tell(
        self, heard: Callable[[Answer[str]], object], answer: Answer[str]
    ) -> None:
        if not self._closed:
            heard(answer)

    def _idle(self) -> None:
        """A thread has ended.  Something may have been asked since it looked."""
        self._threads -= 1
        if not self._queue.empty():
            self._begin()


def _inThread(function: Callable[[], object]) -> None:
    Thread(target=function, name="lbproxy lookup", daemon=True).start()


def _getaddrinfo(name: str, family: int) -> list[str]:
    found = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
    addresses = [str(address[0]) for *_, address in found]
    if (
        # glibc says so of a host for which the hosts file has ::1 alone, too.
        family == socket.AF_INET
        and addresses == ["127.0.0.1"]
        and HostsFile().addresses(name).keys() == {Family.IPV6}
    ):
        raise socket.gaierror(socket.EAI_NONAME, "the hosts file has ::1 alone")
    return addresses


def _words(error: Exception) -> str:
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return words[:1].lower() + words[1:]
