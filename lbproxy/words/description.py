"""
The grammar of descriptions: C{tcp:8080:interface=127.0.0.1}.

Twisted's endpoints are described so, and lbproxy writes pickers the same way.
Twisted keeps its own reader of it to itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

Field = tuple[str | None, str]
"""A name, or L{None} for what is told by its position, and a value."""


@frozen
class Description:
    """
    A description, taken apart.

    @ivar positional: What stands between colons without an equals sign; the
        first is the kind of endpoint, or the name of the picker.
    @ivar named: What is written C{name=value}.
    """

    positional: tuple[str, ...]
    named: Mapping[str, str] = field(factory=dict)

    @classmethod
    def parse(cls, text: str) -> Description:
        """
        Take a description apart.  A backslash takes the character after it
        literally.

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
    The fields of a description in their order, each with its name, if it has
    one, and its value.

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
    """The description that L{fieldsOf} takes apart into these fields."""
    return ":".join(
        _escaped(value, _SPECIAL + "=")
        if name is None
        else f"{_escaped(name, _SPECIAL + '=')}={_escaped(value, _SPECIAL)}"
        for name, value in fields
    )


def withDefault(text: str, name: str, value: object, kinds: Mapping[str, int]) -> str:
    """
    The description with an argument, if its kind takes it and it is not given.

    @param text: A description that can be taken apart.
    @param kinds: Those that take it, each with its position, the kind's being 0.
    """
    description = Description.parse(text)
    kind = description.positional[0].lower() if description.positional else ""
    # For a kind that is not in the table there is no room.
    if name in description.named or len(description.positional) > kinds.get(kind, -1):
        return text
    return f"{text}:{name}={value}"


_SPECIAL = "\\:"


def _escaped(text: str, special: str) -> str:
    return "".join(f"\\{each}" if each in special else each for each in text)
