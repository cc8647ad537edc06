"""
Endpoint descriptions, checked and made into Twisted's endpoints.

Twisted raises whatever its parsers happen to stumble over, and accepts ports
that no socket has; here each fault becomes one line that a person can act on.
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
"""The position of the port, after the kind, where it is not given by name."""

_LONGEST_PATH = 107
"""In bytes: C{sun_path} of unix(7), less the zero byte at its end."""

_SERVER_BACKLOG = {"tcp": 3, "tcp6": 2, "unix": 3, "ssl": 7, "tls": 3}
"""The position of the backlog, likewise."""

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
    Make the endpoint that a description describes.

    @param reactor: What it will listen with.
    @param text: A Twisted server endpoint description.
    @param place: Where it was written.
    @param backlog: For a kind that has one, unless the description names it.
    @raise ConfigurationError: If there can be no such endpoint.
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
    Refuse what L{serverEndpoint} would refuse, except that C{systemd:} is
    looked at without the descriptors: they are inherited by the process that
    is started, not by the one that checks its configuration beforehand.

    @raise ConfigurationError: If there can be no such endpoint.
    """
    description = _parsedServer(text, place)
    if _kind(description) == "systemd":
        _checkSystemd(description, text, place)
    else:
        serverEndpoint(reactor, text, place)


def checkClientDescription(reactor: Any, text: str, place: Place = _CLIENT) -> None:
    """
    Refuse a client endpoint that cannot be, of which Twisted may not tell before
    it connects.

    @raise ConfigurationError: If there can be no such endpoint.
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
    # In single quotes a backslash is itself, both in TOML and in a shell.
    hint = f": '{spelling}'" if spelling else ""
    return f"it does not begin with a kind of endpoint{hint}"


def _kind(description: Description) -> str:
    """
    The kind of endpoint.  Twisted knows a plugin's in any case, and those of
    clients; what it knows in lower case only, it refuses itself.
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
        # A third party's parser may raise anything at all.
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
    Look at a directory of certificates before Twisted does: to it, one that
    does not exist is empty, and one without a name is the current one, which it
    would read with all that is below.
    """
    positional, named = description.positional, description.named
    if _kind(description) == "tls":
        for directory in (*positional[1:2], *_some(named, "path")):
            if not directory or not Path(directory).is_dir():
                raise place.refuse(text, f'"{directory}" is not a directory')


def _checkServer(description: Description, text: str, place: Place) -> None:
    """Look at what Twisted finds out only when it listens."""
    positional, named = description.positional, description.named
    kind = _kind(description)
    at = _SERVER_PORT.get(kind)
    if at is not None:
        _checkPorts([*positional[at : at + 1], *_some(named, "port")], 0, text, place)
    if kind == "unix":
        _checkPath([*positional[1:2], *_some(named, "address")], text, place)


def _checkClient(description: Description, text: str, place: Place) -> None:
    """Look at what Twisted finds out only when it connects."""
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
    """The kinds that one may write here."""
    plugins: Iterable[Any] = (
        getPlugins(IStreamServerEndpointStringParser)
        if serving
        else getPlugins(IStreamClientEndpointStringParserWithReactor)
    )
    return {"ssl", "tcp", "unix", *(plugin.prefix for plugin in plugins)} - {_HAPROXY}
