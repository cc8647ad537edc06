"""
Twisted's own tests of transports, for lbproxy's sockets.

    python -m twisted.trial tests/twistedsuite/transports.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet.test import reactormixins

sys.path.insert(0, str(Path(__file__).parent))

# Before the tests are imported, which make a class for each reactor.
reactormixins.ReactorBuilder._reactors = ["socketreactor.SocketEPollReactor"]

from twisted.internet.test import test_socket, test_tcp, test_tls, test_unix  # noqa: E402

LEFT_OUT = {
    "test_resumeProducing": "asks the reactor which descriptors it reads",
}


def skipped(why: str) -> Callable[[Any], None]:
    """A test that says why there is none."""

    def test(self: Any) -> None:
        raise SkipTest(why)

    return test


for module in (test_tcp, test_unix, test_socket, test_tls):
    for name, value in vars(module).items():
        if name.endswith("SocketEPollReactorTests"):
            for test, why in LEFT_OUT.items():
                if hasattr(value, test):
                    setattr(value, test, skipped(why))
            globals()[f"{module.__name__.rpartition('.')[2]}_{name}"] = value
