"""The options of health checks: of all kinds, of C{http} and of C{exchange}."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from attrs import evolve, field, frozen

from ..balance.checks import CheckOptions
from ..words.backend import Backend
from ..words.description import written
from ..words.endpoints import ClientDescription
from ..words.options import Option, declared, option, optionsOf
from ..words.units import moreThanNone
from ..words.values import addressOrEmpty, matching, oneOf, text, wholeNumber

Statuses = tuple[tuple[int, int], ...]
"""Ranges of HTTP status codes, both ends included."""

_RANGE = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?")
_PATH = re.compile(r"/[!-~]*")
_AUTHORITY = re.compile(r"[!-~]+")


def _orEmpty(parse: Callable[[object], str]) -> Callable[[object], str]:
    """Let a parser of text take the empty one, too."""
    return lambda given: "" if given == "" else parse(given)


def anyText(given: object) -> str:
    """Read text that may be empty and may hold any character."""
    if not isinstance(given, str):
        raise ValueError("expected text")
    return given


def parseStatuses(given: object) -> Statuses:
    """
    Read ranges of HTTP status codes, such as C{"200,204,300-399"}.

    @raise ValueError: With one line that says what was expected.
    """
    found: list[tuple[int, int]] = []
    if isinstance(given, str):
        for part in given.split(","):
            match = _RANGE.fullmatch(part.strip())
            if match is None or int(match[1]) > int(match[2] or match[1]):
                break
            found.append((int(match[1]), int(match[2] or match[1])))
        else:
            return tuple(found)
    raise ValueError(
        'expected status codes from 100 to 599, such as "200-399" or "200,204,300-399"'
    )


def statusText(statuses: Statuses) -> str:
    """Write ranges as L{parseStatuses} reads them."""
    return ",".join(
        f"{low}" if low == high else f"{low}-{high}" for low, high in statuses
    )


def parsePattern(given: object) -> re.Pattern[bytes] | None:
    """
    Read a regular expression over bytes, which is written as text; empty is L{None}.

    @raise ValueError: With one line that says what is wrong with it.
    """
    source = anyText(given)
    if not source:
        return None
    try:
        return re.compile(source.encode())
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"expected a regular expression: {error}") from None


@frozen(kw_only=True)
class HealthCheckOptions:
    """
    How the members of a pool are checked.

    @ivar kind: C{"tcp"}, C{"tls"}, C{"http"}, C{"exchange"}, the name of a plugin, or
        C{python:package.module.Attribute}.
    @ivar interval: Seconds from the beginning of one check to that of the next.
    @ivar timeout: Seconds that one check may take.
    @ivar check: How many checks move a member up or down.
    @ivar address: The IP address to check instead of the backend's host; empty for the
        same.
    @ivar port: Where to check instead of the backend's port; 0 for the same.
    @ivar proxyProtocol: The version of the PROXY header that a check begins with:
        C{"off"}, C{"v1"}, C{"v2"}, or C{"auto"} for the backend's own.
    @ivar options: The options of the kind, as they were written.
    """

    kind: str = option(
        text('"tcp", "tls", "http", "exchange", or the name of a plugin'),
        "tcp",
        'How a member is checked: "tcp", "tls", "http", "exchange", the name of a '
        'plugin, or "python:package.module.Attribute".',
    )
    interval: float = option(
        moreThanNone, "2s", "From the beginning of one check to that of the next."
    )
    timeout: float = option(
        moreThanNone, "2s", "How long one check may take; then it has failed."
    )
    check: CheckOptions = field(factory=CheckOptions)
    address: str = option(
        addressOrEmpty("an IP address, without brackets"),
        "",
        "The IP address to check instead of the backend's own; empty for the same.",
    )
    port: int = option(
        wholeNumber(0, 65535),
        0,
        "The port to check instead of the backend's own; 0 for the same.",
    )
    proxyProtocol: str = option(
        oneOf("auto", "off", "v1", "v2"),
        "auto",
        "Whether a check begins with a PROXY header, which names no client: "
        '"off", "v1", "v2", or "auto" for what the backend has, unless another address '
        "or port is checked.",
    )
    options: Mapping[str, object] = field(factory=dict)

    def __str__(self) -> str:
        return ":".join([self.kind, *(f"{k}={v}" for k, v in self.options.items())])

    def target(self, backend: Backend) -> Backend:
        """
        What is checked for a backend: itself, or the same with another place to
        connect to, by plain TCP, and with the PROXY header that checks begin with.  To
        that place TLS is spoken by the kind C{tls} only, for the name that the backend
        itself has.

        @raise ValueError: If only one of C{address} and C{port} is given, and the
            backend's description does not have the other; or if there is to be a
            PROXY header and the backend cannot have one.
        """
        header = self.proxyProtocol
        if not self.address and not self.port:
            if header in ("auto", backend.proxyProtocol):
                return backend
            return evolve(backend, proxyProtocol=header)
        host, port = placeOf(backend)
        host, port = self.address or host, str(self.port or port)
        if not host or not port:
            lacking = "port" if self.address else "address"
            raise ValueError(f"{backend} has no {lacking} of its own; give one here")
        fields = [(None, "tcp"), (None, host), (None, port)]
        name = "" if self.address else backend.hostName
        tls = backend.tls if self.kind == "tls" else None
        if tls is not None:
            tls = evolve(tls, serverName=backend.serverName)
        return evolve(
            backend,
            connect=written(fields),
            hostName=name,
            tls=tls,
            proxyProtocol="off" if header == "auto" else header,
        )


def placeOf(backend: Backend) -> tuple[str, str]:
    """The host and the port to connect to a backend; each is empty if it has none."""
    described = backend.description
    while described.nested is not None:
        described = ClientDescription.parse(described.nested)
    if not described.takes("host"):
        return "", ""
    return described.argument("host") or "", described.argument("port") or ""


@frozen(kw_only=True)
class HttpOptions:
    """
    What C{http} asks, and which answers pass.

    @ivar path: The target of the request.
    @ivar host: The value of its C{Host} header; empty for the backend's host and port.
    @ivar expectStatus: The status codes that pass.
    """

    path: str = option(
        matching(_PATH, 'a path such as "/health": "/" and printable ASCII, no blank'),
        "/",
        'What "http" asks for.',
    )
    host: str = option(
        _orEmpty(matching(_AUTHORITY, "a host: printable ASCII without a blank")),
        "",
        'The Host header of "http"; empty for the host and port that are checked.',
    )
    expectStatus: tuple[tuple[int, int], ...] = option(
        parseStatuses,
        "200-399",
        'The status codes with which "http" passes: codes and ranges, with commas.',
    )


@frozen(kw_only=True)
class ExchangeOptions:
    """
    What C{exchange} sends, and which answers pass.

    @ivar send: What is sent once the backend is connected; may be empty.
    @ivar expect: What the answer has to contain.
    @ivar expectRegex: What the answer has to match somewhere; L{None} for C{expect}.
    """

    send: str = option(anyText, "", 'What "exchange" sends first; may be empty.')
    expect: str = option(anyText, "", 'What the answer to "exchange" has to contain.')
    expectRegex: re.Pattern[bytes] | None = field(
        default=None,
        metadata=declared(
            parsePattern,
            "",
            "A regular expression that the answer has to match somewhere, instead of "
            "expect.",
        ),
    )

    def __attrs_post_init__(self) -> None:
        if self.expect and self.expectRegex:
            raise ValueError("expect and expect-regex exclude each other; give one")
        if not self.expect and not self.expectRegex:
            raise ValueError('"exchange" needs expect or expect-regex')


KINDS: Mapping[str, type | None] = {
    "tcp": None,
    "tls": None,
    "http": HttpOptions,
    "exchange": ExchangeOptions,
}
"""The built-in kinds, each with the class of its own options."""


def pluginOptions(owner: type) -> dict[str, Option]:
    """
    The options that a plugin has if it takes those of an options class.

    @param owner: Each of its options has a default.
    """
    return {
        re.sub("[A-Z]", lambda upper: f"-{upper[0].lower()}", name): Option(
            said.parse, said.parse(said.default), said.doc
        )
        for name, said in optionsOf(owner)
    }
