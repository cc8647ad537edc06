"""
Where the API reference links to for what is not lbproxy's own.

pydoctor takes such addresses from inventories on the web; these are made of what is
installed, so that the documentation is built without a network, and a docstring that
names what Twisted does not have is a warning.
"""

from __future__ import annotations

import builtins
import inspect
import sys
from types import ModuleType

from pydoctor.model import System
from pydoctor.sphinx import SphinxInventory
from twisted.python.reflect import namedAny

_PYTHON = "https://docs.python.org/3/library"
_TWISTED = "https://docs.twisted.org/en/stable/api"


def link(name: str) -> str | None:
    """The address of a thing of Python's or Twisted's, by its full name."""
    if hasattr(builtins, name):
        return f"{_PYTHON}/{_builtinPage(getattr(builtins, name))}.html#{name}"
    top = name.partition(".")[0]
    if top != "twisted" and top not in sys.stdlib_module_names:
        return None
    try:
        thing = namedAny(name)
    except Exception:  # whatever an import may raise: there is no such thing
        return None
    module = _module(name)
    if top != "twisted":
        return f"{_PYTHON}/{module}.html" + (f"#{name}" if module != name else "")
    if module == name or inspect.isclass(thing) or hasattr(thing, "providedBy"):
        return f"{_TWISTED}/{name}.html"
    return f"{_TWISTED}/{module}.html#{name.rpartition('.')[2]}"


def _builtinPage(thing: object) -> str:
    if thing in (None, True, False, NotImplemented, Ellipsis):
        return "constants"
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return "exceptions"
    return "functions"


def _module(name: str) -> str:
    """The part of a full name that is a module."""
    while not isinstance(namedAny(name), ModuleType):
        name = name.rpartition(".")[0]
    return name


class Links(SphinxInventory):
    """What pydoctor asks for an address."""

    def getLink(self, name: str) -> str | None:
        """The address of a thing, by its full name."""
        return link(name)


class LinkedSystem(System):
    """What pydoctor is run with, by C{--system-class}."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.intersphinx = Links(logger=self.msg)
