"""
How a TOML table is declared, and how what was written is read against it.

A L{Table} is data: its keys, each with a parser, a default and a sentence of
documentation.  Reading, the error for an unknown key, and the reference
documentation all come from that one declaration, so a further key is one line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from attrs import frozen

from .place import Place, nearest

Parser = Callable[[object, Place], Any]
"""
Turns what was written at a place into a value, or raises the
L{ConfigurationError<lbproxy.config.place.ConfigurationError>} that
L{Place.refuse} makes.
"""


class Required(Enum):
    """The default of a key that has none."""

    REQUIRED = "required"


REQUIRED: Final = Required.REQUIRED


@frozen
class Unset:
    """
    The default of a key whose absence is not the same as any one value.

    @ivar meaning: What is done without it, for the documentation.
    """

    meaning: str


@frozen
class Key:
    """
    One key of a table.

    @ivar name: In kebab-case, as it is written.
    @ivar parse: Turns what was written into the value.
    @ivar default: What is read when nothing was written, as a file would have
        it: C{"1h"}, not 3600.0.
    @ivar doc: One sentence for whoever writes the configuration.
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


@frozen
class Table:
    """
    One kind of TOML table.

    @ivar header: How its beginning is written: C{[[listener]]}.
    @ivar doc: One sentence for whoever writes the configuration.
    @ivar keys: In the order of the documentation.
    """

    header: str
    doc: str
    keys: tuple[Key, ...]

    def read(self, written: object, place: Place) -> dict[str, Any]:
        """
        Read what was written against this declaration.

        @param written: Anything a TOML file may hold.
        @param place: Where it was written.
        @return: A value for each key, by its attribute name; a key that was
            not written and has no default is not in it.
        @raise ConfigurationError: If it is no table, or holds an unknown key or
            an unusable value, or lacks what is required.
        """
        if not isinstance(written, Mapping):
            raise place.refuse(written, f"expected a table, {self.header}")
        names = [key.name for key in self.keys]
        for name, value in written.items():
            if name not in names:
                reason = (
                    f'unknown key; the nearest known one is "{nearest(name, names)}"'
                )
                raise place.key(name).refuse(value, reason)
        values = {}
        for key in self.keys:
            value = written.get(key.name, key.default)
            if value is REQUIRED:
                raise place.key(key.name).lack("this key is required")
            if not isinstance(value, Unset):
                values[key.attribute] = key.parse(value, place.key(key.name))
        return values
