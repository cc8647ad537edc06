"""TLS to backends is read from a file, and what it names is read too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from configured import configured
from handshakes import authority, issued, written

from lbproxy import Backend, Configuration, ConfigurationError
from lbproxy.config.backendsfile import BackendsFile
from lbproxy.config.backendtls import contextsOf
from lbproxy.config.check import checkConfiguration
from lbproxy.config.file import configurationFromText
from lbproxy.testing import MemoryNetwork
from lbproxy.words.place import shown
from lbproxy.words.tlsoptions import TLSOptions

BACKENDS = 'backends = [{{ connect = "{}", name = "a", tls = {{ {} }} }}]\n'
DNS = (
    'discovery = {{ name = "web.internal", port = 443, member = {{ tls = {{ {} }} }} }}'
)


def read(lines: str) -> Configuration:
    """A configuration whose pool has these lines."""
    return configurationFromText(configured(pool=lines), "lb.toml")


def test_allKeys() -> None:
    """What a table says is how TLS is spoken to its backend."""
    keys = (
        'server-name = "A.internal", ca = "ca.pem", chain = "c.pem", key = "c.key", '
        'verify = false, alpn = ["h2", "http/1.1"], minimum-version = "1.3"'
    )
    (pool,) = read(BACKENDS.format("tcp:10.0.0.1:443", keys)).pools
    options = TLSOptions(
        serverName="A.internal",
        ca="ca.pem",
        chain="c.pem",
        key="c.key",
        verify=False,
        alpn=("h2", "http/1.1"),
        minimumVersion="1.3",
    )
    assert pool.backends == (Backend("tcp:10.0.0.1:443", "a", tls=options),)


def test_defaults() -> None:
    """An empty table is TLS, verified, for the host that is connected to."""
    (pool,) = read(BACKENDS.format("tcp:shop.internal:443", "")).pools
    (backend,) = pool.backends
    assert backend.tls == TLSOptions()
    assert backend.tls.verify
    assert backend.serverName == "shop.internal"
    assert backend.at("10.0.0.1").serverName == "shop.internal"
    assert Backend("tcp:10.0.0.1:443", tls=TLSOptions()).serverName == "10.0.0.1"


def test_ofThoseFound() -> None:
    """What a discovery finds is spoken TLS to, unless it says itself how."""
    (pool,) = read(DNS.format('ca = "ca.pem"')).pools
    assert pool.discovery is not None
    options, own = TLSOptions(ca="ca.pem"), TLSOptions(verify=False)
    completed = pool.discovery.completed
    assert completed(Backend("tcp:10.0.0.1:443")).tls == options
    assert completed(Backend("tcp:10.0.0.1:443", tls=own)).tls == own
    assert completed(Backend("tls:shop.internal:443")).tls is None


@pytest.mark.parametrize(
    ("connect", "keys", "error"),
    [
        ("tcp:a:1", "verify = 1", "tls.verify = 1: expected true or false"),
        ("tcp:a:1", "ca = 5", "tls.ca = 5: expected the path of a file"),
        ("tcp:a:1", 'alpn = "h2"', 'tls.alpn = "h2": expected a list of protocols, su'),
        ("tcp:a:1", 'alpn = [""]', 'tls.alpn = [""]: expected a list of protocols, su'),
        (
            "tcp:a:1",
            'minimum-version = "1.1"',
            'tls.minimum-version = "1.1": expected "1.2" or "1.3"',
        ),
        *(
            (
                "tcp:a:1",
                f'server-name = "{name}"',
                f'tls.server-name = "{name}": expected the name of a host or an IP ad',
            )
            for name in ("[::1]", "a b", "a..b", "*.internal", "a:443", "1.2.3.400")
        ),
        (
            "tcp:a:1",
            'key = "c.key"',
            'tls.key = "c.key": its certificate is missing; name it as chain',
        ),
        ("tcp:a:1", "cert = 1", "tls.cert = 1: unknown key; "),
        (
            "tls:a:1",
            "",
            "tls: a tls: endpoint speaks TLS by itself; use tcp:",
        ),
        (
            "unix:/run/a.sock",
            "",
            "tls.server-name: required, since unix:/run/a.sock has no host name to v",
        ),
    ],
)
def test_refused(connect: str, keys: str, error: str) -> None:
    """One line names the file and the key, and says what was expected."""
    with pytest.raises(ConfigurationError) as raised:
        read(BACKENDS.format(connect, keys))
    assert str(raised.value).startswith(f"lb.toml: pool.web.backends[0].{error}")


@pytest.mark.parametrize(
    "keys", ["verify = false", 'server-name = "a.internal"', 'server-name = "::1"']
)
def test_namesThatDo(keys: str) -> None:
    """A socket of the file system needs a name, if that is verified."""
    read(BACKENDS.format("unix:/run/a.sock", keys))


@pytest.mark.parametrize(
    ("lines", "place"),
    [(BACKENDS, "pool.web.backends[0].tls"), (DNS, "pool.web.discovery.member.tls")],
)
def test_files(tmp_path: Path, lines: str, place: str) -> None:
    """A check reads the files, and names the one that cannot be used."""
    network = MemoryNetwork()
    keys = f'ca = "{tmp_path}/ca.pem"'
    configuration = read(
        lines.format("tcp:a:1", keys) if lines is BACKENDS else lines.format(keys)
    )
    with pytest.raises(ConfigurationError) as raised:
        checkConfiguration(network, configuration)
    value = shown(f"{tmp_path}/ca.pem")
    said = f"lb.toml: {place}.ca = {value}: No such file or directory"
    assert str(raised.value) == said
    written(tmp_path, "ca.pem", authority("ours").cert_pem)
    checkConfiguration(network, configuration)
    (options,) = contextsOf(configuration)
    assert options == TLSOptions(ca=f"{tmp_path}/ca.pem")


def test_filesOfThoseInAFile(tmp_path: Path) -> None:
    """A file of backends is used as a whole or not at all, files of TLS included."""
    own = issued("lbproxy.internal")
    chain = written(tmp_path, "own.pem", *own.cert_chain_pems)
    one = {"connect": "tcp:a:1", "name": "a", "tls": {"chain": chain}}
    reads, content = BackendsFile(MemoryNetwork()), json.dumps([one]).encode()
    with pytest.raises(ConfigurationError) as raised:
        reads.read(content, "backends.json")
    said = f"backends[0].tls.chain = {shown(chain)}: it has no private key in PEM"
    assert str(raised.value) == f"backends.json: {said}"
    written(tmp_path, "own.pem", own.private_key_and_cert_chain_pem)
    (backend,) = reads.read(content, "backends.json")
    assert backend.tls == TLSOptions(chain=chain)
