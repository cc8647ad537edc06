"""
Checks pickers, routers and observers that a program passes to a balancer.

They need not declare the interface that they provide.  They need its methods, with
parameters that fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zope.interface.interface import InterfaceClass

from ..interfaces import IBackendPicker, IConnectionObserver, IRouter
from ..proxy.pluginerrors import nameOf
from ..words.place import Place, knownOnes
from .lacking import lack
from .making import callableRouter

_PICKERS = Place("pickers")
_ROUTERS = Place("routers")
_OBSERVERS = Place("observers")


def givenPickers(pickers: object, pools: Iterable[str]) -> dict[str, IBackendPicker]:
    """
    Check the pickers that a program passed.

    @param pickers: The pickers, by the name of the pool.
    @param pools: The names of all pools.
    @raise ConfigurationError: If there is no such pool, or an object is not a picker.
    """
    given = _byName(_PICKERS, "pool", pickers, pools)
    for name, picker in given.items():
        _require(IBackendPicker, picker, _PICKERS.key(name))
    return given


def givenRouters(routers: object, listeners: Iterable[str]) -> dict[str, IRouter]:
    """
    Check the routers that a program passed.

    @param routers: The routers, by the name of the listener.  A router may be a
        function, C{async} or not, that takes the connection.
    @param listeners: The names of all listeners.
    @raise ConfigurationError: If there is no such listener, or an object is not a
        router.
    """
    given = _byName(_ROUTERS, "listener", routers, listeners)
    return {name: _router(each, _ROUTERS.key(name)) for name, each in given.items()}


def givenObservers(observers: object) -> tuple[IConnectionObserver, ...]:
    """
    Check the observers that a program passed.

    @param observers: An iterable of any number of observers.
    @raise ConfigurationError: If an object is not an observer.
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
    """Check that each name is known, and return the objects by name."""
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
