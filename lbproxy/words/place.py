"""Where a configured value was written, and the one-line errors that name the place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from json import dumps
from typing import Self

from attrs import evolve, frozen

from .escaping import oneLine

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_LONGEST = 80
"""The most characters of a value that an error shows."""

_NEAR = 0.6
"""
How similar a known name must be to be suggested, as L{difflib} measures it.

C{wbe} and C{web} are similar, at 0.67; C{tls} and C{retries} are not, at 0.4.
"""


class ConfigurationError(Exception):
    """
    Something in the configuration or the options cannot be used.

    C{str} of it is one line that names the file or option, the key, the value and the
    reason.
    """

    def __init__(self, line: str) -> None:
        super().__init__(oneLine(line))


@frozen
class Place:
    """
    Where a value was written.

    @ivar source: The file as it was named, or the option: C{--listen}.
    @ivar path: The key path, written as in TOML: C{pool.web.backends[1].weight}; empty
        for the whole of the source.
    """

    source: str
    path: str = ""

    def key(self, name: str) -> Self:
        """The place of one key of the table at this place."""
        bare = name and _BARE.issuperset(name)
        written = name if bare else dumps(name, ensure_ascii=False)
        return evolve(self, path=f"{self.path}.{written}" if self.path else written)

    def item(self, index: int) -> Self:
        """The place of one item of the list at this place, counted from 0."""
        return evolve(self, path=f"{self.path}[{index}]")

    def refuse(self, value: object, reason: str) -> ConfigurationError:
        """Make the error that says why the value at this place cannot be used."""
        key = f"{self.path} = " if self.path else ""
        return ConfigurationError(f"{self.source}: {key}{shown(value)}: {reason}")

    def lack(self, reason: str) -> ConfigurationError:
        """Make an error about this place that shows no value."""
        key = f"{self.path}: " if self.path else ""
        return ConfigurationError(f"{self.source}: {key}{reason}")


def shown(value: object) -> str:
    """Format a value nearly as TOML does, on one line of limited length."""
    text = oneLine(_written(value, depth=3))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _written(value: object, depth: int) -> str:
    # Depth and length are bounded before anything is written: a hostile or
    # broken file may nest thousands of tables, or hold a list of a million.
    if isinstance(value, str):
        return dumps(value[:_LONGEST], ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        # Python refuses to write a huge number in decimal, and is slow at it.
        return str(value) if value.bit_length() <= 256 else hex(value)
    if isinstance(value, Mapping):
        if not depth:
            return "{ ... }"
        pairs = islice(value.items(), _LONGEST)
        within = ", ".join(
            f"{name[:_LONGEST]} = {_written(each, depth - 1)}" for name, each in pairs
        )
        return f"{{ {within} }}" if within else "{}"
    if isinstance(value, Sequence):
        if not depth:
            return "[ ... ]"
        items = islice(value, _LONGEST)
        return f"[{', '.join(_written(each, depth - 1) for each in items)}]"
    return str(value)


def knownHint(name: str, known: Iterable[str]) -> str:
    """
    The hint in an error about an unknown name.

    It is the nearest known name; if none is near, all known names.
    """
    meant = name.lower().replace("_", "-")
    near = get_close_matches(meant, list(known), n=1, cutoff=_NEAR)
    return f'the nearest known one is "{near[0]}"' if near else knownOnes(known)


def knownOnes(names: Iterable[str]) -> str:
    """All known names, sorted, for an error."""
    return f"known: {', '.join(sorted(names)) or 'none'}"
