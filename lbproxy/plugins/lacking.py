"""Says what an object of a plugin lacks of an interface."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

from zope.interface.interface import InterfaceClass, Method


def lack(interface: InterfaceClass, found: object) -> str:
    """
    Say in a few words what an object lacks of an interface.

    Zope's own check raises an IndexError for a method that takes C{*arguments} alone.

    @return: Empty if the object lacks nothing.
    """
    for name, wanted in interface.namesAndDescriptions(all=True):
        if not hasattr(found, name):
            arguments = (
                wanted.getSignatureString() if isinstance(wanted, Method) else ""
            )
            return f"it lacks {name}{arguments}"
        if isinstance(wanted, Method):
            trouble = cannotTake(getattr(found, name), wanted.positional)
            if trouble:
                said = wanted.getSignatureString()
                return f"its {name} cannot be called with {said}: {trouble}"
    return ""


def cannotTake(function: Any, arguments: Sequence[str]) -> str:
    """Why a function cannot be called with some arguments; empty if it can."""
    if not callable(function):
        return "it is not callable"
    try:
        parameters = signature(function)
    except (TypeError, ValueError):
        return ""  # A function written in C may have no signature.
    try:
        parameters.bind(*arguments)
    except TypeError as error:
        return str(error)
    return ""
