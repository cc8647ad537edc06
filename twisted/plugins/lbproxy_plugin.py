"""What lbproxy adds to Twisted: the command C{twistd lbproxy}, and its pickers."""

from __future__ import annotations

from random import Random

from twisted.application.service import ServiceMaker

from lbproxy.balance.pickers import RandomChoice, RoundRobin
from lbproxy.config.plugins import PickerPlugin

command = ServiceMaker(
    "lbproxy",
    "lbproxy.tap",
    "A load balancer and reverse proxy.",
    "lbproxy",
)

roundRobin = PickerPlugin("round-robin", RoundRobin)
random = PickerPlugin("random", lambda: RandomChoice(Random()))
