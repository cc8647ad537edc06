"""The options of discovery: of all kinds, and of each built-in one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, fields, frozen

from ..words.backend import Backend
from ..words.options import REQUIRED, declared, option
from ..words.units import moreThanNone
from ..words.values import text, wholeNumber
from .resolvconf import parseResolver

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")

_DEFAULTS = {each.name: each.default for each in fields(Backend)}


_NAME = (
    'What is looked up: a host, each of whose addresses is a backend; for "srv" a '
    'service, such as "_web._tcp.shop.internal".'
)


def _name(given: object) -> str:
    """Read a name of the DNS (RFC 1035): labels of 1 to 63 characters, 253 in all."""
    if isinstance(given, str):
        name = given.removesuffix(".")
        if len(name) <= 253 and all(map(_LABEL.fullmatch, name.split("."))):
            return name
    raise ValueError("expected a name of the DNS, such as web.internal")


@frozen(kw_only=True)
class DiscoveryOptions:
    """
    Where the backends of a pool come from.

    @ivar kind: C{"dns"}, C{"srv"}, C{"file"}, the name of a plugin, or
        C{python:package.module.Attribute}.
    @ivar member: What each backend has that is found, where the discovery says nothing
        of it: by the names of the attributes of L{Backend}.
    @ivar options: The options of the kind, as they were written.
    """

    kind: str = option(
        text('"dns", "srv", "file", or the name of a plugin'),
        "dns",
        'How backends are found: "dns", "srv", "file", the name of a plugin, or '
        '"python:package.module.Attribute".',
    )
    member: Mapping[str, Any] = field(factory=dict)
    options: Mapping[str, object] = field(factory=dict)

    def __str__(self) -> str:
        what = self.options.get("name") or self.options.get("path")
        return f"{self.kind} {what}" if what else self.kind

    def completed(self, backend: Backend) -> Backend:
        """
        A backend that was found, with what C{member} says.

        What it has another value of than the default stays.  C{tls} and PROXY headers
        are not for one whose endpoint speaks TLS by itself.
        """
        unsaid = {
            name: value
            for name, value in self.member.items()
            if getattr(backend, name) == _DEFAULTS[name]
        }
        for name in ("tls", "proxyProtocol"):
            if name in unsaid and backend.speaksTLS:
                del unsaid[name]
        return evolve(backend, **unsaid)


_RESOLVER = (
    'Who is asked: a DNS server such as "10.0.0.2" or "10.0.0.2:5353", several with '
    'commas between, or the path of a file like "/etc/resolv.conf"; empty for the '
    'system\'s resolver, and for "srv" for the servers of /etc/resolv.conf.'
)


@frozen(kw_only=True)
class DnsOptions:
    """
    What C{dns} looks up.

    @ivar name: A host; each of its addresses is a backend.
    @ivar port: 1 to 65535.
    @ivar resolver: The servers to ask; L{None} for the system's resolver.
    @ivar resolveInterval: The seconds that an answer without a TTL holds.
    """

    name: str = field(metadata=declared(_name, REQUIRED, _NAME))
    port: int = field(
        metadata=declared(
            wholeNumber(1, 65535), REQUIRED, 'The port of each backend of "dns".'
        )
    )
    resolver: tuple[tuple[str, int], ...] | None = option(parseResolver, "", _RESOLVER)
    resolveInterval: float = option(
        moreThanNone,
        "10s",
        "How long an answer holds that has no TTL: each one of the system's resolver.",
    )


@frozen(kw_only=True)
class SrvOptions:
    """
    What C{srv} looks up.

    @ivar name: A service; each address of each of its targets is a backend.
    @ivar resolver: The servers to ask; L{None} for those of C{/etc/resolv.conf}.
    """

    name: str = field(metadata=declared(_name, REQUIRED, _NAME))
    resolver: tuple[tuple[str, int], ...] | None = option(parseResolver, "", _RESOLVER)


@frozen(kw_only=True)
class FileOptions:
    """
    What C{file} reads.

    @ivar path: A TOML or JSON file with a list of backends.
    """

    path: str = field(
        metadata=declared(
            text("a path"),
            REQUIRED,
            'The file that "file" reads: a list of backends under the key "backends", '
            'in TOML, or in JSON if its name ends in ".json".',
        )
    )


KINDS: Mapping[str, type] = {"dns": DnsOptions, "srv": SrvOptions, "file": FileOptions}
"""The built-in kinds, each with the class of its own options."""
