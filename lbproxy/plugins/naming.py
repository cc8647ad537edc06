"""Imports what the configuration names as C{python:package.module.Attribute}."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twisted.python.reflect import namedAny

from ..causes import cause
from ..words.place import ConfigurationError

PYTHON = "python:"
"""What the name of a Python object begins with."""

EXPECTED = 'expected "python:package.module.Attribute"'


def named(text: str) -> Any:
    """
    Import the object that has a name.

    @param text: C{python:} and its full name.
    @raise ValueError: If there is no such object, with one line that says why.
    """
    name = text.removeprefix(PYTHON)
    package = name.partition(".")[0]
    if not package:
        raise ValueError(EXPECTED)
    complaint = f"{name} cannot be imported"
    if package not in sys.modules:
        found = find_spec(package)
        if found is None:
            raise ValueError(f"{complaint}: looked for in {', '.join(_path())}")
        if found.origin:
            complaint += f" from {found.origin}"
    elif origin := getattr(sys.modules[package], "__file__", None):
        complaint += f" from {origin}"
    try:
        return namedAny(name)
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:
        # A module that is a script may exit when it is imported.
        raise ValueError(f"{complaint}: {cause(error)}") from None


def _path() -> Iterable[str]:
    """The directories in which modules are searched for, except Python's own."""
    own = Path(os.__file__).parent
    places = dict.fromkeys(str(Path(each).absolute()) for each in sys.path)
    return [
        each
        for each in places
        if Path(each).is_dir() and Path(each) not in (own, own / "lib-dynload")
    ]
