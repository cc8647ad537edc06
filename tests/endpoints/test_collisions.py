"""Two endpoints that cannot listen at the same time are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbproxy.config.whole import configurationFromMapping
from lbproxy.endpoints.collisions import ListeningAddress
from lbproxy.words.endpoints import ServerDescription
from lbproxy.words.place import ConfigurationError


def refusal(one: str, other: str) -> str | None:
    """What somebody who listens on both is told."""
    document: dict[str, object] = {
        "listener": [{"name": "a", "listen": one}, {"name": "b", "listen": other}],
        "pool": {"web": {"backends": ["tcp:h:1"]}},
    }
    try:
        configurationFromMapping(document, "lb.toml")
    except ConfigurationError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp:8080", "tcp:08080"),
        ("tcp:8080", "tcp:port=8080"),
        ("tcp:8080", "TCP6:8080"),
        ("tcp:8080", "tcp:8080:backlog=5"),
        ("tcp:8080", r"tcp:8080:interface=0.0.0.0"),
        ("tcp:8080", "tcp:8080:interface=127.0.0.1"),
        ("tcp:8080:127.0.0.1", "tcp:8080:interface=127.1"),
        ("tcp6:8080", "tcp:8080:interface=127.0.0.1"),
        (r"tcp:8080:interface=\:\:1", r"tcp6:8080:interface=0\:0\:\:1"),
        ("tcp6:8080", r"tcp:8080:interface=\:\:1"),
        ("tcp:8443", "ssl:8443:privateKey=a.pem"),
        ("tcp:8443", "tls:/certificates:8443"),
        ("unix:/run/a", "unix:address=/run/a"),
        ("unix:/run/a", "unix:/run/../run/a:mode=660"),
    ],
)
def test_oneAddressSpelledTwice(one: str, other: str) -> None:
    """It is refused before the second of them fails at the start."""
    shown = other.replace("\\", "\\\\")
    assert refusal(one, other) == (
        f'lb.toml: listener.b.listen = "{shown}": this is listened on already, by '
        f'"{one}"'
    )
    assert refusal(other, one) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp:0", "tcp:0"),
        ("tcp:0:interface=127.0.0.1", "tcp:0"),
        ("tcp:8080", "tcp:8081"),
        ("tcp:8080:interface=127.0.0.1", "tcp:8080:interface=127.0.0.2"),
        ("tcp:8080", r"tcp:8080:interface=\:\:1"),
        ("unix:/run/a", "unix:/run/b"),
        ("systemd:INET:0", "systemd:INET:1"),
    ],
)
def test_twoAddresses(one: str, other: str) -> None:
    """Neither of them is in the way of the other."""
    assert refusal(one, other) is None
    assert refusal(other, one) is None


@given(st.text(), st.text(alphabet=":=\\a1tcp"))
def test_anyTextHasAnAddress(one: str, other: str) -> None:
    """Whatever can be parsed is compared; what is wrong with it is said later."""
    try:
        described = [ServerDescription.parse(each) for each in (one, f"tcp:{other}")]
    except ValueError:
        return
    ours, theirs = map(ListeningAddress.of, described)
    assert ours.meets(ours) is (ours.port != 0)
    assert ours.meets(theirs) is theirs.meets(ours)
