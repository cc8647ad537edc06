"""The classes of Twisted plugins that make pickers, health probes and discoveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..interfaces import (
    IBackendPicker,
    IBackendPickerFactory,
    IDiscovery,
    IDiscoveryFactory,
    IHealthProbe,
    IHealthProbeFactory,
)
from ..words.options import Option


@implementer(IPlugin, IBackendPickerFactory)
@frozen
class PickerPlugin:
    """
    A Twisted plugin that makes pickers.

    Put one into a module of C{twisted/plugins/}, and the picker can be configured by
    its name.

    @ivar name: The picker's name, in kebab-case.
    @ivar make: Called with a keyword argument for each option; returns the picker.  The
        keyword is the name of the option, with C{-} written as C{_}.
    @ivar options: The options, by their kebab-case names.
    """

    name: str
    make: Callable[..., IBackendPicker]
    options: Mapping[str, Option] = field(factory=dict)

    def build(self, **options: object) -> IBackendPicker:
        """Make a picker for one pool."""
        return self.make(**options)


@implementer(IPlugin, IHealthProbeFactory)
@frozen
class HealthProbePlugin:
    """
    A Twisted plugin that makes health probes.

    Put one into a module of C{twisted/plugins/}, and a pool can be checked by its name.

    @ivar name: The kind's name, in kebab-case.
    @ivar make: Called with the reactor and a keyword argument for each option; returns
        the probe.  The keyword is the name of the option, with C{-} written as C{_}.
    @ivar options: The options, by their kebab-case names.
    """

    name: str
    make: Callable[..., IHealthProbe]
    options: Mapping[str, Option] = field(factory=dict)

    def build(self, reactor: Any, **options: object) -> IHealthProbe:
        """Make a probe for one pool."""
        return self.make(reactor, **options)


@implementer(IPlugin, IDiscoveryFactory)
@frozen
class DiscoveryPlugin:
    """
    A Twisted plugin that makes discoveries.

    Put one into a module of C{twisted/plugins/}, and a pool can have its backends found
    by its name.

    @ivar name: The kind's name, in kebab-case.
    @ivar make: Called with the reactor and a keyword argument for each option; returns
        the discovery.  The keyword is the name of the option, with C{-} written as
        C{_}.
    @ivar options: The options, by their kebab-case names.
    """

    name: str
    make: Callable[..., IDiscovery]
    options: Mapping[str, Option] = field(factory=dict)

    def build(self, reactor: Any, **options: object) -> IDiscovery:
        """Make a discovery for one pool."""
        return self.make(reactor, **options)
