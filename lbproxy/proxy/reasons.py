"""Why something failed, in a few words for the log and the record."""

from __future__ import annotations

import errno
import os
from typing import TypeGuard

from OpenSSL.SSL import Connection as TLSConnection
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet.error import ConnectionClosed
from twisted.python.failure import Failure

from ..streams.refusals import CertificateRefused, nameTrouble
from ..streams.stream import Overrun, Truncated
from ..streams.tlserrors import handshakeWords
from ..words.connection import End


def brief(reason: Failure) -> str:
    """The reason in a few words, on one line."""
    error = reason.value
    if isinstance(error, TLSError):
        return _tlsTrouble(error)
    if isinstance(error, VerificationError):
        return nameTrouble(error)
    number = getattr(error, "osError", None) or getattr(error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        words = os.strerror(number)
        return words[0].lower() + words[1:]
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def pluginTrouble(failure: Failure) -> str:
    """What a plugin raised, with the type of the exception."""
    return f"{type(failure.value).__name__}: {brief(failure)}"


def wrongType(plugin: str, answer: object) -> str:
    """Say that a plugin's answer is of a type that it may not have."""
    return f"the {plugin}'s answer is of type {type(answer).__name__}"


def handshakeEnd(reason: Failure, connection: TLSConnection | None) -> tuple[End, str]:
    """The end and the detail of a client that was lost during its TLS handshake."""
    if isMistake(reason):
        return End.INTERNAL_ERROR, pluginTrouble(reason)
    return End.TLS_FAILED, handshakeWords(reason.value, connection)


def resetDetail(reason: Failure | None) -> str:
    """The detail to record for a reset; often empty."""
    error = None if reason is None else reason.value
    if isinstance(error, TLSError):
        return _tlsTrouble(error)
    if isinstance(error, Truncated):
        return "truncated"
    if isinstance(error, Overrun):
        return "it sent more than can be kept, and cannot be paused"
    return ""


def isMistake(reason: Failure | None) -> TypeGuard[Failure]:
    """Whether a transport was lost because code raised, rather than by its peer."""
    return reason is not None and not isinstance(
        reason.value, (ConnectionClosed, TLSError)
    )


def _tlsTrouble(error: TLSError) -> str:
    """Why a certificate was refused, or OpenSSL's last error, in its own words."""
    if isinstance(error, CertificateRefused):
        return str(error)
    queue = error.args[0] if error.args else None
    if isinstance(queue, list) and queue:
        return f"TLS: {queue[-1][-1]}"
    return "TLS: connection lost"
