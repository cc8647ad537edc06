"""
Checks endpoint descriptions and makes Twisted's endpoints from them.

Twisted's parsers raise exceptions of many kinds, and accept ports that no socket has.
Here each fault becomes one line that says what to correct.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import getPlugins

from ..words.description import Description, withDefault
from .causes import cause
from .hosts import HostFault, clientHostFault, serverHostFault
from .place import Place, knownOnes
from .spellings import likelyClient, likelyServer

_SERVER = Place("server endpoint")
_CLIENT = Place("client endpoint")

_SERVER_PORT = {"tcp": 1, "tcp6": 1, "ssl": 1, "tls": 2}
"""The position of a port that is not given by name.  The kind's position is 0."""

_LONGEST_PATH = 107
"""
The longest path of a UNIX socket in bytes: C{sun_path} of unix(7), less the zero byte
at its end.
"""

_SERVER_BACKLOG = {"tcp": 3, "tcp6": 2, "unix": 3, "ssl": 7, "tls": 3}
"""The position of a backlog that is not given by name."""

_HAPROXY = "haproxy"
_NO_HAPROXY = (
    "haproxy: is not supported, since Twisted's loses what comes after the client's "
    "end of stream; PROXY headers will be read by the listener's key "
    '"proxy-protocol", which this version does not have'
)


def serverEndpoint(
    reactor: Any, text: str, place: Place = _SERVER, backlog: int | None = None
) -> IStreamServerEndpoint:
    """
    Make the Twisted endpoint of a server endpoint description.

    @param reactor: The reactor that the endpoint listens with.
    @param text: A Twisted server endpoint description.
    @param place: Where the description was written.
    @param backlog: The backlog for a kind that has one, unless the description gives
        it.
    @raise ConfigurationError: If the endpoint cannot be made.
    """
    description = _parsedServer(text, place)
    _checkHosts(serverHostFault(text), text, place)
    _checkDirectory(description, text, place)
    endpoint: IStreamServerEndpoint
    described = text
    if backlog is not None:
        # Twisted's own default is 50.
        described = withDefault(text, "backlog", backlog, _SERVER_BACKLOG)
    endpoint = _made(serverFromString, reactor, described, text, place)
    _checkServer(description, text, place)
    return endpoint


def checkServerDescription(reactor: Any, text: str, place: Place = _SERVER) -> None:
    """
    Check a server endpoint description, as L{serverEndpoint} does.

    C{systemd:} is checked without its descriptors.  The process that is started
    inherits them; a process that only checks the configuration does not.

    @raise ConfigurationError: If the endpoint cannot be made.
    """
    description = _parsedServer(text, place)
    if _kind(description) == "systemd":
        _checkSystemd(description, text, place)
    else:
        serverEndpoint(reactor, text, place)


def checkClientDescription(reactor: Any, text: str, place: Place = _CLIENT) -> None:
    """
    Check a client endpoint description.

    This includes faults that Twisted finds only when it connects.

    @raise ConfigurationError: If the endpoint cannot be made.
    """
    description = _parsed(text, place, likelyClient)
    _checkHosts(clientHostFault(text), text, place)
    _made(clientFromString, reactor, text, text, place)
    _checkClient(description, text, place)


def _parsedServer(text: str, place: Place) -> Description:
    description = _parsed(text, place, likelyServer)
    if _kind(description) == _HAPROXY:
        raise place.refuse(text, _NO_HAPROXY)
    return description


def _parsed(
    text: str, place: Place, likely: Callable[[str], str | None]
) -> Description:
    try:
        description = Description.parse(text)
    except ValueError as error:
        raise place.refuse(text, str(error)) from None
    if description.positional[:1] in ((), ("",)):
        raise place.refuse(text, _kindless(likely(text)))
    return description


def _kindless(spelling: str | None) -> str:
    # In single quotes a backslash needs no escaping, both in TOML and in a shell.
    hint = f": '{spelling}'" if spelling else ""
    return f"it does not begin with a kind of endpoint{hint}"


def _kind(description: Description) -> str:
    """
    The kind of an endpoint, in lower case.

    Twisted accepts the kinds of plugins and of clients in any case.  Kinds that it
    accepts only in lower case it refuses itself.
    """
    return description.positional[0].lower() if description.positional else ""


_SYSTEMD = re.compile("systemd:", re.IGNORECASE)
_UNKNOWN_KIND = re.compile(r"Unknown endpoint type: '(.*)'", re.DOTALL)


def _made(
    parse: Callable[[Any, str], Any], reactor: Any, said: str, text: str, place: Place
) -> Any:
    try:
        return parse(reactor, said)
    except Exception as error:
        # A third party's parser may raise any exception.
        reason = cause(error)
        if unknown := _UNKNOWN_KIND.search(reason):
            serving = parse is serverFromString
            spelling = (likelyServer if serving else likelyClient)(text)
            known = knownOnes(_kinds(serving))
            reason = f'unknown kind of endpoint "{unknown[1]}"; {known}'
            if spelling:
                reason = _kindless(spelling)
        elif isinstance(error, LookupError) and _SYSTEMD.match(text):
            reason = "systemd has passed no such descriptor to this process"
        raise place.refuse(text, reason) from None


def _checkHosts(fault: HostFault | None, text: str, place: Place) -> None:
    if fault is not None:
        raise place.refuse(text, str(fault))


def _checkDirectory(description: Description, text: str, place: Place) -> None:
    """
    Check that the directory of certificates of a C{tls:} endpoint exists.

    This is done before Twisted's parser runs.  Twisted treats a missing directory as
    empty.  It treats an empty name as the current directory, and would read all that is
    below it.
    """
    positional, named = description.positional, description.named
    if _kind(description) == "tls":
        for directory in (*positional[1:2], *_some(named, "path")):
            if not directory or not Path(directory).is_dir():
                raise place.refuse(text, f'"{directory}" is not a directory')


def _checkServer(description: Description, text: str, place: Place) -> None:
    """Check for faults that Twisted finds only when it listens."""
    positional, named = description.positional, description.named
    kind = _kind(description)
    at = _SERVER_PORT.get(kind)
    if at is not None:
        _checkPorts([*positional[at : at + 1], *_some(named, "port")], 0, text, place)
    if kind == "unix":
        _checkPath([*positional[1:2], *_some(named, "address")], text, place)


def _checkClient(description: Description, text: str, place: Place) -> None:
    """Check for faults that Twisted finds only when it connects."""
    kind = _kind(description)
    arguments = description.positional[1:]
    named = description.named
    if kind in ("tcp", "ssl", "tls"):
        at = 0 if "host" in named else 1
        ports = [*arguments[at : at + 1], *_some(named, "port")]
        _checkPorts(ports, 1, text, place)
        if "" in (*arguments[:1], *_some(named, "host")):
            raise place.refuse(text, "the host is missing")
        for inner in _some(named, "endpoint"):
            _checkClient(_parsed(inner, place, likelyClient), text, place)
    if kind == "unix":
        _checkPath([*arguments[:1], *_some(named, "path")], text, place)


def _some(named: Mapping[str, str], name: str) -> list[str]:
    return [named[name]] if name in named else []


def _checkPorts(written: Iterable[str], lowest: int, text: str, place: Place) -> None:
    for port in written:
        if not port.strip().isdecimal() or not lowest <= int(port) <= 65535:
            raise place.refuse(text, f"a port is {lowest} to 65535, not {port}")


def _checkPath(written: Iterable[str], text: str, place: Place) -> None:
    for path in written:
        if not path:
            raise place.refuse(text, "the path is missing")
        if len(path.encode("utf-8", "surrogatepass")) > _LONGEST_PATH:
            reason = f"the path of a socket has at most {_LONGEST_PATH} bytes"
            raise place.refuse(text, reason)
        if path.lstrip()[:1] == "/" != path[0] and not Path(path).parent.is_dir():
            reason = "the path begins with a blank, and there is no such directory"
            raise place.refuse(text, reason)


def _checkSystemd(description: Description, text: str, place: Place) -> None:
    _, *arguments = description.positional
    names = ("domain", "index", "name")
    given = dict(zip(names, arguments, strict=False))
    unknown = [*arguments[3:], *(key for key in description.named if key not in names)]
    if unknown:
        raise place.refuse(text, f'"{unknown[0]}" is not known to systemd:')
    given.update(description.named)
    if not hasattr(socket, "AF_" + given.get("domain", "")):
        raise place.refuse(text, "the domain has to be INET, INET6 or UNIX")
    if ("index" in given) == ("name" in given):
        raise place.refuse(text, "exactly one of index and name has to be given")
    if not given.get("index", "0").isdecimal():
        raise place.refuse(text, "an index is a whole number of 0 or more")


def _kinds(serving: bool) -> set[str]:
    """The kinds of endpoint that lbproxy accepts, for servers or for clients."""
    plugins: Iterable[Any] = (
        getPlugins(IStreamServerEndpointStringParser)
        if serving
        else getPlugins(IStreamClientEndpointStringParserWithReactor)
    )
    return {"ssl", "tcp", "unix", *(plugin.prefix for plugin in plugins)} - {_HAPROXY}
