"""
Checks endpoint descriptions and makes Twisted's endpoints from them.

Twisted's parsers raise exceptions of many kinds, and accept ports that no socket has.
Here each fault becomes one line that says what to correct.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import getPlugins

from ..causes import cause
from ..words.endpoints import (
    SERVERS,
    ClientDescription,
    EndpointDescription,
    ServerDescription,
)
from ..words.place import Place, knownOnes
from .hosts import hostFault
from .spellings import likelyClient, likelyServer

_SERVER = Place("server endpoint")
_CLIENT = Place("client endpoint")

_LONGEST_PATH = 107
"""
The longest path of a UNIX socket in bytes: C{sun_path} of unix(7), less the zero byte
at its end.
"""

_HAPROXY = "haproxy"
_NO_HAPROXY = (
    "haproxy: is not supported, since Twisted's loses what comes after the client's "
    "end of stream; PROXY headers are read with the listener's key "
    '"proxy-protocol"'
)


def serverEndpoint(
    reactor: Any,
    description: ServerDescription,
    place: Place = _SERVER,
    backlog: int | None = None,
) -> IStreamServerEndpoint:
    """
    Make the Twisted endpoint of a server endpoint description.

    @param reactor: The reactor that the endpoint listens with.
    @param place: Where the description was written.
    @param backlog: The backlog for a kind that has one, unless the description gives
        it.
    @raise ConfigurationError: If the endpoint cannot be made.
    """
    _checkKind(description, place)
    _refuse(hostFault(description), description, place)
    _refuse(_directoryFault(description), description, place)
    described = description
    if backlog is not None:
        # Twisted's own default is 50.
        described = description.withDefault("backlog", backlog)
    endpoint: IStreamServerEndpoint = _made(reactor, described.text, description, place)
    # Twisted finds these faults only when it listens.
    _refuse(_portFault(description, 0) or _pathFault(description), description, place)
    return endpoint


def checkServerDescription(
    reactor: Any, description: ServerDescription, place: Place = _SERVER
) -> None:
    """
    Check a server endpoint description, as L{serverEndpoint} does.

    C{systemd:} is checked without its descriptors.  The process that is started
    inherits them; a process that only checks the configuration does not.

    @raise ConfigurationError: If the endpoint cannot be made.
    """
    if description.kind == "systemd":
        _refuse(_systemdFault(description), description, place)
    else:
        serverEndpoint(reactor, description, place)


def checkClientDescription(
    reactor: Any, description: ClientDescription, place: Place = _CLIENT
) -> None:
    """
    Check a client endpoint description.

    This includes faults that Twisted finds only when it connects.

    @raise ConfigurationError: If the endpoint cannot be made.
    """
    _checkKind(description, place)
    _refuse(hostFault(description), description, place)
    _made(reactor, description.text, description, place)
    _refuse(_dialFault(description), description, place)


def _refuse(fault: object, description: EndpointDescription, place: Place) -> None:
    """Refuse a description if there is a fault in it."""
    if fault:
        raise place.refuse(description.text, str(fault))


def _checkKind(description: EndpointDescription, place: Place) -> None:
    if not description.kind:
        raise place.refuse(description.text, _kindless(_likely(description)))
    if isinstance(description, ServerDescription) and description.kind == _HAPROXY:
        raise place.refuse(description.text, _NO_HAPROXY)


def _likely(description: EndpointDescription) -> str | None:
    serving = isinstance(description, ServerDescription)
    return (likelyServer if serving else likelyClient)(description.text)


def _kindless(spelling: str | None) -> str:
    # In single quotes a backslash needs no escaping, both in TOML and in a shell.
    hint = f": '{spelling}'" if spelling else ""
    return f"it does not begin with a kind of endpoint{hint}"


_UNKNOWN_KIND = re.compile(r"Unknown endpoint type: '(.*)'", re.DOTALL)


def _made(
    reactor: Any, said: str, description: EndpointDescription, place: Place
) -> Any:
    """Make the endpoint of a description, which says a little more than its text."""
    serving = isinstance(description, ServerDescription)
    try:
        return (serverFromString if serving else clientFromString)(reactor, said)
    except Exception as error:
        # A third party's parser may raise any exception.
        reason = cause(error)
        if unknown := _UNKNOWN_KIND.search(reason):
            known = knownOnes(_kinds(serving))
            reason = f'unknown kind of endpoint "{unknown[1]}"; {known}'
            if spelling := _likely(description):
                reason = _kindless(spelling)
        elif isinstance(error, LookupError) and description.kind == "systemd":
            reason = "systemd has passed no such descriptor to this process"
        raise place.refuse(description.text, reason) from None


def _directoryFault(description: ServerDescription) -> str | None:
    """
    Check that the directory of certificates of a C{tls:} endpoint exists.

    This is done before Twisted's parser runs.  Twisted treats a missing directory as
    empty.  It treats an empty name as the current directory, and would read all that is
    below it.
    """
    directory = description.argument("path")
    if description.kind != "tls" or directory is None:
        return None
    if directory and Path(directory).is_dir():
        return None
    return f'"{directory}" is not a directory'


def _dialFault(description: ClientDescription) -> str | None:
    """Find a fault that Twisted finds only when it connects."""
    if fault := _portFault(description, 1) or _pathFault(description):
        return fault
    if description.takes("host") and description.argument("host") == "":
        return "the host is missing"
    if description.nested is None:
        return None
    try:
        return _dialFault(ClientDescription.parse(description.nested))
    except ValueError as error:
        return str(error)


def _portFault(description: EndpointDescription, lowest: int) -> str | None:
    port = description.argument("port") if description.takes("port") else None
    if port is None or (port.strip().isdecimal() and lowest <= int(port) <= 65535):
        return None
    return f"a port is {lowest} to 65535, not {port}"


def _pathFault(description: EndpointDescription) -> str | None:
    path = description.path
    if path is None:
        return None
    if not path:
        return "the path is missing"
    if len(path.encode("utf-8", "surrogatepass")) > _LONGEST_PATH:
        return f"the path of a socket has at most {_LONGEST_PATH} bytes"
    if path.lstrip()[:1] == "/" != path[0] and not Path(path).parent.is_dir():
        return "the path begins with a blank, and there is no such directory"
    return None


def _systemdFault(description: ServerDescription) -> str | None:
    names = SERVERS["systemd"].ordered
    given = {name: description.argument(name) for name in names}
    beyond = description.positional[1 + len(names) :]
    unknown = [*beyond, *(name for name in description.named if name not in names)]
    if unknown:
        return f'"{unknown[0]}" is not known to systemd:'
    if not hasattr(socket, f"AF_{given['domain'] or ''}"):
        return "the domain has to be INET, INET6 or UNIX"
    if (given["index"] is None) == (given["name"] is None):
        return "exactly one of index and name has to be given"
    if not (given["index"] or "0").isdecimal():
        return "an index is a whole number of 0 or more"
    return None


def _kinds(serving: bool) -> set[str]:
    """The kinds of endpoint that lbproxy accepts, for servers or for clients."""
    plugins: Iterable[Any] = (
        getPlugins(IStreamServerEndpointStringParser)
        if serving
        else getPlugins(IStreamClientEndpointStringParserWithReactor)
    )
    return {"ssl", "tcp", "unix", *(plugin.prefix for plugin in plugins)} - {_HAPROXY}
