"""The built-in pickers: policies that choose among the members of one pool."""

from .chance import RandomChoice
from .hashing import Rendezvous
from .latency import PeakEwma
from .load import LeastConnections, PowerOfTwo
from .maglev import Maglev
from .rotation import First, RoundRobin

__all__ = [
    "First",
    "LeastConnections",
    "Maglev",
    "PeakEwma",
    "PowerOfTwo",
    "RandomChoice",
    "Rendezvous",
    "RoundRobin",
]
