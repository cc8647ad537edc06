"""Signals, as the process of C{twistd lbproxy} takes them."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator

import pytest

from lbproxy.signals import Signals

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
OTHERS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Process:
    """What is left of a reactor for signals; its handlers are as Twisted's."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []
        self.stoppedBy: list[int] = []
        self.running = False
        self._whenRunning: list[tuple] = []

    def callFromThread(self, call: Callable[[], object]) -> None:
        self.waiting.append(call)

    def callWhenRunning(self, call: Callable[..., object], *arguments: object) -> None:
        if self.running:
            call(*arguments)
        else:
            self._whenRunning.append((call, *arguments))

    def sigTerm(self, number: int, frame: object) -> None:
        self.stoppedBy.append(number)

    def run(self) -> None:
        self.running = True
        signal.signal(signal.SIGTERM, self.sigTerm)
        signal.signal(signal.SIGINT, self.sigTerm)
        for call, *arguments in self._whenRunning:
            call(*arguments)

    def turn(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


@pytest.fixture
def process() -> Iterator[Process]:
    """A process whose signals are put back when the test is over."""
    before = {number: signal.getsignal(number) for number in (*STOPPING, *OTHERS)}
    cores = resource.getrlimit(resource.RLIMIT_CORE)
    yield Process()
    resource.setrlimit(resource.RLIMIT_CORE, cores)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", OTHERS)
def test_oneLine(process: Process, logged, number: signal.Signals) -> None:
    """Each is answered by one line that names it, in the reactor's own turn."""
    Signals(process, list).take()
    signal.raise_signal(number)
    assert not logged
    process.turn()
    (event,) = logged
    assert number.name in event["log_format"]
    assert not process.stoppedBy


def test_reopen(process: Process) -> None:
    """SIGUSR1, and it alone, has the logs reopened."""
    reopened: list[str] = []
    Signals(process, lambda: reopened.append("so")).take()
    for number in OTHERS:
        signal.raise_signal(number)
    process.turn()
    assert reopened == ["so"]


@pytest.mark.parametrize("number", STOPPING)
def test_stopOnce(process: Process, number: signal.Signals) -> None:
    """The first signal to stop is the one that counts."""
    Signals(process, list).take()
    process.run()
    signal.raise_signal(number)
    for again in STOPPING:
        signal.raise_signal(again)
    assert process.stoppedBy == [number]


def test_quitBeforeItRuns(process: Process) -> None:
    """A SIGQUIT that comes while it starts stops it when it has started."""
    Signals(process, list).take()
    signal.raise_signal(signal.SIGQUIT)
    assert not process.stoppedBy
    process.run()
    assert process.stoppedBy == [signal.SIGQUIT]
