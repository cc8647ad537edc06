"""
A reactor by whose clock the time of day can be set: C{twistd --reactor=stepping}.

It adds to the time the number of seconds that stands in the file which STEP
names, if there is one.  As Twisted's reactors do, it sleeps and calls later by
that time.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.python.runtime import seconds


class SteppingReactor(EPollReactor):
    """Its wall clock is set by whoever writes the file."""

    _step = Path(os.environ.get("STEP", "/nonexistent"))

    def seconds(self) -> float:
        """The time of day, as it was set."""
        try:
            return seconds() + float(self._step.read_text() or "0")
        except FileNotFoundError:
            return seconds()


def install() -> None:
    """Let it be the reactor of the process."""
    installReactor(SteppingReactor())
