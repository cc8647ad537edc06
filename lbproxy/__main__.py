"""
The command C{lbproxy}, which C{python -m lbproxy} runs too.

It is C{twistd lbproxy} in the foreground, without a pid file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from twisted.application import app
from twisted.application.service import ServiceMaker
from twisted.scripts import twistd

from .tap import Options

_NAME = "lbproxy"


class ConsoleOptions(Options):
    """The options of C{lbproxy}: those of C{twistd lbproxy}."""

    command = _NAME

    def getSynopsis(self) -> str:
        """The first line of the help, without C{twistd} and its options."""
        return f"Usage: {self.command} {self.synopsis}"


class ForegroundOptions(twistd.ServerOptions):  # type: ignore[name-defined,misc]
    """The options of a C{twistd} that runs only lbproxy, in the foreground."""

    def __init__(self) -> None:
        super().__init__()
        self.loadedPlugins = {_NAME: ServiceMaker(_NAME, "lbproxy.tap", "", _NAME)}

    @property
    def subCommands(self) -> Iterator[tuple[str, None, Callable[[], Options], str]]:
        """The only command: lbproxy."""
        yield _NAME, None, ConsoleOptions, ""

    def parseOptions(self, options: list[str] | None = None) -> None:
        """
        Parse the options of lbproxy.

        @param options: By default the arguments of the process.
        """
        own = sys.argv[1:] if options is None else options
        super().parseOptions(["--nodaemon", "--pidfile=", _NAME, *own])


def main() -> None:
    """Run lbproxy until a signal stops it."""
    app.run(twistd.runApp, ForegroundOptions)


if __name__ == "__main__":
    main()
