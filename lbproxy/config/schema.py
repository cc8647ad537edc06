"""
Reads a TOML table according to its declaration.

A L{Table} is data: its keys, each with a parser, a default and a sentence of
documentation.  Most keys are derived from an options class (L{keysOf}).  Reading, the
error for an unknown key, and the reference documentation all come from it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from attrs import frozen

from ..words.options import REQUIRED, Required, Unset, optionsOf
from ..words.place import Place, knownHint


@frozen
class Placed:
    """
    A parser of a value that has parts, each with its own place.

    @ivar read: Takes the written value and its place; returns the value, or raises the
        L{ConfigurationError<lbproxy.words.place.ConfigurationError>} that
        L{Place.refuse} makes.
    """

    read: Callable[[object, Place], Any]


Parser = Callable[[object], Any] | Placed
"""
A parser of a written value.

One that is not L{Placed} takes the written value, and raises L{ValueError} with one
line that says what was expected.  L{readAt} adds the place.
"""


def readAt(parse: Parser, written: object, place: Place) -> Any:
    """
    Read the value that was written at a place.

    @raise ConfigurationError: If it cannot be used.
    """
    if isinstance(parse, Placed):
        return parse.read(written, place)
    try:
        return parse(written)
    except ValueError as error:
        raise place.refuse(written, str(error)) from None


@frozen
class Key:
    """
    One key of a table.

    @ivar name: The name in kebab-case, as it is written.
    @ivar parse: Turns the written value into the value.
    @ivar default: The value that is read when none is written, as a file would have it:
        C{"1h"}, not 3600.0.
    @ivar doc: One sentence for the user who writes the configuration.
    """

    name: str
    parse: Parser
    default: object | Required | Unset
    doc: str

    @property
    def attribute(self) -> str:
        """The name in Python: C{idleTimeout} for C{idle-timeout}."""
        first, *others = self.name.split("-")
        return first + "".join(word.capitalize() for word in others)


def keysOf(
    owner: type, only: Container[str] | None = None, but: Container[str] = ()
) -> tuple[Key, ...]:
    """
    The keys of an options class, in its order.

    @param only: The attributes to include; by default all.
    @param but: The attributes to leave out.
    """
    return tuple(
        Key(_kebab(attribute), said.parse, said.default, said.doc)
        for attribute, said in optionsOf(owner)
        if attribute not in but and (only is None or attribute in only)
    )


def _kebab(attribute: str) -> str:
    return "".join(f"-{each.lower()}" if each.isupper() else each for each in attribute)


@frozen
class Table:
    """
    One kind of TOML table.

    @ivar header: The header as a file has it: C{[[listener]]}.
    @ivar doc: One sentence for the user who writes the configuration.
    @ivar keys: The keys, in the order of the documentation.
    @ivar reserved: The names of keys that a later version will have.
    """

    header: str
    doc: str
    keys: tuple[Key, ...]
    reserved: Container[str] = ()

    def read(self, written: object, place: Place) -> dict[str, Any]:
        """
        Read a written table according to this declaration.

        @param written: Any value that a TOML file may hold.
        @param place: Where it was written.
        @return: The value of each key, by its attribute name.  A key that was not
            written and has no default is not in it.
        @raise ConfigurationError: If it is not a table, holds an unknown key or an
            unusable value, or lacks a required key.
        """
        if not isinstance(written, Mapping):
            raise place.refuse(written, f"expected a table, {self.header}")
        names = [key.name for key in self.keys]
        for name, value in written.items():
            if name not in names:
                raise place.key(name).refuse(value, self._unknown(name, names))
        values = {}
        for key in self.keys:
            value = written.get(key.name, key.default)
            if value is REQUIRED:
                raise place.key(key.name).lack("this key is required")
            if not isinstance(value, Unset):
                values[key.attribute] = readAt(key.parse, value, place.key(key.name))
        return values

    def _unknown(self, name: str, names: list[str]) -> str:
        if name in self.reserved:
            return "not available in this version"
        return f"unknown key; {knownHint(name, names)}"
