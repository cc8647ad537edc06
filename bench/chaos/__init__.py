"""
Random peers and plugins against a whole balancer, and the accounts afterwards.

Nothing of Twisted's reactor is imported here before C{main} has installed the
one that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """
    Run the command.

    @return: 0 if nothing was found, 1 if something was, 2 for a wrong argument.
    """
    from .command import run

    return run(arguments)
