"""What lbproxy adds to Twisted: C{twistd lbproxy}, its pickers and health checks."""

from __future__ import annotations

from random import Random

from twisted.application.service import ServiceMaker

from lbproxy.balance.bounds import BOUNDED_LOAD
from lbproxy.balance.latency import DECAY
from lbproxy.balance.pickers import (
    First,
    LeastConnections,
    Maglev,
    PeakEwma,
    PowerOfTwo,
    RandomChoice,
    Rendezvous,
    RoundRobin,
)
from lbproxy.health.options import ExchangeOptions, HttpOptions, pluginOptions
from lbproxy.health.probes import exchangeProbe, httpProbe, tcpProbe, tlsProbe
from lbproxy.plugins.classes import HealthProbePlugin, PickerPlugin
from lbproxy.plugins.keys import KEY_OPTION

command = ServiceMaker(
    "lbproxy",
    "lbproxy.tap",
    "A load balancer and reverse proxy.",
    "lbproxy",
)

roundRobin = PickerPlugin("round-robin", RoundRobin)
random = PickerPlugin("random", lambda: RandomChoice(Random()))
leastConnections = PickerPlugin("least-connections", LeastConnections)
powerOfTwo = PickerPlugin("power-of-two", lambda: PowerOfTwo(Random()))
peakEwma = PickerPlugin(
    "peak-ewma", lambda decay: PeakEwma(Random(), decay), {"decay": DECAY}
)
first = PickerPlugin("first", First)
_byHash = {"key": KEY_OPTION, "bounded-load": BOUNDED_LOAD}
maglev = PickerPlugin("maglev", Maglev, _byHash)
rendezvous = PickerPlugin("rendezvous", Rendezvous, _byHash)

tcpCheck = HealthProbePlugin("tcp", tcpProbe)
tlsCheck = HealthProbePlugin("tls", tlsProbe)
httpCheck = HealthProbePlugin("http", httpProbe, pluginOptions(HttpOptions))
exchangeCheck = HealthProbePlugin(
    "exchange", exchangeProbe, pluginOptions(ExchangeOptions)
)
