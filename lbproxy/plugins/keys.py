"""The key of pickers by hash: one of a few words, or a function that is imported."""

from __future__ import annotations

from inspect import iscoroutinefunction

from attrs import evolve

from ..balance.hashing import KEY
from .lacking import cannotTake
from .naming import PYTHON, named


def parseKey(written: object) -> object:
    """
    Read what a picker by hash hashes.

    @param written: A word that L{KEY} takes; or C{python:} and the full name of a
        function that takes the connection and returns text or bytes.
    @return: The word, or the function.
    @raise ValueError: With one line that says what was expected.
    """
    if isinstance(written, str) and written.startswith(PYTHON):
        return _function(written)
    try:
        return KEY.parse(written)
    except ValueError as error:
        raise ValueError(f'{error} or "python:package.module.function"') from None


def _function(written: str) -> object:
    function = named(written)
    if isinstance(function, type) or not callable(function):
        raise ValueError(f"{written} is not a function")
    if iscoroutinefunction(function):
        raise ValueError(f"{written} is async; a key is needed at once")
    trouble = cannotTake(function, ("connection",))
    if trouble:
        raise ValueError(f"{written} cannot take the connection: {trouble}")
    return function


KEY_OPTION = evolve(
    KEY,
    parse=parseKey,
    doc=f'{KEY.doc[:-1]}; or what "python:package.module.function" returns.',
)
"""The option C{key} as the configuration takes it."""
