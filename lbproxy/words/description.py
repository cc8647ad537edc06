"""
Parses and writes descriptions, such as C{tcp:8080:interface=127.0.0.1}.

Twisted describes endpoints in this grammar, and lbproxy describes pickers in it too.
Twisted's own parser is private.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

Field = tuple[str | None, str]
"""The name of a field, or L{None} if it is given by its position, and its value."""


@frozen
class Description:
    """
    A description that has been parsed.

    @ivar positional: The fields without an equals sign.  The first is the kind of
        endpoint, or the name of the picker.
    @ivar named: The fields that are written C{name=value}.
    """

    positional: tuple[str, ...]
    named: Mapping[str, str] = field(factory=dict)

    @classmethod
    def parse(cls, text: str) -> Description:
        """
        Parse a description.

        A backslash takes the character after it literally.

        @raise ValueError: With one line that says what is wrong with it.
        """
        positional: list[str] = []
        named: dict[str, str] = {}
        for name, value in fieldsOf(text):
            if name is None:
                positional.append(value)
            elif name in named:
                raise ValueError(f'"{name}" is given twice')
            else:
                named[name] = value
        return cls(tuple(positional), named)


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


def withDefault(text: str, name: str, value: object, kinds: Mapping[str, int]) -> str:
    """
    Add an argument to a description, if its kind takes it and it is not given.

    @param text: A description that can be parsed.
    @param kinds: The kinds that take the argument, each with its position; the kind
        itself is at 0.
    """
    description = Description.parse(text)
    kind = description.positional[0].lower() if description.positional else ""
    # A kind that is not in the table does not take the argument.
    if name in description.named or len(description.positional) > kinds.get(kind, -1):
        return text
    return f"{text}:{name}={value}"


_SPECIAL = "\\:"


def _escaped(text: str, special: str) -> str:
    return "".join(f"\\{each}" if each in special else each for each in text)
