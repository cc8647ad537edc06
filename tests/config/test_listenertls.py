"""The table C{tls} of a listener: what is refused, and in which words."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securing import Files
from twisted.internet.testing import MemoryReactorClock

from lbproxy.config.certificates import checkCertificates
from lbproxy.config.check import checkStart
from lbproxy.config.model import Configuration
from lbproxy.config.whole import configurationFromMapping
from lbproxy.words.place import ConfigurationError, Place

NOW = datetime.now(UTC)
PAIR = {"chain": "a.pem", "key": "a.key"}


def configured(tls: object, listen: object = "tcp:8443") -> Configuration:
    return configurationFromMapping(
        {
            "listener": [{"name": "web", "listen": listen, "tls": tls}],
            "pool": {"web": {"backends": ["tcp:127.0.0.1:80"]}},
        },
        "lb.toml",
    )


def refusal(tls: object, listen: object = "tcp:8443") -> str:
    with pytest.raises(ConfigurationError) as raised:
        configured(tls, listen)
    return str(raised.value).removeprefix("lb.toml: listener.web.")


@pytest.mark.parametrize(
    ("tls", "line"),
    [
        ({}, "tls.certificates: this key is required"),
        (
            {"certificates": []},
            "tls.certificates = []: expected a list of at least one",
        ),
        (
            {"certificates": [{"chain": "a.pem"}]},
            "tls.certificates[0].key: this key is required",
        ),
        (
            {"certificates": [PAIR], "client-certificate": "optional"},
            'tls: client-certificate = "optional" needs client-ca',
        ),
        (
            {"certificates": [PAIR], "client-ca": "ca.pem"},
            'tls: client-ca needs client-certificate = "optional" or "required"',
        ),
        (
            {"certificates": [PAIR], "client-crl": "crl.pem"},
            "tls: client-crl needs client-ca",
        ),
        (
            {"certificates": [PAIR], "alpn": ["h2", ""]},
            (
                'tls.alpn = ["h2", ""]: expected a list of protocols, such as '
                '["h2", "http/1.1"]'
            ),
        ),
        (
            {"certificates": [PAIR], "minimum-version": "1.1"},
            'tls.minimum-version = "1.1": expected "1.2" or "1.3"',
        ),
        (
            {"certificates": [PAIR], "handshake-timeout": 0},
            "tls.handshake-timeout = 0: must be more than 0",
        ),
    ],
)
def test_refused(tls: object, line: str) -> None:
    """One line says which key, and what was expected."""
    assert refusal(tls) == line


@pytest.mark.parametrize("listen", ["ssl:8443:privateKey=a.pem", "tls:/etc:8443"])
def test_endpointThatSpeaksTLS(listen: str) -> None:
    """TLS is spoken once, by the endpoint or by the listener."""
    assert refusal({"certificates": [PAIR]}, ["tcp:8444", listen]) == (
        f'listen = "{listen}": this endpoint speaks TLS already; write tcp: beside the '
        "table tls"
    )


def test_theTimeoutOfItsSessions() -> None:
    """The timeout is one of the listener's sessions."""
    (web,) = configured({"certificates": [PAIR], "handshake-timeout": "3s"}).listeners
    assert web.session.handshakeTimeout == 3.0
    assert web.tls is not None
    assert web.tls.paths == ("a.pem", "a.key")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def table(files: Files, *names: str, **more: object) -> dict[str, Any]:
    made = [files.issue(each) for each in names]
    pairs = [{"chain": each.chain, "key": each.key} for each in made]
    return {"certificates": pairs, **more}


def test_filesAreLoaded(files: Files) -> None:
    """A check reads all files, and names the key that leads to a bad one."""
    tls = table(files, "a.example", "b.example")
    assert not checkCertificates(configured(tls), NOW)
    bad = tls["certificates"][1]["key"]
    Path(bad).unlink()
    with pytest.raises(ConfigurationError) as raised:
        checkCertificates(configured(tls), NOW)
    line = str(raised.value)
    assert line.startswith('lb.toml: listener.web.tls.certificates[1].key = "')
    assert line.endswith(": cannot be read: No such file or directory")


@pytest.mark.parametrize("key", ["ciphers", "client-crl", "client-ca"])
def test_otherKeys(files: Files, key: str) -> None:
    """So it does for what is not a certificate."""
    more = {"client-ca": files.root, "client-certificate": "required"}
    tls = table(files, "a.example", **{**more, key: "NONSENSE"})
    with pytest.raises(ConfigurationError) as raised:
        checkCertificates(configured(tls), NOW)
    assert str(raised.value).startswith(
        f'lb.toml: listener.web.tls.{key} = "NONSENSE": '
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_mayNotRead(files: Files) -> None:
    """A key that only root may read is said to be unchecked by C{--check} of others."""
    configuration = configured(table(files, "a.example"))
    files.directory.chmod(0o700)
    os.seteuid(65534)
    try:
        (line,) = checkCertificates(configuration, NOW, asAnother=True)
        assert line.endswith(": not checked: this user may not read it")
        with pytest.raises(ConfigurationError, match="Permission denied"):
            checkCertificates(configuration, NOW)
    finally:
        os.seteuid(0)


def test_warnsOfOldRevocations(files: Files) -> None:
    """C{--check} tells of a revocation list that refuses everybody."""
    tls = table(
        files,
        "a.example",
        **{"client-ca": files.root, "client-certificate": "required"},
        **{"client-crl": files.revoking()},
    )
    assert not checkCertificates(configured(tls), NOW)
    (line,) = checkCertificates(configured(tls), NOW + timedelta(days=2))
    assert line.startswith('lb.toml: listener.web.tls.client-crl = "')
    assert line.endswith(
        f": a newer one was due on {NOW + timedelta(days=1):%Y-%m-%d}; until it comes "
        "no certificate of its authority is accepted"
    )


def test_warnsOfExpiry(files: Files) -> None:
    """C{--check} tells of certificates that expire within 30 days."""
    now = datetime.now(UTC)
    reactor = MemoryReactorClock()
    reactor.advance(now.timestamp())
    soon = files.issue("a.example", until=now + timedelta(days=10, hours=1))
    later = files.issue("b.example", until=now + timedelta(days=31))
    pairs = [{"chain": each.chain, "key": each.key} for each in (later, soon)]
    warnings = checkStart(
        reactor, configured({"certificates": pairs}, "tcp:0"), Place("lb.toml")
    )
    day = now + timedelta(days=10, hours=1)
    (line,) = warnings
    assert line.startswith('lb.toml: listener.web.tls.certificates[1].chain = "')
    assert line.endswith(f": it expires in 10 days, on {day:%Y-%m-%d}")
