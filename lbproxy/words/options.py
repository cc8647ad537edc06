"""One documented, typed option of a plugin."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen


@frozen
class Option:
    """
    An option that a plugin accepts, as configuration sees it.

    @ivar parse: Turns what was written (a string from the command line, any
        TOML value from a file) into the option's value.
    @ivar default: The value, already parsed, of an option that is not given.
    @ivar doc: One sentence for whoever writes the configuration.
    """

    parse: Callable[[object], object]
    """
    @raise ValueError: With one line that says what was expected.
    """
    default: object
    doc: str
