"""What one connection with one request costs above the transports."""

from __future__ import annotations

import argparse
import gc
import resource
import statistics
import sys
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import lbproxy
from lbproxy import LoadBalancer

from .doubles import BareReactor, Nobody, journey, relayed

TARGET = 30.0
"""Microseconds of user time."""

TARGET_CALLS = 90
"""Calls of lbproxy's own functions."""

_HOUSE = str(Path(lbproxy.__file__).parent)

_GENERATED = "<attrs generated methods lbproxy"
"""Where attrs says that it wrote the methods of lbproxy's classes."""


def _user() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def _spent(reactor: BareReactor, count: int) -> float:
    """Microseconds of user time for each journey."""
    gc.collect()
    before = _user()
    for _ in range(count):
        journey(reactor)
    return (_user() - before) / count * 1e6


def _calls(reactor: BareReactor) -> tuple[Counter[str], int]:
    """
    What one journey calls.

    @return: lbproxy's own functions by name; and how many builtins these call.
    """
    own: Counter[str] = Counter()
    builtins = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal builtins
        code = frame.f_code
        place = code.co_filename
        if place.startswith((_HOUSE, _GENERATED)):
            if event == "call":
                module = place.removeprefix(_GENERATED).strip(">").split("/")[-1]
                own[f"{module.removesuffix('.py')}: {code.co_qualname}"] += 1
            elif event == "c_call":
                builtins += 1

    sys.setprofile(profile)
    try:
        journey(reactor)
    finally:
        sys.setprofile(None)
    return own, builtins


def _held(reactor: BareReactor, count: int) -> float:
    """Bytes for each of many relayed connections that do nothing."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [relayed(reactor) for _ in range(count)]
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return held / len(kept)


def _balanced() -> BareReactor:
    """A reactor with a balancer on it that has served some already."""
    reactor = BareReactor()
    balancer = LoadBalancer.fromEndpoints(reactor, ["tcp:8080"], ["tcp:10.0.0.1:80"])
    balancer.startService()
    # One that stays, as there always is one: the wheel does not run empty.
    relayed(reactor)
    return reactor


def _row(what: str, *columns: str) -> None:
    print(f"{what:44}" + "".join(f"{each:>10}" for each in columns))


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench core")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--idle", type=int, default=3000)
    parser.add_argument("--calls", action="store_true", help="list what is called")
    options = parser.parse_args(arguments)
    ours, nobodys = _balanced(), BareReactor()
    nobodys.server = Nobody(nobodys)
    for each in (ours, nobodys):
        _spent(each, 500)
    own, builtins = _calls(ours)
    times: list[tuple[float, float]] = [
        (_spent(ours, options.connections), _spent(nobodys, options.connections))
        for _ in range(options.rounds)
    ]
    with_, without = zip(*times, strict=True)
    best = min(with_) - min(without)
    median = statistics.median(a - b for a, b in times)
    memory = _held(ours, options.idle) - _held(nobodys, options.idle)
    _row("one connection with one request", "best", "median", "target")
    _row("user time, us", f"{best:.1f}", f"{median:.1f}", f"{TARGET:.0f}")
    _row("  before the doubles' own was subtracted", f"{min(with_):.1f}")
    _row("  the doubles' own", f"{min(without):.1f}")
    _row("calls of lbproxy's functions", str(own.total()), "", str(TARGET_CALLS))
    _row("  builtins these call", str(builtins))
    _row("memory of an idle relayed one, bytes", f"{memory:.0f}")
    if options.calls:
        _list(own)
    return 0


def _list(own: Counter[str]) -> None:
    for name, number in sorted(own.items(), key=lambda each: (-each[1], each[0])):
        print(f"{number:5} {name}")
