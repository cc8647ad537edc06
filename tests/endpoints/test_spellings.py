"""Who writes an address as elsewhere is shown how it is written here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock

from lbproxy.endpoints.spellings import likelyClient, likelyServer
from lbproxy.words.description import Description
from lbproxy.words.place import ConfigurationError, Place

from .described import checkClient, checkServer

PLACE = Place("lb.toml", "key")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:9001", "tcp:127.0.0.1:9001"),
        ("localhost:80", "tcp:localhost:80"),
        ("b1.shop.example:80", "tcp:b1.shop.example:80"),
        ("9001", "tcp:127.0.0.1:9001"),
        ("10.0.0.1", "tcp:10.0.0.1:PORT"),
        ("[::1]:9001", r"tcp:\:\:1:9001"),
        ("::1:9001", r"tcp:\:\:1:9001"),
        ("fd00::1", r"tcp:fd00\:\:1:PORT"),
        ("http://10.0.0.1:81/path", "tcp:10.0.0.1:81"),
        ("http://10.0.0.1", "tcp:10.0.0.1:80"),
        ("https://shop.example/", "tcp:shop.example:443"),
        ("/run/backend.sock", "unix:/run/backend.sock"),
    ],
)
def test_client(text: str, meant: str) -> None:
    """A backend's address is shown as an endpoint, in quotes that TOML takes."""
    with pytest.raises(ConfigurationError) as raised:
        checkClient(MemoryReactorClock(), text, PLACE)
    reason = f"it does not begin with a kind of endpoint: '{meant}'"
    assert str(raised.value) == str(PLACE.refuse(text, reason))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("8080", "tcp:8080"),
        (":8080", "tcp:8080"),
        ("*:8080", "tcp:8080"),
        ("0.0.0.0:8080", "tcp:8080"),
        ("127.0.0.1:8080", "tcp:8080:interface=127.0.0.1"),
        ("localhost:8080", "tcp:8080:interface=127.0.0.1"),
        ("[::1]:8080", r"tcp:8080:interface=\:\:1"),
        ("http://0.0.0.0:8080", "tcp:8080"),
        ("/run/web.sock", "unix:/run/web.sock"),
    ],
)
def test_server(text: str, meant: str) -> None:
    """A place to listen at is shown as an endpoint."""
    with pytest.raises(ConfigurationError) as raised:
        checkServer(MemoryReactorClock(), text, PLACE)
    reason = f"it does not begin with a kind of endpoint: '{meant}'"
    assert str(raised.value) == str(PLACE.refuse(text, reason))


@pytest.mark.parametrize("text", ["", "x", "udp:127.0.0.1:53", "a b", "localhost"])
def test_nothingIsGuessed(text: str) -> None:
    """Where one cannot tell what was meant, nothing is suggested."""
    assert likelyServer(text) is None


@given(st.text() | st.text(alphabet=":.[]1a/*\\"))
def test_whatIsSuggestedIsADescription(text: str) -> None:
    """Whatever was written, what is suggested can be read."""
    for meant in (likelyServer(text), likelyClient(text)):
        if meant is not None:
            assert Description.parse(meant).positional[0] in ("tcp", "unix")
