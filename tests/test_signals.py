"""Signals, as the process of C{twistd lbproxy} takes them."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator

import pytest
from twisted.internet.defer import Deferred

from lbproxy.signals import Signals

DRAINING = (signal.SIGTERM, signal.SIGINT)
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
OTHERS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Process:
    """What is left of a reactor for signals; its handlers are as Twisted's."""

    def __init__(self) -> None:
        self.waiting: list[tuple] = []
        self.stoppedBy: list[int] = []
        self.stops = 0
        self.drains: list[Deferred[None]] = []
        self.running = False
        self._whenRunning: list[tuple] = []

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        self.waiting.append((call, *arguments))

    def callWhenRunning(self, call: Callable[..., object], *arguments: object) -> None:
        if self.running:
            call(*arguments)
        else:
            self._whenRunning.append((call, *arguments))

    def sigTerm(self, number: int, frame: object) -> None:
        self.stoppedBy.append(number)

    sigInt = sigTerm

    def stop(self) -> None:
        self.stops += 1

    def drain(self) -> Deferred[None]:
        self.drains.append(Deferred())
        return self.drains[-1]

    def run(self, between: Callable[[], object] = list) -> None:
        """
        Begin to run.

        @param between: Called when the reactor has set its own handlers.
        """
        self.running = True
        if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
            signal.signal(signal.SIGINT, self.sigInt)
        signal.signal(signal.SIGTERM, self.sigTerm)
        between()
        for call, *arguments in self._whenRunning:
            call(*arguments)

    def turn(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call, *arguments in waiting:
            call(*arguments)


@pytest.fixture
def process() -> Iterator[Process]:
    """A process whose signals are put back when the test is over."""
    before = {number: signal.getsignal(number) for number in (*STOPPING, *OTHERS)}
    cores = resource.getrlimit(resource.RLIMIT_CORE)
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield Process()
    signal.pthread_sigmask(signal.SIG_SETMASK, held)
    resource.setrlimit(resource.RLIMIT_CORE, cores)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", OTHERS)
def test_oneLine(process: Process, logged, number: signal.Signals) -> None:
    """Each is answered by one line that names it, in the reactor's own turn."""
    Signals(process, process.drain, list, list).take()
    signal.raise_signal(number)
    assert not logged
    process.turn()
    (event,) = logged
    assert number.name in event["log_format"]
    assert not process.stoppedBy


def test_reopen(process: Process) -> None:
    """SIGUSR1, and it alone, has the logs reopened."""
    reopened: list[str] = []
    Signals(process, process.drain, list, lambda: reopened.append("so")).take()
    for number in OTHERS:
        signal.raise_signal(number)
    process.turn()
    assert reopened == ["so"]


@pytest.mark.parametrize("number", DRAINING)
def test_drain(process: Process, logged, number: signal.Signals) -> None:
    """The first one drains, and stops the reactor then, without a signal's status."""
    Signals(process, process.drain, list, list).take()
    process.run()
    signal.raise_signal(number)
    assert not process.drains
    process.turn()
    (event,) = logged
    assert event["name"] == number.name
    (drained,) = process.drains
    stops = [process.stops]
    drained.callback(None)
    assert [*stops, process.stops] == [0, 1]
    assert not process.stoppedBy


@pytest.mark.parametrize("first", DRAINING)
@pytest.mark.parametrize("second", STOPPING)
def test_second(
    process: Process, first: signal.Signals, second: signal.Signals
) -> None:
    """A second one stops the reactor at once, and further ones do nothing."""
    Signals(process, process.drain, list, list).take()
    process.run()
    signal.raise_signal(first)
    process.turn()
    signal.raise_signal(second)
    for again in STOPPING:
        signal.raise_signal(again)
    process.drains[0].callback(None)
    assert process.stoppedBy == [second]
    assert not process.stops


def test_secondInTheSameTurn(process: Process) -> None:
    """Two that come together stop at once; nothing begins to drain."""
    Signals(process, process.drain, list, list).take()
    process.run()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    process.turn()
    assert process.stoppedBy == [signal.SIGINT]
    assert not process.drains


def test_quit(process: Process) -> None:
    """SIGQUIT drains nothing."""
    Signals(process, process.drain, list, list).take()
    process.run()
    for again in (signal.SIGQUIT, *STOPPING):
        signal.raise_signal(again)
    process.turn()
    assert process.stoppedBy == [signal.SIGQUIT]
    assert not process.drains


@pytest.mark.parametrize("number", STOPPING)
def test_stoppedOtherwise(process: Process, number: signal.Signals) -> None:
    """When something else stops the reactor, signals to stop do nothing."""
    signals = Signals(process, process.drain, list, list)
    signals.take()
    process.run()
    signal.raise_signal(signal.SIGTERM)
    process.turn()
    signals.leave()
    signal.raise_signal(number)
    process.drains[0].callback(None)
    assert not process.stoppedBy
    assert not process.stops


@pytest.mark.parametrize("number", DRAINING)
def test_drainBeforeItRuns(process: Process, number: signal.Signals) -> None:
    """One that comes while it starts drains when it has started."""
    Signals(process, process.drain, list, list).take()
    signal.raise_signal(number)
    process.run()
    process.turn()
    assert len(process.drains) == 1
    assert not process.stoppedBy


@pytest.mark.parametrize("number", DRAINING)
def test_drainWhileItBeginsToRun(process: Process, number: signal.Signals) -> None:
    """One that comes when the reactor has set its own handlers drains all the same."""
    Signals(process, process.drain, list, list).take()
    # To this thread: the others of a process that runs tests block no signals.
    process.run(lambda: signal.raise_signal(number))
    process.turn()
    assert len(process.drains) == 1
    assert not process.stoppedBy


def test_startFails(process: Process) -> None:
    """When it will not run, a signal to stop does what it always does."""
    signals = Signals(process, process.drain, list, list)
    signals.take()
    signal.raise_signal(signal.SIGTERM)
    assert not process.waiting
    signals.release()
    assert len(process.waiting) == 1


def test_quitBeforeItRuns(process: Process) -> None:
    """A SIGQUIT that comes while it starts stops it when it has started."""
    Signals(process, process.drain, list, list).take()
    signal.raise_signal(signal.SIGQUIT)
    assert not process.stoppedBy
    process.run()
    assert process.stoppedBy == [signal.SIGQUIT]


def test_ignored(process: Process) -> None:
    """An interrupt that whoever started it has ignored stays ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Signals(process, process.drain, list, list).take()
    signal.raise_signal(signal.SIGINT)
    process.turn()
    assert not process.drains
