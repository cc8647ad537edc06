"""lbproxy beside other balancers: the same work, on the same machine, in turns."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """
    Run the command.

    @return: 0 if all was measured, 1 if something was not, 2 for a wrong argument.
    """
    from .command import run

    return run(arguments)
