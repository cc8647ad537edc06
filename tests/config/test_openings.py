"""What connections begin with is configured, or refused in one line."""

from __future__ import annotations

import pytest
from configured import configured

from lbproxy import Backend
from lbproxy.config.file import configurationFromText
from lbproxy.config.model import ListenerConfiguration
from lbproxy.words.networks import parseNetwork
from lbproxy.words.place import ConfigurationError


def listenerOf(keys: str, listen: str = "tcp:8080") -> ListenerConfiguration:
    """The listener of a configuration with some keys."""
    text = configured("tcp:a:1", listen=listen, listener=keys)
    (listener,) = configurationFromText(text, "lb.toml").listeners
    return listener


def test_defaults() -> None:
    """Without these keys nothing is looked at, and nobody is believed."""
    listener = listenerOf("")
    assert listener.proxyProtocol == "off"
    assert listener.trustedProxies == ()
    assert not listener.asksHello
    assert listener.session.proxyHeaderTimeout == 5
    assert listener.session.clientHelloTimeout == 5


def test_read() -> None:
    """Each key is read."""
    listener = listenerOf(
        """
        proxy-protocol = "required"
        trusted-proxies = ["10.0.0.0/8", "unix:"]
        proxy-header-timeout = "1s"
        client-hello-timeout = "2s"
        require-tls = true
        """
    )
    assert listener.proxyProtocol == "required"
    assert listener.trustedProxies == (
        parseNetwork("10.0.0.0/8"),
        parseNetwork("unix:"),
    )
    assert listener.session.proxyHeaderTimeout == 1
    assert listener.session.clientHelloTimeout == 2
    assert listener.asksHello


TERMINATES = 'tls = { certificates = [{ chain = "a.pem", key = "a.key" }] }'
PROXIES = 'trusted-proxies = ["::1"]'
SSL = "ssl:443:privateKey=a.pem"


@pytest.mark.parametrize(
    ("keys", "listen", "line"),
    [
        (
            'proxy-protocol = "on"',
            "tcp:8080",
            'proxy-protocol = "on": expected "off" or "optional" or "required"',
        ),
        (
            'proxy-protocol = "required"',
            "tcp:8080",
            (
                'proxy-protocol = "required": nobody\'s header would be believed; '
                "name the proxies in trusted-proxies"
            ),
        ),
        (
            'proxy-protocol = "optional"\ntrusted-proxies = []',
            "tcp:8080",
            (
                'proxy-protocol = "optional": nobody\'s header would be believed; '
                "name the proxies in trusted-proxies"
            ),
        ),
        (
            f'proxy-protocol = "optional"\n{PROXIES}',
            SSL,
            (
                'proxy-protocol = "optional": a PROXY header comes before TLS, and '
                "cannot be read on a ssl: endpoint; use a tcp: endpoint and "
                "[listener.tls]"
            ),
        ),
        (
            f'proxy-protocol = "optional"\n{PROXIES}\n{TERMINATES}',
            "unix:/run/lb.sock",
            (
                'proxy-protocol = "optional": with [listener.tls] a PROXY header is '
                "read on tcp: endpoints only, and not on unix:"
            ),
        ),
        (
            "require-tls = true",
            "tls:certificates:443",
            "require-tls = true: every client of a TLS endpoint begins with TLS",
        ),
        (
            'routes = [{ server-name = "a", pool = "web" }]',
            "tls:certificates:443",
            (
                "routes[0].server-name: this is not known of clients of a tls: "
                "endpoint; use a tcp: endpoint and [listener.tls]"
            ),
        ),
        (
            'routes = [{ client = "::1", pool = "web" }, { alpn = "a", pool = "web" }]',
            SSL,
            (
                "routes[1].alpn: this is not known of clients of a ssl: endpoint; "
                "use a tcp: endpoint and [listener.tls]"
            ),
        ),
        (
            'trusted-proxies = ["proxy.example"]',
            "tcp:8080",
            (
                'trusted-proxies[0] = "proxy.example": expected a network or an '
                'address, such as "10.0.0.0/8" or "::1", "unix:", '
                '"unix:/path", or "all"'
            ),
        ),
        (
            "proxy-header-timeout = 0",
            "tcp:8080",
            "proxy-header-timeout = 0: must be more than 0",
        ),
    ],
)
def test_refused(keys: str, listen: str, line: str) -> None:
    """The line names the key, and says what to do instead."""
    with pytest.raises(ConfigurationError) as refused:
        listenerOf(keys, listen)
    assert str(refused.value).startswith(f"lb.toml: listener.front.{line}")


def backendsOf(pool: str) -> tuple[Backend, ...]:
    """The backends of a configuration whose pool has some keys."""
    (found,) = configurationFromText(configured(pool=pool), "lb.toml").pools
    return found.backends


def test_backends() -> None:
    """Each backend is told in its own way."""
    first, second, third = backendsOf(
        """
        backends = [
            "tcp:a:1",
            { connect = "tcp:a:2", proxy-protocol = "v1" },
            { connect = "unix:/a", proxy-protocol = "v2" },
        ]
        """
    )
    assert first.proxyProtocol == "off"
    assert second.proxyProtocol == "v1"
    assert third.proxyProtocol == "v2"


@pytest.mark.parametrize("kind", ["tls", "ssl"])
def test_backendsWithinTLS(kind: str) -> None:
    """A header would be where no backend looks for it."""
    connect = f"{kind}:a.example:443"
    with pytest.raises(ConfigurationError) as refused:
        backendsOf(f'backends = [{{ connect = "{connect}", proxy-protocol = "v2" }}]')
    assert str(refused.value) == (
        f'lb.toml: pool.web.backends[0].proxy-protocol = "v2": {connect} has PROXY '
        "headers within TLS, where nobody looks for them; use a tcp: endpoint"
    )
