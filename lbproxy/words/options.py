"""
Declares options, each once, in the options class of the package that uses it.

An options class is a value with one field for each option::

    @frozen
    class DialOptions:
        connectTimeout: float = option(moreThanNone, "5s", "How long ...")

The key of the configuration file, its default, its error texts and its line in the
reference all come from that one line.
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
    An option of a plugin, which the configuration can set.

    @ivar parse: Turns what was written (a string from the command line, any TOML value
        from a file) into the option's value: any function, or a parser of
        L{lbproxy.words.values} or L{lbproxy.words.units}.  It raises L{ValueError} with
        one line that says what was expected.
    @ivar default: The value, already parsed, of an option that is not given.
    @ivar doc: One sentence for the user who writes the configuration.
    """

    parse: Callable[[object], object]
    default: object
    doc: str


class Required(Enum):
    """The default of an option that must be given."""

    REQUIRED = "required"


REQUIRED: Final = Required.REQUIRED


@frozen
class Unset:
    """
    The default of an option if leaving it out is not the same as any one value.

    @ivar meaning: What is done without it, for the documentation.
    """

    meaning: str


@frozen
class Declaration:
    """
    The declaration of an option, which is kept with the field.

    @ivar parse: Turns what was written into the value; raises L{ValueError} with one
        line that says what was expected.
    @ivar default: The default as a file would have it: C{"1h"}, not 3600.0.
    @ivar doc: One sentence for the user who writes the configuration.
    """

    parse: Any
    default: object | Required | Unset
    doc: str


def option(parse: Callable[[object], Any], default: object, doc: str) -> Any:
    """
    Make a field that is an option with a default.

    @param parse: See L{Declaration}.
    @param default: The default as a file would have it.  C{parse} turns it into the
        default of the field.
    @param doc: One sentence for the user who writes the configuration.
    """
    return field(default=parse(default), metadata=declared(parse, default, doc))


def declared(
    parse: Any, default: object | Required | Unset, doc: str
) -> dict[str, Declaration]:
    """
    Make the metadata that declares a field as an option.

    It is for a field that has a default of its own or none:
    C{field(metadata=declared(...))}.
    """
    return {_DECLARATION: Declaration(parse, default, doc)}


def optionsOf(owner: type) -> Iterator[tuple[str, Declaration]]:
    """
    Yield (field name, declaration) for each option of a class, in order.

    @param owner: An options class.  If a field has another options class as its
        factory, C{field(factory=Limits)}, the options of that class are yielded in its
        place.
    """
    for each in _fields(owner):
        inner = _inner(each)
        if inner is not None:
            yield from optionsOf(inner)
        elif _DECLARATION in each.metadata:
            yield each.name, each.metadata[_DECLARATION]


def made(owner: type[_Owner], values: Mapping[str, Any]) -> _Owner:
    """
    Make an object of an options class from the values that belong to it.

    @param values: The values, by the names of fields.  A field without a value has its
        default.  Values of other classes are ignored.
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
    """The options class that makes the default of a field, or L{None}."""
    makes = getattr(each.default, "factory", None)
    return makes if isinstance(makes, type) and has(makes) else None
