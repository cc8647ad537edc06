"""The table of health checks: what is read, and what is refused in one line."""

from __future__ import annotations

import pytest
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy import (
    Backend,
    ConfigurationError,
    HealthProbePlugin,
    IHealthProbe,
    IHealthProbeFactory,
    Option,
)
from lbproxy.balance.checks import CheckOptions
from lbproxy.config.check import checkConfiguration
from lbproxy.config.file import configurationFromText
from lbproxy.health.options import HealthCheckOptions
from lbproxy.plugins.making import buildProbe
from lbproxy.testing import MemoryNetwork
from lbproxy.words.units import moreThanNone

WEB = """
[[listener]]
listen = "tcp:8080"
[pool.web]
backends = [{backend}]
[pool.web.health-check]
"""
TCP = '"tcp:10.0.0.1:80"'


def read(lines: str, backend: str = TCP):
    """What a file with these lines has, checked as C{--check} does."""
    written = WEB.format(backend=backend) + lines
    configuration = configurationFromText(written, "f")
    checkConfiguration(MemoryNetwork(), configuration)
    return configuration.pools[0].healthCheck


def test_defaults() -> None:
    """An empty table checks that members accept, every two seconds."""
    assert read("") == HealthCheckOptions()
    plain = HealthCheckOptions()
    assert (plain.kind, plain.interval, plain.timeout) == ("tcp", 2.0, 2.0)
    assert plain.check == CheckOptions(rise=2, fall=3, initial="up")


def test_withoutTheTable() -> None:
    """Nothing is checked that nobody asked for."""
    text = WEB.format(backend=TCP).replace("[pool.web.health-check]\n", "")
    assert configurationFromText(text, "f").pools[0].healthCheck is None


def test_everyKey() -> None:
    """Keys of all kinds become values; those of the kind are kept for it."""
    found = read(
        'kind = "http"\ninterval = "5s"\ntimeout = 10\nrise = 1\nfall = 9\n'
        'initial = "down"\naddress = "::1"\nport = 81\npath = "/x"\nhost = "h"\n'
        'proxy-protocol = "v2"'
    )
    assert found == HealthCheckOptions(
        kind="http",
        interval=5.0,
        timeout=10.0,
        check=CheckOptions(rise=1, fall=9, initial="down"),
        address="::1",
        port=81,
        proxyProtocol="v2",
        options={"path": "/x", "host": "h"},
    )


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("kind = 1", 'kind = 1: expected "tcp", "tls"'),
        ("interval = 0", "interval = 0: must be more than 0"),
        ('timeout = "0s"', 'timeout = "0s": must be more than 0'),
        ("rise = 0", "rise = 0: expected a whole number of 1 or more"),
        ('initial = "sideways"', 'expected "up" or "down"'),
        ("port = 65536", "port = 65536: expected a whole number from 0 to 65535"),
        ('address = "[::1]"', "expected an IP address, without brackets"),
        ('address = "web.internal"', "expected an IP address, without brackets"),
        ('path = "/"', 'this key is for kind = "http", and kind is "tcp"'),
        ('kind = "http"\nsend = "x"', 'is for kind = "exchange", and kind is "http"'),
        ('kind = "http"\npath = "/a\\nb"', "expected a path such as"),
        ('kind = "http"\nhost = "a b"', "expected a host: printable ASCII"),
        ('kind = "http"\nexpect-status = "2xx"', "expected status codes from 100"),
        ('kind = "http"\nexpect-status = "399-200"', "expected status codes"),
        ('kind = "http"\nexpect-status = 200', "expected status codes"),
        ('kind = "http"\npaht = "/"', 'the nearest known one is "path"'),
        ('kind = "exchange"', '"exchange" needs expect or expect-regex'),
        (
            'kind = "exchange"\nexpect = "a"\nexpect-regex = "b"',
            "expect and expect-regex exclude each other",
        ),
        ('kind = "exchange"\nexpect-regex = "("', "expected a regular expression: "),
        ('proxy-protocol = "on"', 'expected "auto" or "off" or "v1" or "v2"'),
    ],
)
def test_refused(lines: str, error: str) -> None:
    """One line names the key, and says what was expected."""
    with pytest.raises(ConfigurationError) as raised:
        read(lines)
    assert error in str(raised.value)
    assert "pool.web.health-check" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


PROBE = f"python:{__name__}"


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (
            'kind = "htpp"\npath = "/"',
            '.kind = "htpp": there is no health check "htpp"; known: exchange, http, ',
        ),
        (
            'kind = "python:json.nothing"',
            '.kind = "python:json.nothing": json.nothing cannot be imported',
        ),
        (
            f'kind = "{PROBE}.NOSY_PLUGIN"\nleast-lag = 3',
            '.least-lag = 3: unknown option "least-lag"; the nearest known one is "mos',
        ),
        (
            f'kind = "{PROBE}.NOSY_PLUGIN"\nmost-lag = 0',
            '.most-lag = 0: option "most-lag": must be more than 0',
        ),
        (
            f'kind = "{PROBE}.NOSY"\nmost-lag = 3',
            f".most-lag = 3: {PROBE}.NOSY is a health check already; it takes no op",
        ),
        (
            f'kind = "{PROBE}.NONE_PLUGIN"\nmost-lag = 3',
            f".most-lag = 3: {PROBE}.NONE_PLUGIN takes no options",
        ),
    ],
)
def test_refusedWithThePlugin(lines: str, error: str) -> None:
    """What only the plugin can tell is told of the key that it was written for."""
    with pytest.raises(ConfigurationError) as raised:
        read(lines)
    assert str(raised.value).startswith(f"f: pool.web.health-check{error}")


@pytest.mark.parametrize(
    ("backend", "lines", "error"),
    [
        ('"unix:/run/a"', "port = 81", "unix:/run/a has no address of its own"),
        ('"unix:/run/a"', 'address = "::1"', "unix:/run/a has no port of its own"),
        (r"'tls:a:443:endpoint=unix\:b'", "port = 81", "has no address of its own"),
        (
            '"tls:a:443"',
            'proxy-protocol = "v1"',
            "pool.web.health-check.proxy-protocol: tls:a:443 has PROXY headers within",
        ),
    ],
)
def test_noPlaceToCheck(backend: str, lines: str, error: str) -> None:
    """Half an address is refused where the backend does not have the rest."""
    with pytest.raises(ConfigurationError) as raised:
        read(lines, backend)
    assert error in str(raised.value)


@pytest.mark.parametrize(
    ("connect", "given", "target"),
    [
        ("tcp:10.0.0.1:80", {}, "tcp:10.0.0.1:80"),
        ("tcp:10.0.0.1:80", {"port": 81}, "tcp:10.0.0.1:81"),
        ("tcp:host=a:port=80", {"port": 81}, "tcp:a:81"),
        ("tcp:10.0.0.1:80", {"address": "::1"}, r"tcp:\:\:1:80"),
        ("tls:a:443", {"port": 80}, "tcp:a:80"),
        ("unix:/run/a", {"address": "10.0.0.2", "port": 80}, "tcp:10.0.0.2:80"),
    ],
)
def test_target(connect: str, given: dict, target: str) -> None:
    """A check may go to another place than the connections; the name stays."""
    found = HealthCheckOptions(**given).target(Backend(connect, name="a"))
    assert found == Backend(target, name="a")


@pytest.mark.parametrize(
    ("has", "given", "begins"),
    [
        ("v1", {}, "v1"),
        ("off", {}, "off"),
        ("v1", {"port": 81}, "off"),
        ("v1", {"address": "::1"}, "off"),
        ("v1", {"proxyProtocol": "off"}, "off"),
        ("v1", {"proxyProtocol": "v2"}, "v2"),
        ("off", {"proxyProtocol": "v2"}, "v2"),
        ("off", {"proxyProtocol": "v1", "port": 81}, "v1"),
    ],
)
def test_header(has: str, given: dict, begins: str) -> None:
    """A check begins as connections do, where these go; or as it says itself."""
    backend = Backend("tcp:10.0.0.1:80", proxyProtocol=has)
    found = HealthCheckOptions(**given).target(backend)
    assert found.proxyProtocol == begins


@implementer(IHealthProbe)
class Nosy:
    """A probe that keeps what it was made with."""

    def __init__(self, reactor, **options) -> None:
        self.made = reactor, options

    async def probe(self, backend) -> None:
        """Pass."""


NOSY = Nosy(None)
NOSY_PLUGIN = HealthProbePlugin(
    "nosy", Nosy, {"most-lag": Option(moreThanNone, 1.0, "Lag.")}
)
NONE_PLUGIN = HealthProbePlugin("none", Nosy)


def test_pluginOptions() -> None:
    """The keys of a plugin's kind go to it, read as it declares them."""
    verifyObject(IHealthProbeFactory, NOSY_PLUGIN)
    network = MemoryNetwork()
    choice = HealthCheckOptions(kind="nosy", options={"most-lag": "3s"})
    probe = buildProbe(choice, network, factories=[NOSY_PLUGIN])
    assert isinstance(probe, Nosy)
    assert probe.made == (network, {"most_lag": 3.0})


def test_pythonKind() -> None:
    """A class can be named in place of a plugin; its keys arrive as written."""
    network = MemoryNetwork()
    choice = HealthCheckOptions(kind="python:twisted.python.util.FancyEqMixin")
    with pytest.raises(ConfigurationError, match="cannot be built"):
        buildProbe(choice, network)
    found = read('kind = "tcp"')
    assert verifyObject(IHealthProbe, buildProbe(found, network))
