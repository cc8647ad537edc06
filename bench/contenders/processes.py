"""Programs that listen: started, waited for, accounted for, and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import attrs
import psutil

HOST = "127.0.0.1"

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that stop the bench."""

_STARTING = 15.0
"""Seconds after which a program that does not listen will not."""

_ENDING = 3.0
"""Seconds that a program has to end after SIGTERM."""


class Broken(Exception):
    """A program did not start or do its work; the message says which and why."""


@attrs.frozen
class Cpu:
    """
    CPU time.

    @ivar user: Seconds in the program itself.
    @ivar system: Seconds in the kernel on its behalf.
    """

    user: float
    system: float

    def since(self, before: Cpu) -> Cpu:
        """What was spent since then."""
        return Cpu(self.user - before.user, self.system - before.system)

    def each(self, units: float) -> Cpu:
        """Microseconds for each unit of work."""
        return Cpu(self.user / units * 1e6, self.system / units * 1e6)


def cpuOfStat(stat: str, ticks: int) -> Cpu:
    """
    The CPU time that C{/proc/PID/stat} tells of.

    @param stat: Its text. The program's name is in brackets and may have blanks and
        brackets of its own.
    @param ticks: How many of its units are a second.
    """
    # utime and stime are the 14th and 15th field, see proc(5); the first two are
    # before the last bracket.
    fields = stat.rpartition(")")[2].split()
    return Cpu(int(fields[11]) / ticks, int(fields[12]) / ticks)


def freePort() -> int:
    """A TCP port of the loopback interface that nothing listens on."""
    with socket.create_server((HOST, 0)) as listening:
        return int(listening.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something accepts connections there."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


@attrs.frozen
class Running:
    """
    A program that listens.

    @ivar port: Where, on the loopback interface.
    @ivar process: Its first process; L{None} if it is not asked what it costs.
    """

    port: int
    process: psutil.Process | None = None

    def _sum(self, figure: Callable[[psutil.Process], float]) -> float:
        """
        A figure of its process and its children, in all.

        @raise Broken: If one of them has ended.
        """
        if self.process is None:
            return 0.0
        try:
            family = [self.process, *self.process.children(recursive=True)]
            return sum(map(figure, family))
        except (psutil.Error, OSError):
            raise Broken("it has ended") from None

    def cpu(self) -> Cpu:
        """
        What its process and its children have spent so far.

        @raise Broken: If one of them has ended.
        """
        ticks = os.sysconf("SC_CLK_TCK")

        def spent(process: psutil.Process) -> Cpu:
            return cpuOfStat(Path(f"/proc/{process.pid}/stat").read_text(), ticks)

        user = self._sum(lambda each: spent(each).user)
        return Cpu(user, self._sum(lambda each: spent(each).system))

    def memory(self) -> int:
        """
        Bytes that are resident, of its process and its children.

        @raise Broken: If one of them has ended.
        """
        return int(self._sum(lambda each: float(each.memory_info().rss)))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """
    Put off the signals that stop the bench: what is raised while C{Popen} starts a
    program leaves it running, and nobody knows it.
    """
    come: list[int] = []
    before = {
        each: signal.signal(each, lambda number, _: come.append(number))
        for each in STOPPING
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler or signal.SIG_DFL)
        for number in come:
            signal.raise_signal(number)


@contextmanager
def launched(
    command: Sequence[str], output: IO[bytes], errors: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """
    Start a program, and end it and its children afterwards, whatever happens meanwhile.

    @param output: Where it prints.
    @param errors: Where it prints errors.
    """
    with ExitStack() as stack:
        with _undisturbed():
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
            )
            stack.callback(_end, process)
        yield process


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children, which may not end with it."""
    if process.poll() is not None:
        return
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(process.pid)
        family = [first, *first.children(recursive=True)]
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_ENDING)
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


def _lastLine(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((each.strip() for each in reversed(lines) if each.strip()), "no output")


@contextmanager
def started(
    name: str, command: Sequence[str], port: int, log: Path
) -> Iterator[Running]:
    """
    Start a program, wait until it listens, and end it and its children afterwards.

    @param log: The file that what it prints goes to.
    @raise Broken: If it does not listen.
    """
    with log.open("wb") as output, launched(command, output, output) as process:
        late = time.monotonic() + _STARTING
        while not answers(port):
            if process.poll() is not None or time.monotonic() > late:
                raise Broken(f"{name}: does not listen: {_lastLine(log)}")
            time.sleep(0.02)
        yield Running(port, psutil.Process(process.pid))
