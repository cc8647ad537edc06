"""
Finds and makes the pickers, health probes, discoveries and routers that the
configuration names.

A picker or a probe is named by the name of its Twisted plugin.  Each may also be
named as a Python object: C{python:package.module.Attribute}.  A failure in such code
becomes an error of one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from inspect import iscoroutine
from json import loads
from typing import Any

from attrs import frozen
from zope.interface import implementer
from zope.interface.interface import InterfaceClass

from ..causes import cause
from ..discovery.options import KINDS, DiscoveryOptions
from ..health.options import HealthCheckOptions
from ..interfaces import (
    IBackendPicker,
    IBackendPickerFactory,
    IDiscovery,
    IDiscoveryFactory,
    IHealthProbe,
    IHealthProbeFactory,
    IRouter,
)
from ..words.connection import Connection
from ..words.options import Option
from ..words.place import ConfigurationError, Place, knownHint, knownOnes
from .choice import PickerChoice
from .installed import installed, tellBroken
from .lacking import cannotTake, lack
from .naming import EXPECTED, PYTHON, named

_PLAIN = re.compile(r"(0|-?[1-9][0-9]{0,99})(\.[0-9]{1,99})?|true|false")
_PICKER = Place("picker")
_PROBE = Place("health-check")
_DISCOVERY = Place("discovery")
_ROUTER = Place("router")


@frozen
class _Sort:
    """
    A sort of things that plugins make.

    @ivar noun: What errors call it.
    @ivar product: The interface of what is made.
    @ivar factory: The interface of the plugins that make it.
    @ivar key: The key that names the plugin, in a table whose other keys are the
        options; empty where the name and the options are one value.
    @ivar builtIn: The names of those that are no plugins.
    """

    noun: str
    product: InterfaceClass
    factory: InterfaceClass
    key: str = ""
    builtIn: Iterable[str] = ()


_PICKERS = _Sort("picker", IBackendPicker, IBackendPickerFactory)
_PROBES = _Sort("health check", IHealthProbe, IHealthProbeFactory, "kind")
_DISCOVERIES = _Sort("discovery", IDiscovery, IDiscoveryFactory, "kind", KINDS)


@implementer(IRouter)
@frozen
class CallableRouter:
    """
    A router that calls one function.

    @ivar function: Called with the connection.  It returns what L{IRouter.route}
        returns, so it may be C{async}.
    """

    function: Callable[[Connection], Any]

    @property
    def __wrapped__(self) -> Callable[[Connection], Any]:
        """The function, whose name is shown in logs."""
        return self.function

    def route(self, connection: Connection) -> Any:
        """Call the function."""
        return self.function(connection)


def pickerFactories() -> Iterable[IBackendPickerFactory]:
    """The picker factories that are installed as Twisted plugins."""
    return installed(IBackendPickerFactory).plugins


def buildPicker(
    choice: PickerChoice,
    place: Place = _PICKER,
    factories: Iterable[IBackendPickerFactory] | None = None,
) -> IBackendPicker:
    """
    Make the picker of one pool.

    @param choice: The name of a plugin; or C{python:} and the full name of a factory
        (it provides L{IBackendPickerFactory}), of a picker (it provides
        L{IBackendPicker}; options are refused), or of a callable that takes the options
        as keyword arguments and returns a picker.
    @param place: Where the picker was written.
    @param factories: The factories to look names up in; by default the installed
        plugins.
    @raise ConfigurationError: If there is no such picker, or it cannot be made.
    """
    return _built(_PICKERS, choice, place, factories)  # type: ignore[no-any-return]


def buildProbe(
    choice: HealthCheckOptions,
    reactor: Any,
    place: Place = _PROBE,
    factories: Iterable[IHealthProbeFactory] | None = None,
) -> IHealthProbe:
    """
    Make the health probe of one pool.

    @param choice: Its kind is the name of a plugin; or C{python:} and the full name of
        a factory (it provides L{IHealthProbeFactory}), of a probe (it provides
        L{IHealthProbe}; options are refused), or of a callable that takes the reactor,
        and the options as keyword arguments, and returns a probe.
    @param reactor: The reactor that the probe connects with.
    @param place: Where the health check was written.
    @param factories: The factories to look names up in; by default the installed
        plugins.
    @raise ConfigurationError: If there is no such kind, or its probe cannot be made.
    """
    named = PickerChoice(choice.kind, choice.options)
    return _built(  # type: ignore[no-any-return]
        _PROBES, named, place, factories, reactor
    )


def buildDiscovery(
    choice: DiscoveryOptions,
    reactor: Any,
    place: Place = _DISCOVERY,
    factories: Iterable[IDiscoveryFactory] | None = None,
) -> IDiscovery:
    """
    Make the discovery of one pool, if its kind is not built in.

    @param choice: Its kind is named as that of a health check is; see L{buildProbe}.
    @param reactor: The reactor that it runs with.
    @param place: Where the discovery was written.
    @param factories: The factories to look names up in; by default the installed
        plugins.
    @raise ConfigurationError: If there is no such kind, or it cannot be made.
    """
    named = PickerChoice(choice.kind, choice.options)
    return _built(  # type: ignore[no-any-return]
        _DISCOVERIES, named, place, factories, reactor
    )


def _built(
    sort: _Sort,
    choice: PickerChoice,
    place: Place,
    factories: Iterable[Any] | None,
    *arguments: object,
) -> Any:
    """
    Make a picker or a probe.

    @param arguments: What it is made with, besides its options.
    """
    if sort.key:
        blame = _Blame(place.key(sort.key), choice.name, place)
    else:
        blame = _Blame(place, str(choice))
    if choice.name.startswith(PYTHON):
        found = _named(choice.name, blame)
    else:
        found = _factory(sort, choice.name, factories, blame)
    made = _made(sort, found, choice, blame, arguments)
    _requireProvider(sort.product, made, choice.name, blame)
    return made


def namedRouter(text: str, place: Place = _ROUTER) -> IRouter:
    """
    Find or make the router that has a name.

    @param text: C{python:} and the full name of a router (it provides L{IRouter}), of a
        class that makes one when called without arguments, or of a function, C{async}
        or not, that takes the connection.
    @param place: Where the name was written.
    @raise ConfigurationError: If there is no such router.
    """
    blame = _Blame(place, text)
    if not text.startswith(PYTHON):
        raise blame.refuse(EXPECTED)
    found = _named(text, blame)
    router: IRouter
    if isinstance(found, type):
        router = blame.call(f"{text} cannot be made", found)
    elif IRouter.providedBy(found):
        router = found
    else:
        return callableRouter(found, text, place)
    _requireProvider(IRouter, router, text, blame)
    return router


@frozen
class _Blame:
    """
    The place and the value that an error about a plugin shows.

    @ivar table: The table whose keys are its options; L{None} if they are no keys.
    """

    place: Place
    written: object
    table: Place | None = None

    def option(self, name: str, written: object) -> _Blame:
        """What an error about one option shows: its own key, if it is one."""
        return self if self.table is None else _Blame(self.table.key(name), written)

    def refuse(self, reason: str) -> ConfigurationError:
        return self.place.refuse(self.written, reason)

    def call(
        self, complaint: str, function: Callable[..., Any], *arguments: object
    ) -> Any:
        """
        Call code outside lbproxy; raise what it raises as a L{ConfigurationError}.
        """
        try:
            return function(*arguments)
        except ConfigurationError:
            raise
        except (Exception, SystemExit) as error:
            # A module that is a script may exit when it is imported.
            raise self.refuse(f"{complaint}: {cause(error)}") from None


def _named(text: str, blame: _Blame) -> Any:
    try:
        return named(text)
    except ValueError as error:
        raise blame.refuse(str(error)) from None


def _factory(
    sort: _Sort, name: str, factories: Iterable[Any] | None, blame: _Blame
) -> Any:
    broken: tuple[str, ...] = ()
    if factories is None:
        looked = installed(sort.factory)
        factories, broken = looked.plugins, looked.broken
    # A plugin directory that is on the path twice gives each plugin twice.
    named = {str(getattr(each, "name", None)): each for each in factories}
    if name not in named:
        known = {*named, *sort.builtIn}
        reason = f'there is no {sort.noun} "{name}"; {knownOnes(known)}'
        lost = f"; cannot be imported: {'; '.join(broken)}" if broken else ""
        raise blame.refuse(reason + lost)
    tellBroken(broken)
    return named[name]


def _made(
    sort: _Sort,
    found: Any,
    choice: PickerChoice,
    blame: _Blame,
    arguments: tuple[object, ...],
) -> Any:
    """Make the product from the object that was named, unless it is one already."""
    name, noun = choice.name, sort.noun
    if sort.factory.providedBy(found):
        _requireProvider(sort.factory, found, name, blame)
        wrong = f"{name} is not right"
        options = blame.call(wrong, _options, found, choice, blame)
        make = found.build
    elif sort.product.providedBy(found):
        if choice.options:
            first = next(iter(choice.options.items()))
            reason = f"{name} is a {noun} already; it takes no options"
            raise blame.option(*first).refuse(reason)
        return found
    elif callable(found):
        make = found
        options = {_asArgument(key): given for key, given in choice.options.items()}
    else:
        raise blame.refuse(
            f"{name} is neither a {noun}, nor a {noun} factory, nor callable"
        )
    return blame.call(f"{name} cannot be built", lambda: make(*arguments, **options))


def _options(
    factory: IBackendPickerFactory | IHealthProbeFactory | IDiscoveryFactory,
    choice: PickerChoice,
    blame: _Blame,
) -> dict[str, object]:
    known = factory.options
    blames = {name: blame.option(name, each) for name, each in choice.options.items()}
    for name, each in blames.items():
        if not known:
            raise each.refuse(f"{choice.name} takes no options")
        if name not in known:
            raise each.refuse(f'unknown option "{name}"; {knownHint(name, known)}')
    return {
        _asArgument(name): (
            blames[name].call(f'option "{name}"', _read, option, choice.options[name])
            if name in choice.options
            else option.default
        )
        for name, option in known.items()
    }


def _read(option: Option, written: object) -> object:
    """
    Read one option of a plugin.

    A description holds only text.  Text that cannot be read as it is, but looks like a
    number or like true or false, is read as that.
    """
    try:
        return option.parse(written)
    except ValueError:
        if not isinstance(written, str) or not _PLAIN.fullmatch(written):
            raise
        return option.parse(loads(written))


def _asArgument(name: str) -> str:
    return name.replace("-", "_")


def _requireProvider(
    interface: InterfaceClass, found: Any, name: str, blame: _Blame
) -> None:
    if not interface.providedBy(found):
        if iscoroutine(found):
            found.close()  # Otherwise Python warns that it was never awaited.
        kind = type(found).__name__
        raise blame.refuse(
            f"{name} made an object ({kind}) that does not provide {interface.__name__}"
        )
    lacking = lack(interface, found)
    if lacking:
        raise blame.refuse(f"{name} is not right: {lacking}")


def callableRouter(function: Any, name: str, place: Place = _ROUTER) -> CallableRouter:
    """
    Make a router from a function.

    @param function: C{async} or not; it has to take the connection.
    @param name: The name of the function in errors.
    @param place: Where it was named.
    @raise ConfigurationError: If it cannot be called with a connection.
    """
    if not callable(function):
        raise place.refuse(name, f"{name} is neither a router nor callable")
    trouble = cannotTake(function, ("connection",))
    if trouble:
        raise place.refuse(name, f"{name} cannot take the connection: {trouble}")
    return CallableRouter(function)
