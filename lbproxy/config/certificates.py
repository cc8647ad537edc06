"""Checks the files of the listeners that clients speak TLS to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..streams.certificates import WARN_WITHIN, TLSRefused
from ..streams.tlscontexts import Contexts, overdueWords
from ..streams.tlsserver import ServerTLS
from ..words.place import Place
from .listenertls import refusedAt
from .model import Configuration


def checkCertificates(
    configuration: Configuration, now: datetime, asAnother: bool = False
) -> list[str]:
    """
    Load all certificates, keys and authorities once.

    @param now: The time of day.
    @param asAnother: Whether the user who starts the balancer may be another one, who
        may read what this one may not.
    @return: A line for each certificate that expires soon or has expired, for each
        revocation list that is too old, and for each listener with a file that this
        user may not read.
    @raise ConfigurationError: If a file cannot be read or used.
    """
    warnings: list[str] = []
    for listener in configuration.listeners:
        options, place = listener.tls, listener.place.key("tls")
        if options is not None:
            try:
                contexts = ServerTLS(options).contexts
            except TLSRefused as error:
                if not (asAnother and error.forbidden):
                    raise refusedAt(error, place) from None
                unchecked = "not checked: this user may not read it"
                warnings.append(str(refusedAt(error, place, unchecked)))
                continue
            warnings += _expiring(contexts, options.clientCrl, place, now)
    return warnings


def _expiring(
    contexts: Contexts, revocations: str, place: Place, now: datetime
) -> Iterator[str]:
    due = contexts.trust.overdue(now)
    if due is not None:
        yield str(place.key("client-crl").refuse(revocations, overdueWords(due)))
    for at, each in enumerate(contexts.certificates):
        if each.daysLeft(now) < WARN_WITHIN:
            where = place.key("certificates").item(at).key("chain")
            yield str(where.refuse(each.files.chain, each.expiry(now)))
