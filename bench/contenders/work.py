"""The kinds of work that the contenders do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

import attrs

from bench.idle import Keeper, opened

from .backend import BULK
from .loads import Load, ab, abTls, wrk, wrkRunning
from .processes import Broken, Cpu, Running
from .programs import Contender
from .tls import client

MEBIBYTE = 1024 * 1024

_FIRST = 100
"""
How many connections are opened before the memory is looked at; what the first ones need
once is none of the others' cost.
"""

_AROUND = 1
"""Seconds that bulk is moved before and after the messages beside it are measured."""

Figures = dict[str, float]
"""What was measured, by the names in L{bench.contenders.report.COLUMNS}."""

Measure = Callable[[Contender], Figures]
"""Measures a contender once. It raises L{Broken} if that does no work."""


@attrs.frozen
class Stage:
    """
    What all works need.

    @ivar directory: For files.
    @ivar backend: The backend.
    @ivar seconds: How long each measurement with wrk takes, and with ab over TLS.
    @ivar requests: How many requests ab makes for each without TLS.
    @ivar idle: How many idle connections are opened.
    """

    directory: Path
    backend: Running
    seconds: int
    requests: int
    idle: int


class Work(Protocol):
    """
    One kind of work.

    @ivar name: What the command line and the report call it.
    @ivar unit: What is counted, in the singular.
    @ivar compared: The figures whose sum is what a unit costs.
    @ivar program: The program that makes its load; C{""} if that is done here.
    @ivar tls: Whether clients speak TLS.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def compared(self) -> tuple[str, ...]: ...
    @property
    def program(self) -> str: ...
    @property
    def tls(self) -> bool: ...

    def prepared(self, stage: Stage) -> AbstractContextManager[Measure]:
        """What measures; whatever it starts has ended when the context is left."""


def _costs(spent: Cpu, units: float) -> Figures:
    each = spent.each(units)
    return {"user": each.user, "system": each.system}


@contextmanager
def _kept(stage: Stage, tls: bool = False) -> Iterator[Callable[[Contender], Running]]:
    """Starts a contender when it is first asked for, and ends them all at the end."""
    there: dict[str, Running] = {}
    with ExitStack() as stack:

        def running(contender: Contender) -> Running:
            if contender.name not in there:
                context = contender.running(stage.directory, stage.backend, tls)
                there[contender.name] = stack.enter_context(context)
            return there[contender.name]

        yield running


def throughput(load: Load, units: float, spent: Cpu | None) -> Figures:
    """
    The figures of a load.

    @param units: How much was done.
    @param spent: What it cost the contender, if it is one that costs something.
    @raise Broken: If not even one unit was done.
    """
    if units < 1:
        raise Broken(f"nothing was answered, {load.errors} errors")
    figures = {"rate": units / load.seconds, "errors": float(load.errors)}
    if spent is not None:
        figures |= _costs(spent, units)
    return figures


@attrs.frozen
class Throughput:
    """
    As much as wrk can, over some connections.

    @ivar path: What is asked for.
    @ivar close: Whether each request has a connection of its own, which resumes the TLS
        session of the one before it.
    @ivar bulk: C{"read"} or C{"written"} if bytes are counted instead of answers, few
        of which end within a run.
    """

    name: str
    path: str
    connections: int
    close: bool = False
    bulk: str = ""
    tls: bool = False
    compared: tuple[str, ...] = ("user", "system")
    program: str = "wrk"

    @property
    def unit(self) -> str:
        """What is counted."""
        return "MiB" if self.bulk else "request"

    @contextmanager
    def prepared(self, stage: Stage) -> Iterator[Measure]:
        """Start each contender once, and measure it again and again."""
        with _kept(stage, self.tls) as kept:

            def measure(contender: Contender) -> Figures:
                running = kept(contender)
                before = running.cpu()
                load = wrk(
                    running.port,
                    self.path,
                    self.connections,
                    stage.seconds,
                    close=self.close,
                    upload=BULK if self.bulk == "written" else 0,
                    tls=self.tls,
                )
                spent = running.cpu().since(before) if running.process else None
                if self.bulk:
                    moved: int = getattr(load, self.bulk)
                    return throughput(load, moved / MEBIBYTE, spent)
                figures = throughput(load, load.requests, spent)
                return figures | {"p50": load.p50, "p99": load.p99}

            yield measure


@attrs.frozen
class Beside:
    """
    Messages of one connection, alone and beside others that move bulk.

    @ivar bulk: How many others.
    """

    name: str = "beside-bulk"
    unit: str = "message"
    bulk: int = 16
    compared: tuple[str, ...] = ()
    program: str = "wrk"
    tls: bool = False

    @contextmanager
    def prepared(self, stage: Stage) -> Iterator[Measure]:
        """Start each contender once, and measure it again and again."""
        with _kept(stage) as kept:

            def measure(contender: Contender) -> Figures:
                port = kept(contender).port
                alone = wrk(port, "/small", 1, stage.seconds)
                # It begins earlier, and goes on longer.
                around = stage.seconds + 2 * _AROUND
                with wrkRunning(port, "/bulk", self.bulk, around) as ended:
                    time.sleep(_AROUND)
                    load = wrk(port, "/small", 1, stage.seconds)
                    others = ended()
                figures = throughput(load, load.requests, None)
                return figures | {
                    "bulk": others.read / MEBIBYTE / others.seconds,
                    "alone": alone.p99,
                    "p50": load.p50,
                    "p99": load.p99,
                }

            yield measure


@attrs.frozen
class Latency:
    """What a request and its connection take, a hundred at a time, as ab has them."""

    name: str = "latency"
    unit: str = "request"
    connections: int = 100
    compared: tuple[str, ...] = ("user", "system")
    program: str = "ab"
    tls: bool = False

    @contextmanager
    def prepared(self, stage: Stage) -> Iterator[Measure]:
        """Start each contender once, and measure it again and again."""
        with _kept(stage) as kept:

            def measure(contender: Contender) -> Figures:
                running = kept(contender)
                before, memory = running.cpu(), running.memory()
                port, directory = running.port, stage.directory
                load = ab(port, "/small", self.connections, stage.requests, directory)
                spent = running.cpu().since(before) if running.process else None
                figures = throughput(load, load.requests, spent)
                figures |= {"p50": load.p50, "p99": load.p99}
                if running.process:
                    figures["before"] = memory / MEBIBYTE
                    figures["after"] = running.memory() / MEBIBYTE
                assert load.mean is not None
                return figures | {"mean": load.mean}

            yield measure


@attrs.frozen
class Handshakes:
    """A connection with a full TLS handshake for each request, as ab has them."""

    name: str = "tls-handshake"
    unit: str = "request"
    connections: int = 64
    compared: tuple[str, ...] = ("user", "system")
    program: str = "ab"
    tls: bool = True

    @contextmanager
    def prepared(self, stage: Stage) -> Iterator[Measure]:
        """Start each contender once, and measure it again and again."""
        with _kept(stage, self.tls) as kept:

            def measure(contender: Contender) -> Figures:
                running = kept(contender)
                before = running.cpu()
                load = abTls(
                    running.port,
                    "/small",
                    self.connections,
                    stage.seconds,
                    stage.directory,
                )
                figures = throughput(load, load.requests, running.cpu().since(before))
                return figures | {"p50": load.p50, "p99": load.p99}

            yield measure


@attrs.frozen
class Idle:
    """The memory of relayed connections that say nothing."""

    name: str = "idle-memory"
    tls: bool = False
    unit: str = "connection"
    compared: tuple[str, ...] = ("memory",)
    program: str = ""

    @contextmanager
    def prepared(self, stage: Stage) -> Iterator[Measure]:
        """Start each contender anew for each measurement."""
        tls = client() if self.tls else None

        def measure(contender: Contender) -> Figures:
            with closing(Keeper()) as keeper, ExitStack() as stack:
                behind = Running(keeper.port)
                context = contender.running(stage.directory, behind, self.tls)
                running = stack.enter_context(context)
                try:
                    stack.enter_context(opened(keeper, running.port, _FIRST, tls))
                    before = running.memory()
                    more = opened(keeper, running.port, stage.idle, tls)
                    stack.enter_context(more)
                except OSError as error:
                    raise Broken(f"{contender.name}: {error}") from None
                return {"memory": (running.memory() - before) / stage.idle}

        yield measure


WORKS: tuple[Work, ...] = (
    Throughput("keepalive-64B", "/small", 64),
    Throughput("keepalive-16KiB", "/middle", 64),
    Throughput("download-64MiB", "/bulk", 4, bulk="read"),
    Throughput("upload-64MiB", "/upload", 4, bulk="written"),
    Throughput("connection-a-request", "/small", 64, close=True),
    Beside(),
    Idle(),
    Latency(),
    Throughput("tls-keepalive-64B", "/small", 64, tls=True),
    Throughput("tls-keepalive-16KiB", "/middle", 64, tls=True),
    Throughput("tls-download-64MiB", "/bulk", 4, bulk="read", tls=True),
    Throughput("tls-upload-64MiB", "/upload", 4, bulk="written", tls=True),
    Throughput("tls-resumed", "/small", 64, close=True, tls=True),
    Handshakes(),
    Idle("tls-idle-memory", tls=True),
)
"""All kinds of work, in the order of the report."""
