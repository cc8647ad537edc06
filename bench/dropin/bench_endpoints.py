"""The C{rough:} endpoints of the chaos bench, as Twisted plugins."""

from bench.chaos.endpoints import RoughClients, RoughServers

clients = RoughClients()
servers = RoughServers()
