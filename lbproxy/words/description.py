"""
Parses and writes descriptions, such as C{tcp:8080:interface=127.0.0.1}.

Twisted describes endpoints in this grammar, and lbproxy describes pickers in it too.
Twisted's own parser is private.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from attrs import field, frozen

Field = tuple[str | None, str]
"""The name of a field, or L{None} if it is given by its position, and its value."""


@frozen
class Description:
    """
    A description that has been parsed.

    @ivar text: As it was written.
    @ivar fields: Its fields, in order.
    """

    text: str
    fields: tuple[Field, ...] = field(eq=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Parse a description.

        A backslash takes the character after it literally.

        @raise ValueError: With one line that says what is wrong with it.
        """
        fields = fieldsOf(text)
        names = [name for name, _ in fields if name is not None]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'"{name}" is given twice')
        return cls(text, tuple(fields))

    @property
    def positional(self) -> tuple[str, ...]:
        """
        The values of the fields without an equals sign.  The first is the kind of
        endpoint, or the name of the picker.
        """
        return tuple(value for name, value in self.fields if name is None)

    @property
    def named(self) -> Mapping[str, str]:
        """The fields that are written C{name=value}."""
        return {name: value for name, value in self.fields if name is not None}

    def __str__(self) -> str:
        return self.text


def fieldsOf(text: str) -> list[Field]:
    """
    Split a description into its fields, in order.

    @return: The name of each field, or L{None}, and its value.
    @raise ValueError: With one line, if the text ends in a backslash.
    """
    fields: list[Field] = []
    name: str | None = None
    read = ""
    characters = iter(text)
    for character in characters:
        if character == ":":
            fields.append((name, read))
            name, read = None, ""
        elif character == "=" and name is None:
            # Only the first: everything after it, "=" too, is the value.
            name, read = read, ""
        elif character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                raise ValueError("a backslash at the end takes nothing literally")
            read += escaped
        else:
            read += character
    return [*fields, (name, read)]


def written(fields: Iterable[Field]) -> str:
    """Write the description that has these fields; the reverse of L{fieldsOf}."""
    return ":".join(
        _escaped(value, _SPECIAL + "=")
        if name is None
        else f"{_escaped(name, _SPECIAL + '=')}={_escaped(value, _SPECIAL)}"
        for name, value in fields
    )


_SPECIAL = "\\:"


def _escaped(text: str, special: str) -> str:
    return "".join(f"\\{each}" if each in special else each for each in text)
