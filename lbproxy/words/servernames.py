"""Reads the server names of configuration, and looks names up in them."""

from __future__ import annotations

from collections.abc import Iterable
from re import compile as pattern

_NAME = pattern(r"(?=.{1,253}\Z)(?:\*\.)?(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")

_EXPECTED = (
    'expected a server name, such as "www.example.com", or "*.example.com" for all '
    "names below one"
)


def parseServerName(value: object) -> str:
    """
    Read a server name as configuration writes it.

    @param value: C{"www.example.com"}, or C{"*.example.com"} for all names that end in
        C{.example.com}.
    @return: The name in lower case, in the form in which clients send it: C{"büro.de"}
        is C{"xn--bro-hoa.de"}.
    @raise ValueError: With one line that says what was expected.
    """
    if not isinstance(value, str):
        raise ValueError(_EXPECTED)
    try:
        name = _encoded(value)
    except UnicodeError:
        raise ValueError(_EXPECTED) from None
    if not _NAME.fullmatch(name):
        raise ValueError(_EXPECTED)
    return name


def _encoded(name: str) -> str:
    name = name.lower()
    return name if name.isascii() else name.encode("idna").decode("ascii")


class ServerNames:
    """A set of server names, as L{parseServerName} returns them."""

    __slots__ = ("_endings", "_names")

    def __init__(self, names: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._endings: set[str] = set()
        for each in names:
            if each.startswith("*."):
                self._endings.add(each.removeprefix("*."))
            else:
                self._names.add(each)

    def __contains__(self, name: str) -> bool:
        """
        Whether a name is one of these, or below one of them.

        @param name: In lower case, without a dot at its end.  The empty one is in none.
        """
        if name in self._names:
            return True
        while self._endings:
            _, dot, name = name.partition(".")
            if not dot:
                return False
            if name in self._endings:
                return True
        return False
