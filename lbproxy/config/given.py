"""
Pickers, routers and observers that a program hands in, checked.

They need not declare the interface that they provide: what counts is that they
have its methods, and that these take what they are called with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zope.interface.interface import InterfaceClass

from ..interfaces import IBackendPicker, IConnectionObserver, IRouter
from ..proxy.pluginerrors import nameOf
from .place import Place, knownOnes
from .plugins import callableRouter, lack

_PICKERS = Place("pickers")
_ROUTERS = Place("routers")
_OBSERVERS = Place("observers")


def givenPickers(pickers: object, pools: Iterable[str]) -> dict[str, IBackendPicker]:
    """
    Check pickers that were handed in.

    @param pickers: By pool.
    @param pools: The names of those there are.
    @raise ConfigurationError: If there is no such pool, or one is no picker.
    """
    given = _byName(_PICKERS, "pool", pickers, pools)
    for name, picker in given.items():
        _require(IBackendPicker, picker, _PICKERS.key(name))
    return given


def givenRouters(routers: object, listeners: Iterable[str]) -> dict[str, IRouter]:
    """
    Check routers that were handed in.

    @param routers: By listener.  One may be a function, C{async} or not, that takes
        the connection.
    @param listeners: The names of those there are.
    @raise ConfigurationError: If there is no such listener, or one is no router.
    """
    given = _byName(_ROUTERS, "listener", routers, listeners)
    return {name: _router(each, _ROUTERS.key(name)) for name, each in given.items()}


def givenObservers(observers: object) -> tuple[IConnectionObserver, ...]:
    """
    Check observers that were handed in.

    @param observers: Any number of them.
    @raise ConfigurationError: If one is no observer.
    """
    if not isinstance(observers, Iterable) or isinstance(observers, str | Mapping):
        raise _OBSERVERS.lack("expected a list of observers")
    given = tuple(observers)
    for at, observer in enumerate(given):
        _require(IConnectionObserver, observer, _OBSERVERS.item(at))
    return given


def _byName(
    place: Place, what: str, given: object, known: Iterable[str]
) -> dict[str, Any]:
    """What was handed in, if each is for something that exists."""
    if not isinstance(given, Mapping):
        raise place.lack(f"expected a mapping from the name of a {what}")
    names = set(known)
    for name in given:
        if name not in names:
            reason = f"there is no such {what}; {knownOnes(names)}"
            raise place.refuse(name, reason)
    return dict(given)


def _router(given: Any, place: Place) -> IRouter:
    if callable(given) and not hasattr(given, "route"):
        _refuseClass(given, place)
        return callableRouter(given, nameOf(given), place)
    _require(IRouter, given, place)
    router: IRouter = given
    return router


def _refuseClass(given: object, place: Place) -> None:
    if isinstance(given, type):
        raise place.lack(f"{nameOf(given)} is a class; expected an object made of it")


def _require(interface: InterfaceClass, given: object, place: Place) -> None:
    _refuseClass(given, place)
    lacking = lack(interface, given)
    if lacking:
        name = interface.__name__
        raise place.lack(f"{nameOf(given)} is no {name}: {lacking}")
