"""What a pool's discovery may be configured with, and what it completes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbproxy import Backend
from lbproxy.discovery.options import (
    KINDS,
    DiscoveryOptions,
    DnsOptions,
    FileOptions,
    SrvOptions,
)
from lbproxy.words.options import optionsOf

LABEL = "a" * 63
LONGEST = ".".join([LABEL, LABEL, LABEL, "b" * 61])


def parsed(kind: type, name: str, written: object) -> object:
    """What an option of a kind makes of a written value."""
    return dict(optionsOf(kind))[name].parse(written)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("web", "web"),
        ("web.internal", "web.internal"),
        ("web.internal.", "web.internal"),
        ("_web._tcp.Shop.internal", "_web._tcp.Shop.internal"),
        ("1.2-3.x", "1.2-3.x"),
        (LABEL, LABEL),
        (LONGEST, LONGEST),
        (f"{LONGEST}.", LONGEST),
    ],
)
def test_names(written: str, name: str) -> None:
    """A name is taken as the DNS has it, without the dot at its end."""
    assert len(LONGEST) == 253
    for kind in (DnsOptions, SrvOptions):
        assert parsed(kind, "name", written) == name


@pytest.mark.parametrize(
    "written",
    [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a b",
        "a\n",
        "a/b",
        "*.a",
        "a:80",
        "tcp:a:80",
        "::1",
        "bücher.de",
        "²",
        "a\0",
        f"{LABEL}a",
        f"{LONGEST}a",
        f"{LONGEST}a.",
        "a." * 5000,
        1,
        True,
        None,
        ["a"],
        {},
    ],
)
def test_wrongNames(written: object) -> None:
    """What no name can be is refused, with an example of one that can."""
    for kind in (DnsOptions, SrvOptions):
        with pytest.raises(ValueError, match=r"^expected a name of the DNS, such as w"):
            parsed(kind, "name", written)


@pytest.mark.parametrize("written", [0, 65536, -1, "80", 80.0, True, None, [80]])
def test_wrongPorts(written: object) -> None:
    """A port that a backend cannot have is refused."""
    with pytest.raises(ValueError, match=r"^expected a whole number from 1 to 65535$"):
        parsed(DnsOptions, "port", written)


@pytest.mark.parametrize(
    ("written", "servers"),
    [
        ("", None),
        ("10.0.0.2", (("10.0.0.2", 53),)),
        ("10.0.0.2:5353", (("10.0.0.2", 5353),)),
        ("fd00::2", (("fd00::2", 53),)),
        ("[fd00::2]:1, 10.0.0.3", (("fd00::2", 1), ("10.0.0.3", 53))),
    ],
)
def test_resolvers(written: str, servers: object) -> None:
    """Servers are addresses, with or without a port; none are the system's."""
    for kind in (DnsOptions, SrvOptions):
        assert parsed(kind, "resolver", written) == servers


@pytest.mark.parametrize(
    "written",
    [
        " ",
        ",",
        "10.0.0.2,",
        "10.0.0",
        "dns.internal",
        "10.0.0.2:0",
        "10.0.0.2:65536",
        "10.0.0.2:",
        "10.0.0.2:-1",
        "[fd00::2]",
        "[10.0.0.2]:53",
        "fd00::2:x",
        "udp:10.0.0.2",
        "/a\0b",
        53,
        None,
        False,
        ["10.0.0.2"],
    ],
)
def test_wrongResolvers(written: object) -> None:
    """What is no server is refused, with examples; no name has to be looked up."""
    with pytest.raises(
        ValueError, match=r"^expected DNS servers, such as .*, or \"\"$"
    ):
        parsed(DnsOptions, "resolver", written)


def test_resolverFiles(tmp_path: Path) -> None:
    """A resolver may be a file like C{/etc/resolv.conf}, which has to be there."""
    path = tmp_path / "conf"
    path.write_text("nameserver 10.0.0.2\n")
    assert parsed(SrvOptions, "resolver", str(path)) == (("10.0.0.2", 53),)
    with pytest.raises(ValueError, match=r"file that can be read: is a directory$"):
        parsed(SrvOptions, "resolver", str(tmp_path))
    with pytest.raises(ValueError, match=r"be read: no such file or directory$"):
        parsed(SrvOptions, "resolver", str(tmp_path / "none"))


@pytest.mark.parametrize("written", [0, "0s", -1, "10", "x", True, None])
def test_wrongIntervals(written: object) -> None:
    """An answer holds for some time."""
    with pytest.raises(ValueError):
        parsed(DnsOptions, "resolveInterval", written)


@pytest.mark.parametrize("written", ["", "a\0b", 1, None, ["a"]])
def test_wrongPaths(written: object) -> None:
    """A path that no file can have is refused."""
    with pytest.raises(ValueError, match=r"^expected a path$"):
        parsed(FileOptions, "path", written)


def test_kinds() -> None:
    """The sentence on kinds tells of each."""
    said = dict(optionsOf(DiscoveryOptions))["kind"]
    assert all(f'"{kind}"' in said.doc for kind in KINDS)
    assert said.default in KINDS


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "web.internal", "port": 80}, "dns web.internal"),
        ({"path": "/run/web"}, "dns /run/web"),
        ({}, "dns"),
    ],
)
def test_inTheLog(options: dict, text: str) -> None:
    """The log calls a discovery by its kind and by what it looks at."""
    assert str(DiscoveryOptions(options=options)) == text


@pytest.mark.parametrize(
    ("connect", "version"), [("tcp:a:80", "v2"), ("tls:a:443", "off")]
)
def test_completedWithHeaders(connect: str, version: str) -> None:
    """Headers are not for a backend whose endpoint speaks TLS by itself."""
    options = DiscoveryOptions(member={"proxyProtocol": "v2"})
    assert options.completed(Backend(connect)).proxyProtocol == version


def test_completed() -> None:
    """What is found has the configured values where it says nothing itself."""
    options = DiscoveryOptions(member={"weight": 3, "maxConnections": 7})
    found = options.completed(Backend("tcp:10.0.0.1:80", weight=2))
    assert found == Backend("tcp:10.0.0.1:80", weight=2, maxConnections=7)
    assert DiscoveryOptions().completed(found) == found


def test_backups() -> None:
    """
    With C{member = {backup = true}} all that is found are backups of what is listed,
    and keep the order of their tiers.
    """
    options = DiscoveryOptions(member={"backup": True, "weight": 3})
    found = [
        options.completed(Backend("tcp:a:80", weight=weight, tier=tier))
        for weight, tier in ((1, 0), (2, 10), (1, 20))
    ]
    assert [(each.effectiveTier, each.weight) for each in found] == [
        *((1, 3), (10, 2), (20, 3))
    ]
