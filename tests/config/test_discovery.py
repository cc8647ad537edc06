"""The table of a pool's discovery: what is read, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy import ConfigurationError, IDiscovery, IDiscoveryObserver
from lbproxy.config.check import checkConfiguration
from lbproxy.config.file import configurationFromText
from lbproxy.discoveries import discoveryOf
from lbproxy.discovery.dns import DnsDiscovery, SrvDiscovery
from lbproxy.discovery.file import FileDiscovery
from lbproxy.discovery.options import DiscoveryOptions
from lbproxy.generation import Process
from lbproxy.testing import MemoryNetwork
from lbproxy.words.place import Place

WEB = """
[[listener]]
listen = "tcp:8080"
[pool.web.discovery]
"""
DNS = 'name = "web.internal"\nport = 80\n'
SRV = 'kind = "srv"\nname = "_web._tcp.internal"\n'


@implementer(IDiscovery)
class Nothing:
    """Finds nothing."""

    def __init__(self, reactor: object, **options: object) -> None:
        self.options = options

    def start(self, observer: IDiscoveryObserver) -> None:
        """Find nothing."""

    def stop(self) -> None:
        """Find nothing any longer."""


NOTHING = f'kind = "python:{__name__}.Nothing"\n'


def read(lines: str) -> DiscoveryOptions:
    """What a file with these lines has, checked as C{--check} does."""
    configuration = configurationFromText(WEB + lines, "f")
    checkConfiguration(MemoryNetwork(), configuration)
    found = configuration.pools[0].discovery
    assert found is not None
    return found


def test_defaults() -> None:
    """A host and a port are enough."""
    options = {"name": "web.internal", "port": 80}
    assert read(DNS) == DiscoveryOptions(kind="dns", options=options)


def test_member() -> None:
    """Only what was written of members counts, also if it is the default."""
    found = read(DNS + "[pool.web.discovery.member]\nmax-connections = 7\nweight = 1")
    assert found.member == {"maxConnections": 7, "weight": 1}
    assert "member" not in found.options


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (DNS, DnsDiscovery),
        (DNS + 'resolver = "10.0.0.2"\nresolve-interval = "5s"', DnsDiscovery),
        (SRV, SrvDiscovery),
        (SRV + 'resolver = "10.0.0.2:5353"', SrvDiscovery),
        ('kind = "file"\npath = "web.toml"', FileDiscovery),
        (NOTHING, Nothing),
    ],
)
def test_made(lines: str, kind: type) -> None:
    """Each kind makes its own discovery."""
    process = Process(MemoryNetwork())
    made = discoveryOf(process, read(lines), Place("f", "pool.web.discovery"))
    assert type(made) is kind
    assert verifyObject(IDiscovery, made)


def test_keysOfAPlugin() -> None:
    """The keys of a kind of one's own arrive as they were written."""
    options = read(NOTHING + 'some-key = "a"\nport = 0')
    made: Any = discoveryOf(Process(MemoryNetwork()), options, Place("f"))
    assert made.options == {"some_key": "a", "port": 0}


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("", ".name: this key is required"),
        ('name = "a"', ".port: this key is required"),
        ("kind = 1", '.kind = 1: expected "dns", "srv", "file", or the name of a plu'),
        ('kind = "dsn"', '.kind = "dsn": there is no discovery "dsn"'),
        ('kind = "file"', ".path: this key is required"),
        ('kind = "file"\npath = ""', '.path = "": expected a path'),
        ('kind = "file"\npath = ["a"]', '.path = ["a"]: expected a path'),
        ('name = "a b"\nport = 80', '.name = "a b": expected a name of the DNS, such'),
        ('name = "a"\nport = 0', ".port = 0: expected a whole number from 1 to 65535"),
        ('name = "a"\nport = "80"', '.port = "80": expected a whole number from 1'),
        (SRV + "port = 80", '.port = 80: this key is for kind = "dns", and kind is'),
        (SRV + 'path = "a"', '.path = "a": this key is for kind = "file", and kind'),
        (DNS + 'path = "a"', '.path = "a": this key is for kind = "file", and kind'),
        (
            'kind = "file"\npath = "a"\nresolver = ""',
            '.resolver = "": this key is for kind = "dns" or "srv", and kind is "file"',
        ),
        (DNS + 'resolver = "dns"', '.resolver = "dns": expected DNS servers, such as'),
        (
            DNS + 'resolver = "/none"',
            '.resolver = "/none": expected a file that can be read: no such file or',
        ),
        (DNS + "resolve-interval = 0", ".resolve-interval = 0: must be more than 0"),
        (DNS + 'prot = "a"', '.prot = "a": unknown key; the nearest known one is "po'),
        (DNS + "member = 1", ".member = 1: expected a table, [pool.NAME.discovery.me"),
        (DNS + "member.weight = 0", ".member.weight = 0: expected a whole number from"),
        (
            DNS + 'member.connect = "a"',
            '.member.connect = "a": unknown key; the nearest known',
        ),
        (DNS + 'member.name = "a"', '.member.name = "a": unknown key; '),
        (DNS + "member.tls = true", ".member.tls = true: expected a table, [pool.NA"),
        (DNS + "member.tls.verify = 1", ".member.tls.verify = 1: expected true or fal"),
        (NOTHING + "member.weight = 0", ".member.weight = 0: expected a whole number"),
        ('kind = "python:json.none"', '.kind = "python:json.none": json.none cannot b'),
    ],
)
def test_refused(lines: str, error: str) -> None:
    """One line names the file and the key, and says what was expected."""
    with pytest.raises(ConfigurationError) as raised:
        read(lines)
    assert str(raised.value).startswith(f"f: pool.web.discovery{error}")
    assert str(raised.value).isprintable()


def test_notATable() -> None:
    """A kind alone is no discovery."""
    text = '[[listener]]\nlisten = "tcp:1"\n[pool.web]\ndiscovery = "dns"'
    with pytest.raises(ConfigurationError) as raised:
        configurationFromText(text, "f")
    assert str(raised.value) == (
        'f: pool.web.discovery = "dns": expected a table, [pool.NAME.discovery]'
    )


def test_nothingIsReadYet(tmp_path: Path) -> None:
    """A check reads no file of backends, and asks nobody for a name."""
    network = MemoryNetwork()
    path = tmp_path / "none"
    made = discoveryOf(
        Process(network), read(f'kind = "file"\npath = "{path}"'), Place("f")
    )
    assert isinstance(made, FileDiscovery)
    assert isinstance(network, Clock)
    assert not network.calls
