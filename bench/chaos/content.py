"""
What peers say, so that whoever hears it can tell whether it is what was said.

Each speaker has a key, which it says first; what follows is a stretch of one
long pattern that begins where the key says.
"""

from __future__ import annotations

import random
import struct

_LENGTH = 1_048_573
"""A prime, so that no hole of a round number of bytes goes unnoticed."""

_PATTERN = random.Random(7).randbytes(_LENGTH) * 2
_HEAD = struct.Struct(">4sI")
_MAGIC = b"chao"


def _stretch(key: int, offset: int, length: int) -> bytes:
    first = (key * 65537 + offset) % _LENGTH
    return _PATTERN[first : first + length]


def said(key: int, offset: int, length: int) -> bytes:
    """
    A part of what the speaker with a key says.

    @param length: At most; fewer bytes may be returned, but at least one.
    """
    if offset < _HEAD.size:
        return _HEAD.pack(_MAGIC, key)[offset : offset + length]
    return _stretch(key, offset - _HEAD.size, min(length, _LENGTH))


class Ear:
    """
    Hears one stream and compares it with what its speaker says.

    @ivar heard: How many bytes.
    @ivar key: The speaker's, once it is known.
    @ivar wrong: What was wrong with it, or an empty string.
    """

    def __init__(self) -> None:
        self.heard = 0
        self.key: int | None = None
        self.wrong = ""
        self._head = b""

    def hear(self, data: bytes) -> None:
        """Compare the bytes that have come next."""
        self.heard += len(data)
        if self.key is None:
            self._head += data
            if len(self._head) < _HEAD.size:
                return
            magic, self.key = _HEAD.unpack(self._head[: _HEAD.size])
            if magic != _MAGIC:
                self.wrong = self.wrong or f"began with {self._head[:40]!r}"
            data, self._head = self._head[_HEAD.size :], b""
        offset = self.heard - len(data) - _HEAD.size
        while data and not self.wrong:
            expected = _stretch(self.key, offset, min(len(data), _LENGTH))
            if data[: len(expected)] != expected:
                self.wrong = f"differs within {len(expected)} bytes at {offset}"
            offset += len(expected)
            data = data[len(expected) :]
