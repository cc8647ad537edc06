"""Reads the table C{[listener.tls]}."""

from __future__ import annotations

from collections.abc import Mapping

from ..proxy.policy import SessionOptions
from ..streams.certificates import CertificateFiles, TLSRefused
from ..streams.tlsoptions import ServerTLSOptions
from ..words.options import REQUIRED, made
from ..words.place import ConfigurationError, Place
from .schema import Key, Placed, Table, keysOf
from .values import listOf

CERTIFICATE = Table(
    "[[listener.tls.certificates]]",
    "A certificate and its key; which one is used depends on the name that the client "
    "asks for.",
    keysOf(CertificateFiles),
)

SHAKING = ("handshakeTimeout",)
"""Session options that are written in this table."""


def _certificate(written: object, place: Place) -> CertificateFiles:
    """Read a table of L{CERTIFICATE}."""
    return CertificateFiles(**CERTIFICATE.read(written, place))


LISTENER_TLS = Table(
    "[listener.tls]",
    "Clients speak TLS to this listener, which decrypts what they send.",
    (
        Key(
            "certificates",
            listOf(Placed(_certificate)),
            REQUIRED,
            "Certificates with their keys; the first one is used where no other is for "
            "the name that the client asks for.",
        ),
        *keysOf(ServerTLSOptions),
        *keysOf(SessionOptions, only=SHAKING),
    ),
)


def readListenerTLS(written: object, place: Place) -> Mapping[str, object]:
    """
    Read a table of L{LISTENER_TLS}.

    @return: C{tls}, the L{ServerTLSOptions}, and the values of L{SHAKING}.
    """
    values = LISTENER_TLS.read(written, place)
    options = made(ServerTLSOptions, values)
    try:
        options.requireTogether()
    except ValueError as error:
        raise place.lack(str(error)) from None
    return {"tls": options, **{each: values[each] for each in SHAKING}}


def refusedAt(
    error: TLSRefused, place: Place, reason: str | None = None
) -> ConfigurationError:
    """
    Make the error of a file or a value that TLS cannot use.

    @param place: That of the table.
    @param reason: What to say of it instead of what the error says.
    """
    for key in error.keys:
        place = place.item(key) if isinstance(key, int) else place.key(key)
    return place.refuse(error.value, reason or error.reason)
