"""Which DNS servers are asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbproxy.discovery.resolvconf import Server, parseResolver, resolvConf


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nameserver 192.0.2.1\n", ["192.0.2.1"]),
        ("nameserver\t192.0.2.1 # mine\nnameserver ::1\n", ["192.0.2.1", "::1"]),
        ("nameserver fe80::1%eth0", ["fe80::1%eth0"]),
        ("#nameserver 192.0.2.1\n;nameserver 192.0.2.2\n", ["127.0.0.1"]),
        (" nameserver 192.0.2.1\n", ["127.0.0.1"]),
        ("nameservers 192.0.2.1\nnameserver\nnameserver ns.test\n", ["127.0.0.1"]),
        ("domain test\nsearch a b\noptions ndots:5 rotate\n", ["127.0.0.1"]),
        ("search a\nnameserver 192.0.2.1\noptions timeout:1\n", ["192.0.2.1"]),
        ("", ["127.0.0.1"]),
        ("\xff\xfe\0\nnameserver 192.0.2.1\n", ["192.0.2.1"]),
        (
            "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 6)),
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
        ),
    ],
)
def test_resolvConf(tmp_path: Path, text: str, servers: list[str]) -> None:
    """The servers of a resolv.conf are those that the system's resolver asks."""
    path = tmp_path / "resolv.conf"
    path.write_bytes(text.encode("latin-1"))
    assert resolvConf(str(path)) == tuple((each, 53) for each in servers)
    assert parseResolver(str(path)) == resolvConf(str(path))


def test_noResolvConf(tmp_path: Path) -> None:
    """Without a file that can be read, the server of this machine is asked."""
    assert resolvConf(str(tmp_path / "none")) == (("127.0.0.1", 53),)
    assert resolvConf(str(tmp_path)) == (("127.0.0.1", 53),)


@pytest.mark.parametrize(
    ("written", "servers"),
    [
        ("", None),
        ("192.0.2.1", [("192.0.2.1", 53)]),
        ("192.0.2.1:5353", [("192.0.2.1", 5353)]),
        ("::1", [("::1", 53)]),
        ("[::1]:5353", [("::1", 5353)]),
        ("fe80::1%eth0", [("fe80::1%eth0", 53)]),
        ("192.0.2.1,[::1]:65535", [("192.0.2.1", 53), ("::1", 65535)]),
        (" 192.0.2.1:1 , ::1 ", [("192.0.2.1", 1), ("::1", 53)]),
    ],
)
def test_parseResolver(written: str, servers: list[Server] | None) -> None:
    """Servers are written as their addresses, with a port if it is not 53."""
    assert parseResolver(written) == (None if servers is None else tuple(servers))


@pytest.mark.parametrize(
    "written",
    [
        *(" ", ",", "192.0.2.1,", "ns.test", "192.0.2", "192.0.2.1:", ":53"),
        *("192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:5\u0663"),
        *("192.0.2.1:" + "9" * 5000, "[::1]", "[::1]:", "[192.0.2.1]:53", "[]:53"),
        *("udp://192.0.2.1", "192.0.2.1 ::1", "resolv.conf", "/etc/\0"),
        *(53, None, True, ["192.0.2.1"], b""),
    ],
)
def test_notAResolver(written: object) -> None:
    """Anything else is refused with one line that shows how it is written."""
    with pytest.raises(ValueError, match=r"^expected DNS servers, such as [^\n]+$"):
        parseResolver(written)


def test_missingFile(tmp_path: Path) -> None:
    """A path that somebody wrote has to lead to a file."""
    for path, reason in (
        (tmp_path / "none", "no such file or directory"),
        (tmp_path, "is a directory"),
    ):
        with pytest.raises(ValueError) as raised:
            parseResolver(str(path))
        assert str(raised.value) == f"expected a file that can be read: {reason}"
