"""
lbproxy: a load balancer and reverse proxy that runs inside a Twisted reactor.

The public names for programs and plugins are in this package and in L{lbproxy.testing}.
The parsers of options, for plugins that have some, are in L{lbproxy.words.units} and
L{lbproxy.words.values}.  Every other module is internal, and may change with any
version.
"""

from .config.file import loadConfiguration
from .config.model import Configuration
from .config.whole import configurationFromMapping
from .health.contact import CheckFailed
from .interfaces import (
    IBackendPicker,
    IBackendPickerFactory,
    ICandidates,
    ICapacityObserver,
    IConfigurationObserver,
    IConnectionObserver,
    IDiscovery,
    IDiscoveryFactory,
    IDiscoveryObserver,
    IFailureReporter,
    IHealthProbe,
    IHealthProbeFactory,
    ILatencyObserver,
    ILoadObserver,
    IMembershipObserver,
    IPoolObserver,
    IRouter,
)
from .plugins.classes import DiscoveryPlugin, HealthProbePlugin, PickerPlugin
from .ports import CannotStart
from .runningpool import RunningPool
from .service import LoadBalancer
from .words.backend import Backend, Member, Standing
from .words.connection import Address, Connection, End
from .words.options import Option
from .words.place import ConfigurationError
from .words.tls import TLSFacts
from .words.tlsoptions import TLSOptions

__all__ = [
    "Address",
    "Backend",
    "CannotStart",
    "CheckFailed",
    "Configuration",
    "ConfigurationError",
    "Connection",
    "DiscoveryPlugin",
    "End",
    "HealthProbePlugin",
    "IBackendPicker",
    "IBackendPickerFactory",
    "ICandidates",
    "ICapacityObserver",
    "IConfigurationObserver",
    "IConnectionObserver",
    "IDiscovery",
    "IDiscoveryFactory",
    "IDiscoveryObserver",
    "IFailureReporter",
    "IHealthProbe",
    "IHealthProbeFactory",
    "ILatencyObserver",
    "ILoadObserver",
    "IMembershipObserver",
    "IPoolObserver",
    "IRouter",
    "LoadBalancer",
    "Member",
    "Option",
    "PickerPlugin",
    "RunningPool",
    "Standing",
    "TLSFacts",
    "TLSOptions",
    "__version__",
    "configurationFromMapping",
    "loadConfiguration",
]

__version__ = "0.1.0"
