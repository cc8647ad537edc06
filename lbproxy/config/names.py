"""
Finds members whose host has no address, and makes warnings of them.

They are not errors: a resolver may be late, and a standby may have no address yet.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

from attrs import frozen
from twisted.internet.abstract import isIPAddress, isIPv6Address

from ..causes import cause
from ..words.place import Place
from .model import Configuration

_AT_ONCE = 8
"""The most lookups at a time: a file may name hundreds of hosts."""


@frozen
class NamedHost:
    """
    A member's host that is given by name, not by address.

    @ivar name: The host name.
    @ivar text: The description of the member.
    @ivar place: Where the description was written.
    """

    name: str
    text: str
    place: Place

    def warning(self, why: str) -> str:
        """
        The line that warns that the host has no address.

        @param why: The reason, in a few words.
        """
        said = f'the host "{self.name}" has no address: {why}'
        return str(self.place.refuse(self.text, said))


def namedHosts(configuration: Configuration) -> list[NamedHost]:
    """The members of a configuration whose hosts have to be looked up."""
    found = []
    for pool in configuration.pools:
        for at, backend in enumerate(pool.backends):
            host = backend.description.host
            if host and not isIPAddress(host) and not isIPv6Address(host):
                place = pool.place.key("backends").item(at)
                found.append(NamedHost(host, backend.connect, place))
    return found


def withoutAddress(
    hosts: Iterable[NamedHost],
    patience: float,
    lookUp: Callable[[str], object] = lambda name: socket.getaddrinfo(name, None),
) -> list[str]:
    """
    Look up hosts, and return a warning for each that has no address.

    The lookups run in daemon threads, so the process can end before they do.

    @param patience: Seconds for all of them together.
    @param lookUp: Raises L{OSError} for a name that has no address.
    @return: A warning for each host with no address, or with no answer in time.
    """
    hosts = list(hosts)
    asked: SimpleQueue[str] = SimpleQueue()
    answers: SimpleQueue[tuple[str, str]] = SimpleQueue()
    why = {host.name: f"no answer in {patience:g}s" for host in hosts}
    for name in why:
        asked.put(name)
    for _ in range(min(_AT_ONCE, len(why))):
        Thread(target=_answer, args=(asked, answers, lookUp), daemon=True).start()
    end = monotonic() + patience
    for _ in range(len(why)):
        try:
            name, said = answers.get(timeout=max(0.0, end - monotonic()))
        except Empty:
            break
        why[name] = said
    return [host.warning(why[host.name]) for host in hosts if why[host.name]]


def _answer(
    asked: SimpleQueue[str],
    answers: SimpleQueue[tuple[str, str]],
    lookUp: Callable[[str], object],
) -> None:
    """Look up the names in a queue.  An empty answer means that there is an address."""
    while True:
        try:
            name = asked.get_nowait()
        except Empty:
            return
        try:
            lookUp(name)
        except (OSError, UnicodeError) as error:
            answers.put((name, cause(error)))
        else:
            answers.put((name, ""))
