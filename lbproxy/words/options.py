"""
How an option is declared: once, in the options class of the room that uses it.

Such a class is a value with one field for each option::

    @frozen
    class DialOptions:
        connectTimeout: float = option(moreThanNone, "5s", "How long ...")

The key of the configuration file, its default, its error texts and its line in
the reference all come from that one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, TypeVar

from attrs import Attribute, field, fields, frozen, has

_DECLARATION = "lbproxy declaration"

_Owner = TypeVar("_Owner")


@frozen
class Option:
    """
    An option that a plugin accepts, as configuration sees it.

    @ivar parse: Turns what was written (a string from the command line, any
        TOML value from a file) into the option's value: any function, or a
        parser of L{lbproxy.words.values} or L{lbproxy.words.units}.  It raises
        L{ValueError} with one line that says what was expected.
    @ivar default: The value, already parsed, of an option that is not given.
    @ivar doc: One sentence for whoever writes the configuration.
    """

    parse: Callable[[object], object]
    default: object
    doc: str


class Required(Enum):
    """The default of an option that has none."""

    REQUIRED = "required"


REQUIRED: Final = Required.REQUIRED


@frozen
class Unset:
    """
    The default of an option whose absence is not the same as any one value.

    @ivar meaning: What is done without it, for the documentation.
    """

    meaning: str


@frozen
class Declaration:
    """
    What a field of an options class says about itself.

    @ivar parse: Turns what was written into the value; raises L{ValueError}
        with one line that says what was expected.
    @ivar default: As a file would have it: C{"1h"}, not 3600.0.
    @ivar doc: One sentence for whoever writes the configuration.
    """

    parse: Any
    default: object | Required | Unset
    doc: str


def option(parse: Callable[[object], Any], default: object, doc: str) -> Any:
    """
    A field that is an option with a default.

    @param parse: See L{Declaration}.
    @param default: As a file would have it; the field's own is what C{parse}
        makes of it.
    @param doc: One sentence for whoever writes the configuration.
    """
    return field(default=parse(default), metadata=declared(parse, default, doc))


def declared(
    parse: Any, default: object | Required | Unset, doc: str
) -> dict[str, Declaration]:
    """
    The metadata of a field that is an option, but has a default of its own or
    none: C{field(metadata=declared(...))}.
    """
    return {_DECLARATION: Declaration(parse, default, doc)}


def optionsOf(owner: type) -> Iterator[tuple[str, Declaration]]:
    """
    The options of a class, in order: the name of the field and what it says.

    @param owner: An options class; where a field is made by another one,
        C{field(factory=Limits)}, that one's options stand in its place.
    """
    for each in _fields(owner):
        inner = _inner(each)
        if inner is not None:
            yield from optionsOf(inner)
        elif _DECLARATION in each.metadata:
            yield each.name, each.metadata[_DECLARATION]


def made(owner: type[_Owner], values: Mapping[str, Any]) -> _Owner:
    """
    Make an options class of those of the values that are its own.

    @param values: By the names of fields; what is not in it has its default.
    """
    arguments: dict[str, Any] = {}
    for each in _fields(owner):
        inner = _inner(each)
        if inner is not None:
            arguments[each.name] = made(inner, values)
        elif each.name in values:
            arguments[each.name] = values[each.name]
    return owner(**arguments)


def _fields(owner: Any) -> tuple[Attribute[Any], ...]:
    return fields(owner)  # type: ignore[no-any-return]


def _inner(each: Attribute[Any]) -> type | None:
    """The options class that makes the default of a field."""
    makes = getattr(each.default, "factory", None)
    return makes if isinstance(makes, type) and has(makes) else None
