"""Server names are read, and names are looked up in them."""

from __future__ import annotations

import pytest

from lbproxy.words.servernames import ServerNames, parseServerName


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("www.example.com", "www.example.com"),
        ("WWW.Example.COM", "www.example.com"),
        ("*.example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("*.com", "*.com"),
        ("a_b-c.1", "a_b-c.1"),
        ("b\u00fcro.de", "xn--bro-hoa.de"),
    ],
)
def test_read(written: str, read: str) -> None:
    """A name is read in the form in which clients send it."""
    assert parseServerName(written) == read


@pytest.mark.parametrize(
    "written",
    [
        *("", "*", "*.", "a.*.b", "*a.b", "a..b", ".a", "a.", "a b", "a:1", "a\n"),
        *("x" * 64, ".".join(["x" * 63] * 4), "\u00fc" * 64, 7, None),
    ],
)
def test_refused(written: object) -> None:
    """What no client can ask for is refused."""
    with pytest.raises(ValueError, match=r'expected a server name, such as "www\.'):
        parseServerName(written)


@pytest.mark.parametrize(
    ("name", "within"),
    [
        ("a.example", True),
        ("b.a.example", False),
        ("example", False),
        ("w.example", False),
        ("x.w.example", True),
        ("y.x.w.example", True),
        ("xw.example", False),
        ("", False),
    ],
)
def test_lookedUp(name: str, within: bool) -> None:
    """A name is itself; with an asterisk it is all that are below it."""
    names = ServerNames(["a.example", "*.w.example"])
    assert (name in names) is within


def test_withoutEndings() -> None:
    """Names alone do not have others below them."""
    assert "b.a" not in ServerNames(["a"])
