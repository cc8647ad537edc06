"""The command line of C{python -m bench contenders}."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from bench.idle import allowDescriptors

from .backend import backend
from .chart import chart
from .configs import CONNECTIONS
from .measure import Sample, measured
from .processes import STOPPING, Broken
from .programs import COMPACT, DIRECT, Contender, installed
from .report import Results, asJson, text
from .work import WORKS, Idle, Latency, Stage, Throughput, Work

_DESCRIPTORS = 3 * CONNECTIONS
"""What this process and each contender may need: HAProxy has pipes beside sockets."""


def number(said: str, most: int = 10_000_000) -> int:
    """
    A whole number above 0.

    @raise argparse.ArgumentTypeError: If it is none, or too large.
    """
    if not said.isdecimal() or not 0 < int(said) <= most:
        raise argparse.ArgumentTypeError(f"{said}: expected 1 to {most}")
    return int(said)


def _idle(said: str) -> int:
    # Half of what the contenders can hold is left to the first ones and to chance.
    return number(said, CONNECTIONS // 2)


def parser() -> argparse.ArgumentParser:
    """What the command line may say."""
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure lbproxy beside the other balancers that are installed.",
    )
    works = [each.name for each in WORKS]
    made.add_argument(
        "--only",
        action="append",
        choices=works,
        metavar="WORK",
        help=f"only this kind of work; may be repeated: {', '.join(works)}",
    )
    made.add_argument(
        "--contender",
        action="append",
        metavar="NAME",
        help="only this one, or those of a pattern such as 'haproxy*'; may be repeated",
    )
    made.add_argument("--rounds", type=number, default=5)
    made.add_argument(
        "--seconds",
        type=number,
        default=5,
        help="of each measurement with wrk, and with ab over TLS",
    )
    made.add_argument(
        "--requests",
        type=number,
        default=20_000,
        help="of each measurement with ab without TLS",
    )
    made.add_argument(
        "--idle", type=_idle, default=2000, help="idle connections for their memory"
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    made.add_argument("--plot", type=Path, metavar="FILE", help="a drawing, as SVG")
    return made


def chosen(there: Sequence[Contender], names: Sequence[str] | None) -> list[Contender]:
    """
    The contenders that were asked for.

    @param names: Their names, or patterns for them; L{None} for all.
    @raise Broken: If there is none of some name.
    """
    if names is None:
        return list(there)
    for name in names:
        if not any(fnmatchcase(each.name, name) for each in there):
            known = ", ".join(each.name for each in there)
            raise Broken(f"--contender: {name}: expected one of {known}")
    return [
        each for each in there if any(fnmatchcase(each.name, name) for name in names)
    ]


def possible(
    works: Sequence[Work],
    names: Sequence[str] | None,
    which: Callable[[str], str | None],
) -> tuple[list[Work], dict[str, str]]:
    """
    The kinds of work that were asked for and can be done.

    @param names: Their names; L{None} for all.
    @param which: Finds a program.
    @return: Them, and why each of the others that were asked for is left out.
    @raise Broken: If there is none.
    """
    asked = [each for each in works if names is None or each.name in names]
    out = {
        each.name: f"{each.program} is not installed"
        for each in asked
        if each.program and which(each.program) is None
    }
    if len(out) == len(asked):
        raise Broken("; ".join(f"{name}: {why}" for name, why in out.items()))
    return [each for each in asked if each.name not in out], out


def taking(
    work: Work, there: Sequence[Contender], part: Sequence[Contender]
) -> list[Contender]:
    """
    Who takes part in one kind of work.

    @param there: All that are installed.
    @param part: Those that were asked for.
    """
    return [
        each
        for each in there
        # The latency without a balancer tells what a balancer adds. Without one no
        # memory is a balancer's.
        if (each in part or (isinstance(work, Latency) and each.name == DIRECT))
        and not (isinstance(work, Idle) and each.name == DIRECT)
        # It has nothing for bulk.
        and not (isinstance(work, Throughput) and work.bulk and each.name == COMPACT)
        and (each.secure is not None or not work.tls)
    ]


def shared(
    works: Sequence[Work], there: Sequence[Contender], part: Sequence[Contender]
) -> tuple[dict[str, list[Contender]], dict[str, str]]:
    """
    Who takes part in each kind of work, by its name.

    @param there: All that are installed.
    @param part: Those that were asked for.
    @return: Them, and why each kind of work that nobody does is left out.
    @raise Broken: If nobody does any.
    """
    whole = {each.name: taking(each, there, part) for each in works}
    taken = {name: who for name, who in whole.items() if who}
    why = "none of the contenders can do it"
    out = {name: why for name in whole if name not in taken}
    if not taken:
        raise Broken("; ".join(f"{name}: {why}" for name, why in out.items()))
    return taken, out


def _tell(skipped: Mapping[str, str]) -> None:
    for name, why in skipped.items():
        print(f"without {name}: {why}", file=sys.stderr)


def _measureAll(
    works: Sequence[Work],
    contenders: Mapping[str, Sequence[Contender]],
    rounds: int,
    stage: Stage,
) -> tuple[list[Sample], list[str]]:
    """
    Measure all kinds of work, and show how far that is.

    @param contenders: Who takes part, by the work's name.
    """
    samples: list[Sample] = []
    failures: list[str] = []
    total = rounds * sum(map(len, contenders.values()))
    # Nothing is shown where there is no terminal.
    with tqdm(total=total, unit="run", disable=None) as progress:

        @contextmanager
        def step(work: str, at: int, contender: str) -> Iterator[None]:
            progress.set_description(f"{work}, round {at} of {rounds}, {contender}")
            try:
                yield
            finally:
                progress.update()

        for work in works:
            more = measured(work, contenders[work.name], rounds, stage, step)
            samples += more[0]
            failures += more[1]
    return samples, failures


def _results(options: argparse.Namespace, directory: Path) -> Results:
    """
    Do what the command line asks for.

    @raise Broken: If nothing can be measured.
    """
    works, undone = possible(WORKS, options.only, shutil.which)
    there, skipped = installed(directory)
    skipped |= undone
    _tell(skipped)
    contenders, undone = shared(works, there, chosen(there, options.contender))
    _tell(undone)
    skipped |= undone
    works = [each for each in works if each.name in contenders]
    with backend(directory) as behind:
        stage = Stage(
            directory, behind, options.seconds, options.requests, options.idle
        )
        samples, failures = _measureAll(works, contenders, options.rounds, stage)
    took = {each.name for part in contenders.values() for each in part}
    names = ("rounds", "seconds", "requests", "idle")
    return Results(
        works,
        [each for each in there if each.name in took],
        {name: getattr(options, name) for name in names},
        samples,
        skipped,
        failures,
    )


def run(arguments: Sequence[str]) -> int:
    """
    Measure, and report.

    @return: The exit status: 0 if all was measured, 1 if something came to nothing.
    @raise SystemExit: With 128 and the signal's number, if a signal stops it.
    """
    options = parser().parse_args(arguments)
    # What was started is ended then as well, also when the terminal goes away.
    for each in STOPPING:
        signal.signal(each, lambda number, _: sys.exit(128 + number))
    if not allowDescriptors(_DESCRIPTORS):
        return 1
    with TemporaryDirectory(prefix="bench") as place:
        try:
            results = _results(options, Path(place))
        except Broken as broken:
            print(broken, file=sys.stderr)
            return 1
    print(text(results))
    if options.json:
        options.json.write_text(asJson(results))
    if options.plot:
        options.plot.write_text(chart(results))
    return 1 if results.failures else 0
