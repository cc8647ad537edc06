"""Makes the discovery of a pool: a built-in kind, or that of a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config.backendsfile import BackendsFile
from .config.discovery import DISCOVERY
from .discovery.dns import DnsDiscovery, SrvDiscovery
from .discovery.file import FileDiscovery
from .discovery.names import Asking
from .discovery.options import KINDS
from .discovery.resolvconf import resolvConf
from .plugins.making import buildDiscovery

if TYPE_CHECKING:
    from .discovery.options import DiscoveryOptions
    from .generation import Process
    from .interfaces import IDiscovery
    from .words.place import Place


def discoveryOf(
    process: Process, options: DiscoveryOptions, place: Place
) -> IDiscovery:
    """
    Make the discovery of a pool.

    @param place: Where it was written.
    @raise ConfigurationError: If it cannot be made.
    """
    kind = options.kind
    if kind not in KINDS:
        return buildDiscovery(options, process.reactor, place)
    own: Any = DISCOVERY.own(kind, options.options, place)
    if kind == "dns":
        return DnsDiscovery(process.names, own)
    if kind == "file":
        read = BackendsFile(process.reactor).read
        return FileDiscovery(process.wheel, own.path, read)
    return SrvDiscovery(process.names, own.name, Asking(own.resolver or resolvConf()))
