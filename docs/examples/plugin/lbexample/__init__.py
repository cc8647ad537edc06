"""A picker, a router and an observer for lbproxy."""

from .observing import Slowest
from .picking import ByClient
from .routing import route

__all__ = ["ByClient", "Slowest", "route"]
