"""Networks are read as people write them, and addresses are found in them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbproxy.words.connection import Address
from lbproxy.words.networks import Networks, parseNetwork


@pytest.mark.parametrize(
    ("written", "inside", "outside"),
    [
        ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
        ("::1", "::1", "::2"),
        ("2001:db8::/32", "2001:db8:1::9", "2001:db9::"),
        ("::/0", "2001:db8::1", "::ffff:10.1.2.3"),
        ("::ffff:10.0.0.0/104", "10.9.9.9", "::10.9.9.9"),
        ("fe80::/10", "fe80::1%eth0", "fec0::1"),
    ],
)
def test_ip(written: str, inside: str, outside: str) -> None:
    """An address is in a network whichever way it is written."""
    networks = Networks([parseNetwork(written)])
    assert Address(inside, 80) in networks
    assert Address(outside, 80) not in networks
    assert Address("", None) not in networks


def test_unix() -> None:
    """All UNIX sockets are meant, or the one with a path."""
    everyone = Networks([parseNetwork("unix:")])
    one = Networks([parseNetwork("unix:/run/x.sock")])
    assert Address("", None) in everyone
    assert Address("/run/x.sock", None) in everyone
    assert Address("/run/x.sock", None) in one
    assert Address("/run/y.sock", None) not in one
    assert Address("", None) not in one
    assert Address("10.0.0.1", 80) not in everyone


@pytest.mark.parametrize(
    "address", [Address("10.0.0.1", 1), Address("", None), Address("peer", 0)]
)
def test_all(address: Address) -> None:
    """All means all, also what is no address; which is in nothing else."""
    assert address in Networks([parseNetwork("all")])
    assert address not in Networks([])


def test_noAddress() -> None:
    """What a strange transport calls its peer is in no IP network."""
    assert Address("peer", 0) not in Networks([parseNetwork("0.0.0.0/0")])


@pytest.mark.parametrize(
    "nonsense",
    [
        *("", "10.0.0.0/33", "10.0.0", "10.0.0.0/255.0.0.0", "10.0.0.0/", "web"),
        *("10.0.0.1:80", "::1%lo", "fe80::%1/10", "10.0.0.0/-1", " ::1", "ALL"),
        *(7, None, True, ["::1"], b"\0\0\0\0"),
    ],
)
def test_nonsense(nonsense: object) -> None:
    """The error says what there could have been."""
    with pytest.raises(ValueError, match=r"expected a network or an address, such as"):
        parseNetwork(nonsense)


def test_hostBits() -> None:
    """A network that is not written by its first address is shown as it should be."""
    with pytest.raises(ValueError, match=r'as in "10\.0\.0\.0/8"$'):
        parseNetwork("10.1.2.3/8")


def isNotMapped(address: Any) -> bool:
    return not getattr(address, "ipv4_mapped", None)


ADDRESSES = st.ip_addresses().filter(isNotMapped)


@given(st.lists(st.tuples(ADDRESSES, st.integers(0, 128)), max_size=5), ADDRESSES)
def test_asTheStandardLibrary(written, address) -> None:
    """Many networks together hold what each of them holds."""
    texts = [
        str(ip_network((each, min(size, each.max_prefixlen)), strict=False))
        for each, size in written
    ]
    # What is wholly of mapped addresses is an IPv4 network here.
    texts = [each for each in texts if not each.startswith("::ffff:")]
    networks = Networks(map(parseNetwork, texts))
    expected = any(address in ip_network(each) for each in texts)
    assert (Address(str(ip_address(address)), 80) in networks) is expected
