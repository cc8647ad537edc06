"""The command line of C{python -m bench chaos}."""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

REACTORS = {
    "epoll": "twisted.internet.epollreactor",
    "asyncio": "twisted.internet.asyncioreactor",
    "poll": "twisted.internet.pollreactor",
    "select": "twisted.internet.selectreactor",
}

_DROPIN = Path(__file__).parents[1] / "dropin"
"""Where Twisted finds our endpoint plugins."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench chaos")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument(
        "--round", type=int, default=None, help="only this round of the seed"
    )
    parser.add_argument("--reactor", choices=list(REACTORS), default="epoll")
    parser.add_argument(
        "--without", default="", help="what not to do; a comma between two: tls,restart"
    )
    parser.add_argument("--verbose", action="store_true", help="keep what is logged")
    return parser


def run(arguments: Sequence[str]) -> int:
    """
    Go through rounds until the time is over or one has found something.

    @return: The exit status.
    """
    options = _parser().parse_args(arguments)
    import_module(REACTORS[options.reactor]).install()
    import twisted.plugins

    twisted.plugins.__path__.append(str(_DROPIN))
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    from .rounds import Chaos

    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {options.seed}, {options.reactor}, pid {os.getpid()}", flush=True)
    chaos = Chaos(
        reactor,
        options.seed,
        until=time.monotonic() + options.seconds,
        only=options.round,
        without=frozenset(filter(None, options.without.split(","))),
        verbose=options.verbose,
    )

    def begin() -> None:
        going = Deferred.fromCoroutine(chaos.run())
        going.addErrback(chaos.broke)
        going.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    return chaos.report(
        f"python -m bench chaos --seed {options.seed} --reactor {options.reactor}"
    )
