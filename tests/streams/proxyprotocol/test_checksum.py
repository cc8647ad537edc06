"""Checksums are those that everybody else computes."""

from __future__ import annotations

import pytest
from crc32c import crc32c as theirs
from hypothesis import given
from hypothesis import strategies as st

from lbproxy.streams.proxyprotocol.checksum import crc32c


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        # RFC 3720, appendix B.4, which lists their bytes the other way round.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published(data: bytes, checksum: int) -> None:
    """The checksums that were published come out."""
    assert crc32c(data) == checksum


@given(st.binary(max_size=500))
def test_same(data: bytes) -> None:
    """So do those of a library."""
    assert crc32c(data) == theirs(data)
