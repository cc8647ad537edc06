"""
lbproxy: a load balancer and reverse proxy that lives inside a Twisted reactor.

What a program needs that embeds it or writes a plugin for it is here.
"""

from .config.plugins import PickerPlugin
from .interfaces import (
    IBackendPicker,
    IBackendPickerFactory,
    ICandidates,
    IConnectionObserver,
    IMembershipObserver,
    IRouter,
)
from .service import LoadBalancer
from .words.backend import Backend, Member
from .words.connection import Address, Connection, End
from .words.options import Option

__all__ = [
    "Address",
    "Backend",
    "Connection",
    "End",
    "IBackendPicker",
    "IBackendPickerFactory",
    "ICandidates",
    "IConnectionObserver",
    "IMembershipObserver",
    "IRouter",
    "LoadBalancer",
    "Member",
    "Option",
    "PickerPlugin",
]
