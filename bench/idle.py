"""
What an idle connection costs a running balancer, and one whose client takes nothing:
memory and descriptors.
"""

from __future__ import annotations

import argparse
import re
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import psutil

_PATIENCE = 60.0
"""Seconds after which what is waited for will not come."""

_STALLED = 50
"""How many of the connections get an answer that their clients do not read."""

_SPARE = 100
"""Descriptors that are not for connections."""


_CHUNK = bytes(65536)


class Keeper:
    """
    A server on the loopback interface that accepts clients and keeps them.

    @ivar kept: The accepted connections.
    """

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._listening.getsockname()[1]
        self.kept: list[socket.socket] = []
        self._accepting = Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        # It fails once nothing is listened for any more.
        with suppress(OSError):
            while True:
                self.kept.append(self._listening.accept()[0])

    def close(self) -> None:
        """Stop listening, and close the connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        for each in (self._listening, *self.kept):
            each.close()

    def send(self, first: int) -> bool:
        """
        Send to the connections from the C{first} on what their peers take at once.

        @return: Whether none of them took anything.
        """
        sent = 0
        for each in self.kept[first:]:
            each.setblocking(False)
            with suppress(BlockingIOError):
                sent += each.send(_CHUNK)
        return not sent


def _until(question: Callable[[], object]) -> None:
    never = Event()
    for _ in range(int(_PATIENCE / 0.02)):
        if question():
            return
        never.wait(0.02)
    raise TimeoutError("the balancer does not get there")


@contextmanager
def opened(
    keeper: Keeper, port: int, count: int, tls: ssl.SSLContext | None = None
) -> Iterator[None]:
    """
    Open so many connections through a balancer, and close them afterwards.

    @param keeper: The balancer's backend, which has accepted all of them by then.
    @param port: The balancer's.
    @param tls: With what they speak TLS; L{None} if they do not.
    @raise OSError: If they do not arrive there.
    """
    expected = len(keeper.kept) + count
    with ExitStack() as stack:
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), _PATIENCE)
            # It takes the socket with it, which is closed if the handshake fails.
            stack.enter_context(tls.wrap_socket(client) if tls else client)
        _until(lambda: len(keeper.kept) >= expected)
        yield


def measure(connections: int, directory: Path) -> None:
    """
    Start a balancer, open so many connections through it, and print what it has
    more than before.
    """
    keeper = Keeper()
    log = directory / "log"
    command = [
        *(sys.executable, "-m", "lbproxy", "--listen", "tcp:0:interface=127.0.0.1"),
        *("--backend", f"tcp:127.0.0.1:{keeper.port}"),
    ]

    def listening() -> re.Match[str] | None:
        return re.search(r" listens on 127\.0\.0\.1:(\d+)", log.read_text())

    with ExitStack() as stack:
        output = stack.enter_context(log.open("w"))
        process = subprocess.Popen(command, stdout=output, stderr=output)
        stack.callback(process.wait)
        stack.callback(process.kill)  # Its connections would be drained first.
        _until(listening)
        found = listening()
        assert found is not None
        balancer = psutil.Process(process.pid)

        def more(count: int) -> tuple[int, int]:
            """Open some more; the memory and the descriptors there are then."""
            stack.enter_context(opened(keeper, int(found[1]), count))
            return balancer.memory_info().rss, balancer.num_fds()

        start = balancer.memory_info().rss
        # What the first connections need once is none of the others' cost.
        memory, descriptors = more(100)
        after = more(connections)
        # The clients read nothing, so their backends can soon send no more.
        first = len(keeper.kept) - _STALLED
        _until(lambda: keeper.send(first))
        stalled = balancer.memory_info().rss
    print(f"the process without connections, MB      {start / 1e6:10.1f}")
    print(
        f"an idle connection, kB                   "
        f"{(after[0] - memory) / connections / 1e3:10.1f}"
    )
    print(
        f"its descriptors                          "
        f"{(after[1] - descriptors) / connections:10.1f}"
    )
    print(
        f"more for a client that takes nothing, kB "
        f"{(stalled - after[0]) / _STALLED / 1e3:10.1f}"
    )


def allowDescriptors(needed: int) -> bool:
    """
    Let this process and those it starts have so many descriptors, or say why not.

    @return: Whether they may.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < needed:
        print(f"it needs {needed} descriptors, and may have {hard}", file=sys.stderr)
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return True


def main(arguments: Sequence[str]) -> int:
    """
    Run the bench.

    @return: The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m bench idle", description=__doc__)
    parser.add_argument("--connections", type=int, default=5000)
    connections = parser.parse_args(arguments).connections
    if not allowDescriptors(2 * (connections + 100) + _SPARE):
        return 1
    with TemporaryDirectory() as directory:
        try:
            measure(connections, Path(directory))
        except TimeoutError as error:
            print(error, file=sys.stderr)
            return 1
    return 0
