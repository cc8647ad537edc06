"""A health check that logs when it begins and how it ends, for tests that count."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lbproxy import Backend, IHealthProbe
from lbproxy.health.options import HealthCheckOptions
from lbproxy.plugins.making import buildProbe


@implementer(IHealthProbe)
class Counted:
    """Checks as one of the built-in kinds does."""

    _log = Logger()

    def __init__(self, reactor: Any, of: str, **options: object) -> None:
        """
        @param of: The kind, whose options are the others.
        """
        chosen = HealthCheckOptions(kind=of, options=options)
        self._probe = buildProbe(chosen, reactor)

    def probe(self, backend: Backend) -> Deferred[None]:
        """Check a backend."""

        def passed(result: None) -> None:
            self._say(backend, "passed")

        def failed(reason: Failure) -> Failure:
            cancelled = reason.check(CancelledError)
            self._say(backend, "cancelled" if cancelled else "failed")
            return reason

        self._say(backend, "began")
        checked: Any = self._probe.probe(backend)
        checked.addCallbacks(passed, failed)
        return checked

    def _say(self, backend: Backend, what: str) -> None:
        self._log.info("check of {name} {what}", name=backend.name, what=what)
