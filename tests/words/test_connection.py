"""The values that everything else speaks of."""

from __future__ import annotations

import pytest

from lbproxy import Address, Backend, End


@pytest.mark.parametrize(
    ("address", "written"),
    [
        (Address("192.0.2.1", 80), "192.0.2.1:80"),
        (Address("2001:db8::1", 80), "[2001:db8::1]:80"),
        (Address("/run/web.sock"), "unix:/run/web.sock"),
        (Address(""), "unix:"),
    ],
)
def test_addresses(address: Address, written: str) -> None:
    """An address reads as people write it."""
    assert str(address) == written


def test_normalEnds() -> None:
    """Only what one of the two sides did in good order is normal."""
    assert {each for each in End if each.normal} == {
        End.CLIENT_CLOSED,
        End.BACKEND_CLOSED,
    }


def test_backends() -> None:
    """A backend is called by its description unless it has a name."""
    assert str(Backend("tcp:127.0.0.1:9001")) == "tcp:127.0.0.1:9001"
    assert str(Backend("tcp:127.0.0.1:9001", name="a")) == "a"
    with pytest.raises(
        ValueError, match="weight = 0: expected a whole number from 1 to 65535"
    ):
        Backend("tcp:127.0.0.1:9001", weight=0)
