"""A picker that was chosen, before it is made."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class PickerChoice:
    """
    The picker of a pool, by name and options.  It is made together with the pool.

    @ivar name: A plugin's name, or C{python:package.module.Attribute}.
    @ivar options: The options as they were written: strings from a description, any
        TOML value from a table.
    """

    name: str
    options: Mapping[str, object] = field(factory=dict)

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])
