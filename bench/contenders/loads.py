"""The programs that make the load, wrk and ab, and what they print."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import attrs

from .processes import HOST, Broken, launched

_SCRIPT = Path(__file__).with_name("report.lua")

_MOST = 50_000
"""Full handshakes that nothing makes in a second."""

_SPARE = 60.0
"""Seconds that a load may take longer than it was told to."""


@attrs.frozen
class Load:
    """
    What a program that makes load has measured.

    @ivar seconds: How long it took.
    @ivar requests: How many answers came whole.
    @ivar read: Bytes that came, those of unfinished answers included.
    @ivar written: Bytes that were sent, those of unfinished requests included.
    @ivar p50: The median of the latencies, in milliseconds.
    @ivar p99: The 99th percentile of them.
    @ivar errors: Connections and requests that failed.
    @ivar mean: The mean of the latencies, if the program tells it.
    """

    seconds: float
    requests: int
    read: int
    written: int
    p50: float
    p99: float
    errors: int
    mean: float | None = None


def wrkLoad(printed: str) -> Load:
    """
    What wrk has measured.

    @param printed: What it prints with C{report.lua}: the last line is JSON.
    @raise Broken: If it is not.
    """
    last = (printed.strip().splitlines() or [""])[-1]
    try:
        return Load(**json.loads(last))
    except (ValueError, TypeError):
        raise Broken(f"wrk: {last or 'printed nothing'}") from None


_AB = {
    "seconds": r"Time taken for tests: +([\d.]+) seconds",
    "requests": r"Complete requests: +(\d+)",
    "errors": r"Failed requests: +(\d+)",
    "read": r"Total transferred: +(\d+) bytes",
    "mean": r"Time per request: +([\d.]+) \[ms\] \(mean\)",
}


def abLoad(printed: str, percentiles: str) -> Load:
    """
    What ab has measured.

    @param printed: What it prints.
    @param percentiles: What it writes with C{-e}: lines of a percentage and the
        milliseconds in which so many were served.
    @raise Broken: If something is missing.
    """
    found: dict[str, float] = {}
    for name, pattern in _AB.items():
        match = re.search(pattern, printed)
        if match is None:
            raise Broken(f"ab: tells of no {name}")
        found[name] = float(match[1])
    served = {row[0]: row[1] for row in csv.reader(percentiles.splitlines()) if row}
    try:
        p50, p99 = float(served["50"]), float(served["99"])
    except (KeyError, ValueError):
        raise Broken("ab: tells of no percentiles") from None
    return Load(
        seconds=found["seconds"],
        requests=int(found["requests"]),
        read=int(found["read"]),
        written=0,
        p50=p50,
        p99=p99,
        errors=int(found["errors"]),
        mean=found["mean"],
    )


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


@contextmanager
def _running(
    name: str, arguments: Sequence[str], seconds: float
) -> Iterator[Callable[[], str]]:
    """
    Start a program.

    @param seconds: How long it should take.
    @return: What waits for its end, and returns what it has printed.  It raises
        L{Broken} if the program fails, or takes too long.
    @raise Broken: If it is not installed.
    """
    program = shutil.which(name)
    if program is None:
        raise Broken(f"{name}: not installed")
    with (
        TemporaryFile() as output,
        TemporaryFile() as errors,
        launched([program, *arguments], output, errors) as process,
    ):

        def ended() -> str:
            try:
                status = process.wait(seconds + _SPARE)
            except subprocess.TimeoutExpired:
                raise Broken(f"{name}: did not end") from None
            printed = _text(output)
            if status:
                said = (_text(errors).strip() or printed.strip()).splitlines()
                raise Broken(f"{name}: {said[-1] if said else status}")
            return printed

        yield ended


def _address(port: int, path: str, tls: bool) -> str:
    return f"{'https' if tls else 'http'}://{HOST}:{port}{path}"


@contextmanager
def wrkRunning(
    port: int,
    path: str,
    connections: int,
    seconds: int,
    *,
    close: bool = False,
    upload: int = 0,
    tls: bool = False,
) -> Iterator[Callable[[], Load]]:
    """
    Start wrk, which keeps a request under way on each connection to a port.

    @param close: Whether each request has a connection of its own.
    @param upload: How many bytes each request sends.
    @param tls: Whether it speaks TLS. A connection that replaces another one then
        resumes its session.
    @return: What waits for its end, and returns what it has measured.  It raises
        L{Broken} if wrk fails.
    @raise Broken: If wrk is not installed.
    """
    arguments = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    arguments += ["-s", str(_SCRIPT)]
    if close:
        arguments += ["-H", "Connection: close"]
    arguments.append(_address(port, path, tls))
    if upload:
        arguments += ["--", str(upload)]
    with _running("wrk", arguments, seconds) as ended:
        yield lambda: wrkLoad(ended())


def wrk(
    port: int,
    path: str,
    connections: int,
    seconds: int,
    *,
    close: bool = False,
    upload: int = 0,
    tls: bool = False,
) -> Load:
    """
    Load a port with wrk; for the parameters see L{wrkRunning}.

    @raise Broken: If wrk does not run.
    """
    with wrkRunning(
        port, path, connections, seconds, close=close, upload=upload, tls=tls
    ) as ended:
        return ended()


def ab(port: int, path: str, connections: int, requests: int, directory: Path) -> Load:
    """
    Load a port with ab, with a connection for each request.

    @param connections: How many there are at a time.
    @param directory: For a file.
    @raise Broken: If ab does not run.
    """
    # A thousand a second are few; at that rate it ends in time.
    return _ab(
        ["-n", str(requests), "-c", str(connections)],
        _address(port, path, False),
        directory,
        requests / 1000,
    )


def abTls(
    port: int, path: str, connections: int, seconds: int, directory: Path
) -> Load:
    """
    Load a port with ab, with a full TLS handshake for each request.

    @param connections: How many there are at a time.
    @param directory: For a file.
    @raise Broken: If ab does not run.
    """
    # A time implies a number, unless one is told after it.
    arguments = ["-t", str(seconds), "-n", str(_MOST * seconds), "-c", str(connections)]
    return _ab(arguments, _address(port, path, True), directory, seconds)


def _ab(
    arguments: Sequence[str], address: str, directory: Path, seconds: float
) -> Load:
    """
    Run ab.

    @param seconds: How long it should take.
    @raise Broken: If it does not run.
    """
    percentiles = directory / "percentiles.csv"
    command = ["-q", *arguments, "-e", str(percentiles), address]
    with _running("ab", command, seconds) as ended:
        return abLoad(ended(), percentiles.read_text())
