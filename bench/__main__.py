"""
C{python -m bench NAME}: run one of the benches; README.rst says what each is. Without a
name that is C{contenders}.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

NAMES = ("contenders", "core", "idle", "chaos", "pickers")


def main(arguments: Sequence[str]) -> int:
    """
    Run what the first argument names, or C{contenders} if it is none or an option.

    @return: The exit status.
    """
    if not arguments or arguments[0].startswith("-"):
        arguments = ["contenders", *arguments]
    if arguments[0] not in NAMES:
        print(f"usage: python -m bench [{{{','.join(NAMES)}}}] ...", file=sys.stderr)
        return 2
    # A bench chooses its reactor before anything imports Twisted's.
    run: Callable[[Sequence[str]], int]
    run = import_module(f"bench.{arguments[0]}").main
    return run(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
