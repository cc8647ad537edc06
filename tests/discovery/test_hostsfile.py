"""Names of the hosts file are answered as the system's resolver answers them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lbproxy.discovery.answers import Family
from lbproxy.discovery.hostsfile import HostsFile

HOSTS = """\
# The hosts of this machine.
127.0.0.1\tlocalhost  loopback # and a comment
::1 localhost

10.0.0.1 Web.Internal web
10.0.0.2 web.internal
fe80::1%eth0 near
10.0.0.300 wrong
nonsense web
10.0.0.9
10.0.0.7 #hidden
10.0.0.8 stra\xdfe
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A hosts file with a bit of everything."""
    path = tmp_path / "hosts"
    path.write_bytes(HOSTS.encode("latin-1"))
    return path


@pytest.mark.parametrize(
    ("name", "v4", "v6"),
    [
        ("localhost", ["127.0.0.1"], ["::1"]),
        ("LocalHost.", ["127.0.0.1"], ["::1"]),
        ("loopback", ["127.0.0.1"], []),
        ("web.internal", ["10.0.0.1", "10.0.0.2"], []),
        ("web", ["10.0.0.1"], []),
        ("near", [], ["fe80::1%eth0"]),
        ("wrong", [], []),
        ("hidden", [], []),
        ("#hidden", [], []),
        ("and", [], []),
        ("", [], []),
        ("other", [], []),
    ],
)
def test_names(path: Path, name: str, v4: list[str], v6: list[str]) -> None:
    """All lines of a name count; comments and lines without an address do not."""
    found = HostsFile(str(path)).addresses(name)
    assert list(found.get(Family.IPV4, ())) == v4
    assert list(found.get(Family.IPV6, ())) == v6
    assert bool(found) == bool(v4 or v6)


def test_changes(path: Path) -> None:
    """A change of the file counts at once, also if the file goes and comes back."""
    hosts = HostsFile(str(path))
    assert hosts.addresses("web")[Family.IPV4] == ("10.0.0.1",)
    written = path.stat().st_mtime_ns
    path.write_text("10.0.0.5 web\n")
    assert hosts.addresses("web")[Family.IPV4] == ("10.0.0.5",)
    # Of the same length, within the clock's resolution, as an editor replaces it.
    other = path.with_name("other")
    other.write_text("10.0.0.6 web\n")
    os.utime(other, ns=(written, written))
    other.rename(path)
    assert hosts.addresses("web")[Family.IPV4] == ("10.0.0.6",)
    path.unlink()
    assert not hosts.addresses("web")
    path.write_text("10.0.0.7 web\n")
    assert hosts.addresses("web")[Family.IPV4] == ("10.0.0.7",)


def test_noFile(tmp_path: Path) -> None:
    """Without a file that can be read, no name is there, and nothing fails."""
    assert not HostsFile(str(tmp_path)).addresses("web")
    assert not HostsFile(str(tmp_path / "none")).addresses("web")
