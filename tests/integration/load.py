"""Clients that send requests the whole time, while a test does something."""

from __future__ import annotations

from threading import Event, Thread

from .daemon import Daemon
from .peers import readAll


def get(daemon: Daemon, listener: int = 0) -> bytes:
    """One request; all of its answer, which is empty if there was none."""
    with daemon.connect(listener) as connected:
        connected.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return readAll(connected)


class Load:
    """
    Some clients, each of which sends one request after the other in a block.

    @ivar answers: What came, in order.
    @ivar failures: What clients ran into.
    """

    def __init__(
        self,
        daemon: Daemon,
        clients: int = 4,
        pause: float = 0.005,
        listener: int = 0,
    ) -> None:
        """
        @param pause: Seconds between two requests of a client, which leave the
            processor to what is tested.
        """
        self.answers: list[bytes] = []
        self.failures: list[BaseException] = []
        self._daemon = daemon
        self._pause = pause
        self._listener = listener
        self._stop = Event()
        self._clients = [Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for each in self._clients:
            each.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        for each in self._clients:
            each.join()

    def _ask(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self.answers.append(get(self._daemon, self._listener))
            except BaseException as error:
                self.failures.append(error)
