"""
Descriptions of endpoints: what the parts of each kind mean.

The kinds, the names of their arguments and their order are those of Twisted's parsers
(L{twisted.internet.endpoints}).  An endpoint of any other kind is of a plugin, and only
its named arguments are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import ClassVar, Self

from attrs import field, frozen

from .description import Description, Field, written
from .values import text


@frozen
class Kind:
    """
    The arguments of one kind of endpoint.

    @ivar ordered: The names of the arguments that may be given by position, in order.
    @ivar others: The names of the arguments that are given by name only, as far as
        lbproxy uses them.
    @ivar defaults: The values of arguments that are not given, where not empty.
    """

    ordered: tuple[str, ...]
    others: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(factory=dict)


_BOTH_FAMILIES = {"interface": "::"}

SERVERS = {
    "tcp": Kind(("port", "interface", "backlog")),
    "tcp6": Kind(("port", "backlog", "interface"), defaults=_BOTH_FAMILIES),
    "ssl": Kind(("port", "privateKey", "certKey", "sslmethod", "interface", "backlog")),
    "tls": Kind(
        ("path", "port", "backlog", "interface"),
        defaults={**_BOTH_FAMILIES, "port": "443"},
    ),
    "unix": Kind(("address", "mode", "backlog")),
    "systemd": Kind(("domain", "index", "name")),
}
"""The server endpoints whose arguments lbproxy knows."""

_HOST_AND_PORT = ("host", "port")
_TCP = Kind(_HOST_AND_PORT, ("timeout", "bindAddress"))

CLIENTS = {
    "tcp": _TCP,
    "ssl": _TCP,
    "tls": Kind(
        (
            *(*_HOST_AND_PORT, "timeout", "bindAddress"),
            *("certificate", "privateKey", "trustRoots", "endpoint"),
        )
    ),
    "unix": Kind(("path",), ("timeout",)),
}
"""The client endpoints whose arguments lbproxy knows."""


@frozen
class EndpointDescription(Description):
    """
    The description of an endpoint that has been parsed.

    @cvar kinds: The kinds whose arguments are known.
    """

    kinds: ClassVar[Mapping[str, Kind]]

    @property
    def kind(self) -> str:
        """
        The kind of the endpoint, in lower case; empty if there is none.

        Twisted accepts the kinds of plugins and of clients in any case.  Kinds that it
        accepts only in lower case it refuses itself.
        """
        return next((value.lower() for name, value in self.fields if name is None), "")

    def index(self, name: str) -> int | None:
        """The index in C{fields} of an argument; L{None} if it is not given."""
        for at, given in enumerate(self.fields):
            if given[0] == name:
                return at
        kind = self.kinds.get(self.kind)
        if kind is None or name not in kind.ordered:
            return None
        position = 1 + kind.ordered.index(name)
        if name == "port" and "host" in self.named:
            position -= 1  # Twisted takes tcp:80:host=a too.
        unnamed = [at for at, given in enumerate(self.fields) if given[0] is None]
        return unnamed[position] if position < len(unnamed) else None

    def argument(self, name: str) -> str | None:
        """The value of an argument; L{None} if it is not given."""
        at = self.index(name)
        return None if at is None else self.fields[at][1]

    def takes(self, name: str) -> bool:
        """Whether endpoints of its kind are known to take an argument."""
        kind = self.kinds.get(self.kind)
        return kind is not None and (name in kind.ordered or name in kind.others)

    @property
    def path(self) -> str | None:
        """The path of a UNIX socket; L{None} for any other endpoint."""
        if self.kind != "unix":
            return None
        return self.argument(self.kinds["unix"].ordered[0])

    def withDefault(self, name: str, value: object) -> Self:
        """
        This description with an argument, if its kind takes it and it is not given.
        """
        if not self.takes(name) or self.index(name) is not None:
            return self
        added = (name, str(value))
        return type(self)(f"{self.text}:{written([added])}", (*self.fields, added))


@frozen
class ServerDescription(EndpointDescription):
    """The description of a server endpoint that has been parsed."""

    kinds = SERVERS

    @property
    def interfaceAndPort(self) -> tuple[str, int] | None:
        """
        The interface and the port that it listens on.

        The interface is empty for all of IPv4.  L{None} if its kind has no port, or the
        port is not a number.
        """
        kind = self.kinds.get(self.kind)
        if kind is None or "port" not in kind.ordered:
            return None
        try:
            return self._effective("interface", kind), int(
                self._effective("port", kind)
            )
        except ValueError:
            return None

    def _effective(self, name: str, kind: Kind) -> str:
        given = self.argument(name)
        return kind.defaults.get(name, "") if given is None else given


@frozen
class ClientDescription(EndpointDescription):
    """The description of a client endpoint that has been parsed."""

    kinds = CLIENTS

    @property
    def nested(self) -> str | None:
        """The description of the endpoint that a C{tls:} endpoint wraps, if it does."""
        return self.argument("endpoint") if self.kind == "tls" else None

    @property
    def host(self) -> str | None:
        """
        The host that it connects to, if its kind has one.

        @raise ValueError: If it wraps an endpoint whose description is wrong.
        """
        if self.nested is not None:
            return type(self).parse(self.nested).host
        return self.argument("host") if self.takes("host") else None

    @property
    def hostName(self) -> str | None:
        """
        The name that has to be looked up to connect; L{None} if there is none.

        @raise ValueError: As for L{host}.
        """
        host = self.host
        return None if not host or isAddress(host) else host

    def at(self, address: str) -> Self:
        """
        This description with an IP address for the name that has to be looked up.

        A C{tls:} endpoint still verifies the name that it had.
        """
        fields: list[Field] = list(self.fields)
        nested = self.index("endpoint") if self.kind == "tls" else None
        host = self.index("host")
        if nested is not None:
            called, wrapped = fields[nested]
            fields[nested] = (called, type(self).parse(wrapped).at(address).text)
        elif self.kind == "tls":
            # What it would have connected with itself, is the inner endpoint's now.
            port = self.argument("port") or ""
            inner: list[Field] = [(None, "tcp"), (None, address), (None, port)]
            for name in ("timeout", "bindAddress"):
                value = self.argument(name)
                if value is not None:
                    inner.append((name, value))
            fields.append(("endpoint", written(inner)))
        elif host is not None:
            fields[host] = (fields[host][0], address)
        return type(self)(written(fields), tuple(fields))


def isAddress(host: str) -> bool:
    """Whether a host is a literal IP address, for which no name is looked up."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


_server = text('a Twisted server endpoint description such as "tcp:8080"')
_client = text('a Twisted client endpoint description such as "tcp:127.0.0.1:9001"')


def parseServer(given: object) -> ServerDescription:
    """
    Read the description of a server endpoint.

    @raise ValueError: With one line that says what is wrong with it.
    """
    return ServerDescription.parse(_server(given))


def parseClient(given: object) -> ClientDescription:
    """
    Read the description of a client endpoint.

    @raise ValueError: With one line that says what is wrong with it.
    """
    return ClientDescription.parse(_client(given))
