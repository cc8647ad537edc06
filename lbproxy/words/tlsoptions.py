"""How TLS is spoken to a backend."""

from __future__ import annotations

import re
from ipaddress import ip_address

from attrs import evolve, frozen

from .options import option
from .values import boolean, oneOf

_LABEL = re.compile(r"[\w-]{1,63}")
_PATH = re.compile(r"[^\0]*")


def serverName(written: object) -> str:
    """Read the name of a server, or its IP address; may be empty."""
    if isinstance(written, str):
        try:
            return str(ip_address(written))
        except ValueError:
            pass
        name = written.removesuffix(".")
        labels = name.split(".")
        if not written or (
            len(name) <= 253
            and all(map(_LABEL.fullmatch, labels))
            and not labels[-1].isdecimal()
        ):
            return name
    raise ValueError("expected the name of a host or an IP address, without brackets")


def _path(written: object) -> str:
    if not isinstance(written, str) or not _PATH.fullmatch(written):
        raise ValueError("expected the path of a file")
    return written


def protocols(written: object) -> tuple[str, ...]:
    """Read a list of protocols by their names in ALPN (RFC 7301); may be empty."""
    if isinstance(written, list | tuple) and all(
        isinstance(each, str) and 0 < len(each) < 256 and each.isascii()
        for each in written
    ):
        return tuple(written)
    raise ValueError('expected a list of protocols, such as ["http/1.1"]')


@frozen(kw_only=True)
class TLSOptions:
    """
    How TLS is spoken to a backend.

    @ivar serverName: The name that its certificate must have; empty for that of its
        host.
    @ivar ca: The path of the trusted authorities; empty for those of the system.
    @ivar chain: The path of the certificate to show, with those of its authorities;
        empty for none.
    @ivar key: The path of its key; empty if C{chain} has it.
    @ivar verify: Whether its certificate is verified.
    @ivar alpn: The protocols that are offered, in order; empty to offer none.
    @ivar minimumVersion: C{"1.2"} or C{"1.3"}.
    """

    serverName: str = option(
        serverName,
        "",
        "The name, or the IP address, that the certificate must be for. A name is also "
        "sent (SNI). Empty for the host of the description.",
    )
    ca: str = option(
        _path,
        "",
        "A PEM file with the certificates of the authorities that are trusted; empty "
        "for those of the system.",
    )
    chain: str = option(
        _path,
        "",
        "A PEM file with the certificate that is shown to a backend that asks for one, "
        "and with those of its authorities behind it; empty for none.",
    )
    key: str = option(
        _path,
        "",
        "A PEM file with the key of that certificate, not encrypted; empty if chain "
        "has it too.",
    )
    verify: bool = option(
        boolean, True, "Whether the certificate is verified; false is for tests."
    )
    alpn: tuple[str, ...] = option(
        protocols, [], "The protocols that are offered (ALPN); none if it is empty."
    )
    minimumVersion: str = option(
        oneOf("1.2", "1.3"), "1.2", 'The lowest version of TLS: "1.2" or "1.3".'
    )

    @property
    def files(self) -> TLSOptions:
        """The options that one context can be made of, for all backends with them."""
        return evolve(self, serverName="", alpn=())
